"""Promises of evaluation: order, lateness, unknown, silence, stages, bounds."""

import math
from dataclasses import dataclass, field
from random import Random

import numpy as np
import pytest

from tests.unit.triggers.reference import Sample
from tests.unit.triggers.samples import SECOND, columns, instances, memory
from triggers.compile import compile_expression
from triggers.evaluation import NEVER, Evaluator, Staged, nothing_is_judgeable
from triggers.rings import MAX_SAMPLES


@dataclass
class Watch:
    """One expression over items 0, 1, … as instance key 1."""

    expression: str
    is_open: bool = False
    evaluator: Evaluator = field(default_factory=Evaluator)

    def __post_init__(self) -> None:
        compiled = compile_expression(self.expression)
        items = tuple(range(len(compiled.references)))
        self.evaluator.add(compiled, instances([1], [items], self.is_open), 0)

    def receive(self, *samples: Sample, now: int = 0) -> list[tuple[int, int, float]]:
        scaled = [(item, at * SECOND, value) for item, at, value in samples]
        return self.take(self.evaluator.evaluate(columns(scaled), now * SECOND))

    def tick(self, now: int, is_judgeable: bool = True) -> list[tuple[int, int, float]]:
        return self.take(self.evaluator.tick(now * SECOND, lambda items: np.full(len(items), is_judgeable)))

    def take(self, staged: Staged) -> list[tuple[int, int, float]]:
        """The events as (change, second, value)."""
        events = staged.events
        staged.commit()
        seconds = (events.instants // SECOND).tolist()
        return list(zip(events.changes.tolist(), seconds, events.values.tolist(), strict=True))

    @property
    def state(self) -> int:
        return int(self.evaluator.states()[1][0])


OPENED, RESOLVED = 1, 0


def test_a_short_spike_inside_one_group_opens_and_resolves() -> None:
    watch = Watch("last(a) > 90")
    events = watch.receive((0, 10, 5.0), (0, 30, 7.0), (0, 20, 95.0))
    assert events == [(OPENED, 20, 95.0), (RESOLVED, 30, 7.0)]


def test_several_items_are_seen_in_the_order_of_their_instants_whatever_the_order_of_arrival() -> None:
    watch = Watch("last(a) > 5 and last(b) > 5")
    events = watch.receive((0, 10, 9.0), (0, 20, 1.0), (0, 40, 9.0), (1, 15, 9.0), (1, 30, 1.0), (1, 40, 9.0))
    assert events == [(OPENED, 15, 9.0), (RESOLVED, 20, 1.0), (OPENED, 40, 9.0)]


def test_a_late_sample_raises_no_event_and_is_marked() -> None:
    watch = Watch("last(a) > 90")
    watch.receive((0, 10, 5.0))
    staged = watch.evaluator.evaluate(columns([(0, 10 * SECOND, 95.0), (0, 9 * SECOND, 95.0), (7, 1, 0.0)]), 0)
    assert (staged.late.tolist(), len(staged.events)) == ([True, True, False], 0)


def test_unknown_neither_opens_nor_resolves() -> None:
    watch = Watch("10 / last(a) > 2", is_open=True)
    assert watch.state == 1
    assert watch.receive((0, 1, 0.0)) == []
    assert watch.state == 2
    assert watch.receive((0, 2, math.nan)) == []
    assert watch.receive((0, 3, 1.0)) == [], "it was open all the time"
    assert watch.receive((0, 4, 100.0)) == [(RESOLVED, 4, 100.0)]


def test_a_window_that_runs_empty_is_unknown_and_its_problem_stays() -> None:
    watch = Watch("avg(a, 1m) > 90")
    assert watch.receive((0, 100, 95.0), now=100) == [(OPENED, 100, 95.0)]
    assert watch.tick(159) == []
    assert watch.state == 1
    assert watch.tick(160) == []
    assert watch.state == 2


def test_silence_is_a_problem_only_when_it_is_the_items_own() -> None:
    watch = Watch("nodata(a, 2m)")
    watch.receive((0, 100, 1.0), now=100)
    assert watch.tick(220) == []
    assert watch.tick(221, is_judgeable=False) == []
    assert watch.state == 2
    assert [event[:2] for event in watch.tick(222)] == [(OPENED, 222)]
    assert [event[:2] for event in watch.receive((0, 223, 1.0), now=223)] == [(RESOLVED, 223)]


def test_a_restart_neither_raises_nor_resolves_silence_by_itself() -> None:
    started = Watch("nodata(a, 2m)", is_open=True)
    assert started.take(started.evaluator.tick(60 * SECOND, nothing_is_judgeable)) == []
    assert started.take(started.evaluator.tick(600 * SECOND, nothing_is_judgeable)) == []
    assert started.state == 1
    assert started.tick(601) == [], "still silent: the problem goes on"
    assert [event[:2] for event in started.receive((0, 602, 1.0), now=602)] == [(RESOLVED, 602)]


def test_too_few_values_of_a_new_item_are_no_problem_before_it_is_as_old_as_the_window() -> None:
    watch = Watch("count(a, 5m) < 3")
    assert watch.receive((0, 10, 1.0), (0, 299, 1.0), now=299) == []
    assert watch.receive((0, 310, 1.0), now=310) == [(OPENED, 310, 2.0)]
    known = Watch("count(a, 5m) < 3")
    known.evaluator.watched_since(np.array([0], np.int32), np.array([-300 * SECOND]))
    assert known.receive((0, 10, 1.0), now=10) == [(OPENED, 10, 1.0)]


@pytest.mark.parametrize("long_run", [1, 1000])
@pytest.mark.parametrize("expression", ["min(a, 60s) > 90", "avg(a, 60s) > 90", "max(a, 60s) > 90"])
def test_a_window_over_a_time_in_which_samples_are_missing_is_unknown(expression: str, long_run: int) -> None:
    watch = Watch(expression)
    watch.evaluator._windows.long_run = long_run
    assert watch.receive((0, 10, 1.0), (0, 20, 1.0), (0, 30, 1.0)) == []
    watch.evaluator.missed(np.array([0, 7, 0], np.int32), np.array([100, 100, 90]) * SECOND)
    assert watch.receive((0, 100, 99.0), (0, 110, 99.0), (0, 159, 99.0)) == [], "of what happened before 100 is unknown"
    assert watch.state == 2
    assert watch.receive((0, 160, 99.0), (0, 170, 99.0)) == [(OPENED, 160, 99.0)]
    watch.evaluator.missed(np.array([0], np.int32), np.array([300]) * SECOND)
    assert watch.receive((0, 300, 1.0), (0, 310, 1.0)) == [], "nor is a problem resolved by what is not known"
    assert watch.receive((0, 361, 1.0), (0, 365, 1.0)) == [(RESOLVED, 361, 1.0)]


def test_missing_samples_are_not_counted_as_too_few_and_the_newest_value_stays_known() -> None:
    counted = Watch("count(a, 60s) < 3")
    counted.receive(*((0, at, 1.0) for at in range(10, 100, 10)))
    counted.evaluator.missed(np.array([0], np.int32), np.array([200]) * SECOND)
    assert counted.receive((0, 200, 1.0), now=200) == []
    assert counted.tick(250) == []
    assert counted.tick(262) == [(OPENED, 262, 0.0)], "since then, only the item's own silence is left"
    both = Watch("min(a, 60s) > 90 and last(b) > 5")
    both.evaluator.refill(columns([(0, at * SECOND, 99.0) for at in (150, 200)]))
    both.evaluator.missed(np.array([0], np.int32), np.array([180]) * SECOND)
    assert both.receive((1, 200, 9.0)) == [], "nor is it known what history filled"
    newest = Watch("last(a) > 5")
    newest.evaluator.missed(np.array([0], np.int32), np.array([200]) * SECOND)
    assert newest.receive((0, 200, 9.0)) == [(OPENED, 200, 9.0)]


def test_a_window_is_known_again_when_what_was_missing_has_come() -> None:
    watch = Watch("max(a, 60s) < 90")
    watch.receive((0, 100, 99.0))
    watch.evaluator.missed(np.array([0], np.int32), np.array([150]) * SECOND)
    assert watch.receive((0, 150, 1.0), (0, 161, 1.0)) == [], "what lies between may have been over 90"
    gapped = watch.evaluator.gapped()
    assert (gapped.items.tolist(), gapped.until.tolist(), gapped.since.tolist()) == (
        [0], [150 * SECOND], [101 * SECOND],
    )  # fmt: skip
    came = columns([(0, at * SECOND, value) for at, value in ((120, 95.0), (130, 2.0), (150, 1.0), (161, 1.0))])
    watch.evaluator.heal(gapped.items, np.array([NEVER]), came)
    assert len(watch.evaluator.gapped().items) == 0
    assert watch.receive((0, 170, 1.0)) == [], "it was: 95 at 120"
    assert watch.state == 0
    assert watch.receive((0, 181, 1.0)) == [(OPENED, 181, 2.0)], "a minute after the last one over 90"


def test_what_is_missing_still_stays_unknown() -> None:
    watch = Watch("count(a, 60s) < 3")
    watch.evaluator.watched_since(np.array([0], np.int32), np.array([0]))
    watch.receive((0, 100, 1.0), (0, 110, 1.0), (0, 120, 1.0))
    watch.evaluator.missed(np.array([0], np.int32), np.array([150]) * SECOND)
    watch.receive((0, 150, 1.0))
    item = np.array([0], np.int32)
    watch.evaluator.heal(item, np.array([120 * SECOND]), columns([(0, 140 * SECOND, 1.0)]))
    assert watch.receive((0, 160, 1.0)) == []
    assert watch.state == 2, "of the window's first twenty seconds samples are missing"
    assert watch.evaluator.gapped().until.tolist() == [120 * SECOND]


def test_an_event_never_lies_before_the_one_before_it() -> None:
    watch = Watch("nodata(a, 1m)")
    watch.receive((0, 5, 1.0), now=100)
    assert [event[:2] for event in watch.tick(200)] == [(OPENED, 200)]
    assert [event[:2] for event in watch.receive((0, 150, 1.0), now=201)] == [(RESOLVED, 200)], "a slow clock"


def test_history_fills_the_windows_and_is_asked_for_once() -> None:
    watch = Watch("avg(a, 1m) > 5 and last(b) > 0")
    needs = watch.evaluator.needs()
    assert dict(zip(needs.items.tolist(), needs.window_seconds.tolist(), strict=True)) == {0: 60.0, 1: 0.0}
    stored = [(0, at, float(at)) for at in (30, 10, 20, 1)] + [(1, 4, 1.0)]
    watch.evaluator.refill(columns([(item, at * SECOND, value) for item, at, value in stored]))
    watch.evaluator.refilled(needs.items)
    assert len(watch.evaluator.needs().items) == 0
    assert watch.receive((0, 65, 40.0)) == [(OPENED, 65, 25.0)]


def test_a_window_holds_a_bounded_number_of_samples() -> None:
    watch = Watch("count(a, 1d) > 0 and min(a, 1d) < 2")
    watch.evaluator.watched_since(np.array([0], np.int32), np.array([-86400 * SECOND]))
    history = [(0, at * 1000, float(at)) for at in range(1, 2 * MAX_SAMPLES)]
    watch.evaluator.refill(columns(history))
    assert watch.receive((0, 3600, 0.0)) == [(OPENED, 3600, float(MAX_SAMPLES))]
    for at in range(3601, 3610):
        watch.receive((0, at, 5.0))
    (track,) = (track for call, track in watch.evaluator._windows.tracks.items() if call.function == "count")
    assert track.value.tolist()[0] == MAX_SAMPLES


def test_a_failed_evaluation_leaves_no_trace_and_the_next_one_works(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch("avg(a, 1m) > 5")
    watch.receive((0, 1, 1.0))
    before = memory(watch.evaluator)
    with monkeypatch.context() as patch:
        patch.setattr(watch.evaluator._edges, "readers", _no_memory)
        with pytest.raises(MemoryError):
            watch.receive(*[(0, at, 100.0) for at in range(2, 40)])
    assert memory(watch.evaluator) == before
    assert watch.receive((0, 2, 100.0)) == [(OPENED, 2, 50.5)]


def _no_memory(*_: object) -> None:
    raise MemoryError


def test_one_stage_at_a_time_and_each_ends_once() -> None:
    watch = Watch("last(a) > 5")
    staged = watch.evaluator.evaluate(columns([(0, 1, 9.0)]), 0)
    with pytest.raises(RuntimeError, match="neither committed nor dropped"):
        watch.evaluator.tick(0, nothing_is_judgeable)
    assert watch.state == 2, "what is staged does not show"
    staged.commit()
    assert watch.state == 1
    with pytest.raises(RuntimeError, match="already"):
        staged.drop()


def test_a_key_is_bound_once() -> None:
    watch = Watch("last(a) > 5")
    with pytest.raises(ValueError, match="key 1"):
        watch.evaluator.add(compile_expression("last(a) > 6"), instances([2, 1], [(0,), (1,)]), 0)
    assert watch.evaluator.states()[0].tolist() == [1]


def test_what_nobody_reads_is_forgotten() -> None:
    evaluator = Evaluator()
    keys = list(range(500))
    evaluator.add(compile_expression("avg(a, 5m) > last(b)"), instances(keys, [(key, 7) for key in keys]), 0)
    evaluator.add(compile_expression("max(a, 5m) > 1"), instances([900], [(7,)]), 0)
    evaluator.remove(np.array([*keys, 900]))
    assert len(evaluator._slots) == 0
    assert not evaluator._windows.tracks
    assert evaluator._bundle_of == {}
    assert evaluator.states()[0].tolist() == []


def test_one_item_read_by_very_many_instances_reaches_them_all() -> None:
    evaluator = Evaluator()
    keys = list(range(20_000))
    compiled = compile_expression('last(a) > 0 and last(host("gate"), up)')
    evaluator.add(compiled, instances(keys, [(key, 50_000) for key in keys]), 0)
    evaluator.evaluate(columns([(key, 1, 1.0) for key in keys]), 0).commit()
    assert len(evaluator.evaluate(columns([(50_000, 2, 1.0)]), 0).events) == 20_000


def test_sums_do_not_drift_after_values_of_any_size() -> None:
    random = Random(5)
    watch = Watch("avg(a, 20s) > 5")
    values = [random.choice([1e17, -1e17, 0.1, 3.7, 1e-9, 1e300, -1e300]) for _ in range(5000)]
    values += [0.1] * 20
    samples = [(0, at, value) for at, value in enumerate(values)]
    for begin in range(0, len(samples), 40):
        watch.receive(*samples[begin : begin + 40])
    (track,) = watch.evaluator._windows.tracks.values()
    assert track.value.tolist()[0] == pytest.approx(0.1, rel=1e-15)


@pytest.mark.parametrize("count", [40, 200], ids=["by rounds", "at once"])
def test_a_dropped_group_that_went_round_its_ring_leaves_no_trace(count: int) -> None:
    watch = Watch("max(a, 5s) > 1000 or avg(a, 3s) > 1000")
    watch.receive(*[(0, at, float(at)) for at in range(10)])
    before = memory(watch.evaluator)
    watch.evaluator.evaluate(columns([(0, at * SECOND, -1.0) for at in range(10, 10 + count)]), 0).drop()
    assert memory(watch.evaluator) == before
    assert watch.receive((0, 10, 6000.0)) == [(OPENED, 10, 6000.0)]
