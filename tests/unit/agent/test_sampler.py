"""The sampler keeps its pace whatever a probe does; what it finds lies in the spool, one record an instant."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from agent.document import read_document
from agent.outlet import MOST_ITEMS, Outlet
from agent.sampler import Sampler
from core.config.reader import setting
from core.runtime.clock import ManualClock
from core.runtime.counters import Counters
from core.spool.faults import SpoolFault
from core.spool.outbox import Outbox
from core.spool.spool import SpoolLimits
from probes.declaration import Afterwards, Failure, Item, ProbeFailedError, Reading, probe
from probes.visit import Visit
from tests.support.waiting import until
from tests.unit.agent.published import samples_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from probes.declaration import Probe
    from tests.unit.agent.published import Sample


@dataclass(frozen=True, kw_only=True)
class Tagged:
    tag: str = field(default="x", metadata=setting("a tag"))


def numbers(name: str, read: Callable[[Visit], Any], **options: Any) -> Probe:
    items = [
        Item(key=f"{name}.value", unit="", description="a number of the test"),
        Item(key=f"{name}.rate", unit="1/s", description="a rate of the test"),
        Item(key=f"{name}.each", unit="", description="a number a thing", parameter="thing"),
        Item(key=f"{name}.text", unit="", description="a text of the test", type="text"),
    ]
    return probe(name, items=items, parameters=Tagged, **options)(lambda visit, _parameters: read(visit))


class Bench:
    """A sampler at work on a clock that stands still."""

    def __init__(self, folder: Path, *probes: Probe, phase: float = 0.0) -> None:
        self.clock = ManualClock()
        self.counters = Counters()
        self.outbox = Outbox.open(folder, UUID(int=5), SpoolLimits(), self.clock)
        self.published = asyncio.Event()
        self.probes = {each.name: each for each in probes}
        self.outlet = Outlet(self.outbox, self.counters, self.published.set)
        self.sampler = Sampler(
            outlet=self.outlet, clock=self.clock, counters=self.counters, make_visit=Visit, phase=phase
        )

    def assign(self, *entries: tuple[str, float] | dict[str, Any]) -> None:
        listed = [e if isinstance(e, dict) else {"probe": e[0], "interval_seconds": e[1]} for e in entries]
        self.sampler.apply(read_document({"probes": listed}, self.probes.get))

    def samples(self, key: str = "") -> list[Sample]:
        return [sample for sample in samples_of(self.outbox.spool) if sample.key.startswith(key)]

    def statuses(self, label: str) -> list[float | str]:
        return [sample.value for sample in self.samples(f"agent.probe_status[{label}]")]

    async def settled(self) -> None:
        await until(lambda: self.clock.sleepers > 0, what="the sampler's sleep")

    async def advance(self, seconds: float) -> None:
        await self.settled()
        await self.clock.advance(seconds)
        await self.settled()


@asynccontextmanager
async def at_work(bench: Bench) -> AsyncIterator[Bench]:
    task = asyncio.create_task(bench.sampler.run())
    try:
        yield bench
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        bench.outbox.close()


def steady(name: str = "steady", value: float = 1.0, **options: Any) -> Probe:
    def read(visit: Visit) -> Iterator[Reading]:
        yield Reading(f"{name}.value", value)
        yield Reading(f"{name}.rate", visit.rate("x", visit.at * 3))

    return numbers(name, read, **options)


async def test_everything_due_at_one_instant_becomes_one_record_with_that_instant(tmp_path: Path) -> None:
    async with at_work(Bench(tmp_path, steady("a"), steady("b"), steady("c"))) as bench:
        bench.assign(("a", 10), ("b", 10), ("c", 30))
        await bench.settled()
        values = [s for s in bench.samples() if isinstance(s.value, float)]
        assert {s.key for s in values} == {"a.value", "b.value", "c.value"}
        assert len({(s.record, s.at) for s in values}) == 1
        assert values[0].at == bench.clock.now_us()


async def test_samples_come_at_the_interval_without_drift_and_rates_from_the_second_on(tmp_path: Path) -> None:
    async with at_work(Bench(tmp_path, steady())) as bench:
        bench.assign(("steady", 10))
        start = bench.clock.now_us()
        await bench.advance(100.0)
        instants = [(s.at - start) / 1e6 for s in bench.samples("steady.value")]
        assert instants == [0.0, *range(10, 101, 10)]
        assert [s.value for s in bench.samples("steady.rate")] == pytest.approx([3.0] * 10)
        assert bench.counters.get("agent.missed_runs") == 0


async def test_runs_that_could_not_be_made_in_time_are_counted_and_the_grid_stays(tmp_path: Path) -> None:
    async with at_work(Bench(tmp_path, steady())) as bench:
        bench.assign(("steady", 10))
        await bench.settled()
        start = bench.clock.now_us()
        bench.clock._move_to(bench.clock.monotonic() + 34.0)  # the process stood still
        await bench.clock.advance(0)
        await bench.advance(6.0)
        assert [(s.at - start) / 1e6 for s in bench.samples("steady.value")] == [0.0, 34.0, 40.0]
        assert bench.counters.get("agent.missed_runs") == 2


async def test_a_clock_that_is_set_changes_instants_not_the_pace_and_is_counted(tmp_path: Path) -> None:
    async with at_work(Bench(tmp_path, steady())) as bench:
        bench.assign(("steady", 10))
        await bench.settled()
        start = bench.clock.now_us()
        bench.clock.jump(-3600)
        await bench.advance(20.0)
        assert [(s.at - start) / 1e6 for s in bench.samples("steady.value")] == [0, -3590, -3580]
        assert [s.value for s in bench.samples("steady.rate")] == pytest.approx([3.0] * 2)
        assert bench.counters.get("agent.clock_steps") == 1


def raising() -> Probe:
    def read(_: Visit) -> Iterator[Reading]:
        yield Reading("raising.value", 4.0)
        raise KeyError("oops")

    return numbers("raising", read)


def failing() -> Probe:
    def read(_: Visit) -> Iterator[Reading | Failure]:
        yield Failure("/proc/a: gone")
        yield Reading("failing.value", 5.0)
        raise ProbeFailedError("/proc/b: gone")

    return numbers("failing", read)


async def test_a_probe_that_raises_hurts_no_other_and_its_error_becomes_data(tmp_path: Path) -> None:
    async with at_work(Bench(tmp_path, raising(), failing(), steady())) as bench:
        bench.assign(("raising", 10), ("failing", 10), ("steady", 10))
        await bench.advance(10.0)
        assert len(bench.samples("steady.value")) == 2
        assert [s.value for s in bench.samples("raising.value")] == [4.0, 4.0]
        assert [s.value for s in bench.samples("failing.value")] == [5.0, 5.0]
        assert bench.statuses("raising") == ["the probe is broken: KeyError: 'oops'"]
        assert bench.statuses("failing") == ["/proc/a: gone; /proc/b: gone"]
        assert bench.statuses("steady") == ["ok"]
        assert bench.counters.get("agent.probe_errors") == 4


async def test_a_status_is_published_when_it_changes(tmp_path: Path) -> None:
    reasons = iter(["one", "one", "", "", "two"])

    def read(_: Visit) -> Iterator[Reading | Failure]:
        yield Reading("moody.value", 1.0)
        if reason := next(reasons):
            yield Failure(reason)

    async with at_work(Bench(tmp_path, numbers("moody", read))) as bench:
        bench.assign(("moody", 10))
        await bench.advance(40.0)
        assert bench.statuses("moody") == ["one", "ok", "two"]


async def test_a_probe_that_hangs_in_the_kernel_hurts_no_other_and_is_not_started_twice(tmp_path: Path) -> None:
    gate = threading.Event()
    runs: list[int] = []

    def read(_: Visit) -> Iterator[Reading]:
        runs.append(1)
        yield Reading("hanging.value", 1.0)
        gate.wait(100)
        yield Reading("hanging.value", 2.0)

    probes = numbers("hanging", read, may_block=True, timeout_seconds=2.0), steady()
    try:
        async with at_work(Bench(tmp_path, *probes)) as bench:
            bench.assign(("hanging", 10), ("steady", 10))
            await until(lambda: bench.statuses("hanging") == ["no answer within 2 s"], what="the timeout")
            await bench.advance(20.0)
            assert len(bench.samples("steady.value")) == 3
            assert len(runs) == 1
            assert bench.counters.get("agent.missed_runs") == 2
            assert [s.value for s in bench.samples("hanging.value")] == [1.0]
            gate.set()
            await until(lambda: not bench.sampler._watches[0].is_busy, what="the end of the hanging run")
            await bench.advance(10.0)
            await until(lambda: bench.statuses("hanging")[-1] == "ok", what="the recovery")
    finally:
        gate.set()


async def test_a_slow_answer_is_published_late_with_the_instant_it_was_asked_at(tmp_path: Path) -> None:
    gate = threading.Event()

    def read(_: Visit) -> Iterator[Reading]:
        gate.wait(100)
        yield Reading("slow.value", 1.0)

    async with at_work(Bench(tmp_path, numbers("slow", read, may_block=True), steady())) as bench:
        bench.assign(("slow", 10), ("steady", 10))
        await until(lambda: bool(bench.samples("steady.value")), what="the quick sample")
        assert not bench.samples("slow.value")
        gate.set()
        await until(lambda: bool(bench.samples("slow.value")), what="the slow sample")
        assert bench.samples("slow.value")[0].at == bench.samples("steady.value")[0].at


async def test_an_asynchronous_probe_is_awaited_and_cancelled_at_its_timeout(tmp_path: Path) -> None:
    cancelled: list[int] = []

    async def read(_: Visit) -> AsyncIterator[Reading]:
        yield Reading("waiting.value", 1.0)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(1)
            raise

    async with at_work(Bench(tmp_path, numbers("waiting", read, timeout_seconds=0.05), steady())) as bench:
        bench.assign(("waiting", 10), ("steady", 10))
        await until(lambda: bench.statuses("waiting") == ["no answer within 0.05 s"], what="the timeout")
        assert cancelled == [1]
        assert [s.value for s in bench.samples("waiting.value")] == [1.0]


async def test_what_a_probe_may_not_say_is_refused_by_name_and_the_rest_is_published(tmp_path: Path) -> None:
    def read(_: Visit) -> Iterator[Reading]:
        yield Reading("odd.unheard", 1.0)
        yield Reading("odd.value", float("nan"))
        yield Reading("odd.value", "text")
        yield Reading("odd.text", 3.0)
        yield Reading("odd.each", 1.0)
        yield Reading("odd.each", 1.0, "x" * 300)
        yield Reading("odd.rate", 7.0, "thing")
        yield Reading("odd.each", 9.0, "a\nb\udcff")
        yield Reading("odd.text", "nul\0 and bell\7 are shown as ?")
        yield Reading("odd.rate", None)

    async with at_work(Bench(tmp_path, numbers("odd", read))) as bench:
        bench.assign(("odd", 10))
        await bench.settled()
        assert {s.key: s.value for s in bench.samples("odd")} == {
            "odd.each[a\\nb\\udcff]": 9.0,
            "odd.text": "nul? and bell? are shown as ?",
        }
        assert str(bench.statuses("odd")[0]).count(";") == 6


async def test_the_number_of_items_is_bounded(tmp_path: Path) -> None:
    def read(_: Visit) -> Iterator[Reading]:
        for number in range(MOST_ITEMS + 10):
            yield Reading("many.each", 1.0, str(number))

    async with at_work(Bench(tmp_path, numbers("many", read))) as bench:
        bench.assign(("many", 10))
        await bench.advance(10.0)
        assert len({s.key for s in bench.samples("many")}) <= MOST_ITEMS
        assert "has its 5000 items already" in str(bench.statuses("many")[0])


async def test_a_new_document_applies_at_once_and_what_stays_keeps_its_pace_and_memory(tmp_path: Path) -> None:
    async with at_work(Bench(tmp_path, steady("a"), steady("b"))) as bench:
        bench.assign(("a", 10))
        await bench.advance(13.0)
        assert [s.key for s in bench.samples("a.rate")] == ["a.rate"]
        bench.assign(("a", 5), ("b", 10))
        await until(lambda: bool(bench.samples("b.value")), what="the first read of the new probe")
        await bench.advance(2.0)
        assert [s.value for s in bench.samples("a.rate")] == pytest.approx([3.0, 3.0])
        bench.assign(("b", 10))
        await bench.advance(30.0)
        assert len(bench.samples("a.value")) == 3


async def test_a_spool_that_cannot_be_written_costs_values_which_are_counted_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with at_work(Bench(tmp_path, steady())) as bench:
        bench.assign(("steady", 10))
        await bench.settled()

        def refuse(*_: object) -> int:
            raise SpoolFault("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(bench.outbox, "publish", refuse)
            await bench.advance(20.0)
        await bench.advance(10.0)
        assert len(bench.samples("steady.value")) == 2
        assert bench.counters.get("agent.lost_values") == 4


def listening(found: list[str], **options: Any) -> Probe:
    """Return a probe that publishes what lies in `found` and takes it out once it is stored."""

    def read(_: Visit) -> Iterator[Reading | Afterwards]:
        seen = found.copy()
        for text in seen:
            yield Reading("listening.text", text)
        yield Afterwards(lambda: found.__delitem__(slice(len(seen))))

    return numbers("listening", read, has_news=lambda _visit, _parameters: bool(found), **options)


@pytest.mark.parametrize("may_block", [False, True])
async def test_a_probe_with_news_runs_before_it_is_due_and_its_pace_stays(tmp_path: Path, may_block: bool) -> None:
    found: list[str] = []
    async with at_work(Bench(tmp_path, listening(found, may_block=may_block), steady())) as bench:
        bench.assign(("listening", 3600), ("steady", 3600))
        await bench.advance(0.5)
        assert not bench.samples("listening")
        found += ["one", "two"]
        for _ in range(2):  # the looks are a second apart; the sampler may have been at one when the news came
            await bench.advance(1.0)
        await until(lambda: not found, what="the news to be stored")
        assert [s.value for s in bench.samples("listening.text")] == ["one", "two"]
        assert len(bench.samples("steady.value")) == 1
        assert bench.sampler._watches[0].due == bench.sampler._watches[1].due
        assert bench.counters.get("agent.missed_runs") == 0


async def test_one_items_several_values_of_one_read_have_instants_of_their_own(tmp_path: Path) -> None:
    async with at_work(Bench(tmp_path, listening(["a", "b", "a"]))) as bench:
        bench.assign(("listening", 10))
        await until(lambda: bool(bench.samples("listening")), what="the lines")
        at = bench.clock.now_us()
        assert [(s.at - at, s.value) for s in bench.samples("listening.text")] == [(0, "a"), (1, "b"), (2, "a")]


async def test_more_texts_than_a_record_holds_become_several(tmp_path: Path) -> None:
    async with at_work(Bench(tmp_path, listening(["ü" * 4000] * 500))) as bench:
        bench.assign(("listening", 10))
        await until(lambda: bool(bench.samples("listening")), what="the lines")
        assert len(bench.samples("listening.text")) == 500
        assert len({s.record for s in bench.samples("listening.text")}) > 2


async def test_what_a_probe_remembers_moves_on_only_when_its_readings_were_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = ["one"]

    def refuse(*_: object) -> int:
        raise SpoolFault("the disk is full")

    async with at_work(Bench(tmp_path, listening(found))) as bench:
        with monkeypatch.context() as patch:
            patch.setattr(bench.outbox, "publish_texts", refuse)
            bench.assign(("listening", 10))
            await bench.advance(5.0)
            assert found == ["one"]
        await bench.advance(2.0)
        assert found == []
        assert [s.value for s in bench.samples("listening.text")] == ["one"]


async def test_a_figure_may_bring_its_own_unit(tmp_path: Path) -> None:
    def read(_: Visit) -> Iterator[Reading]:
        yield Reading("unitary.each", 1.0, "a", "rpm")

    async with at_work(Bench(tmp_path, numbers("unitary", read))) as bench:
        bench.assign(("unitary", 10))
        await until(lambda: bool(bench.samples("unitary")), what="the value")
        assert [entry.unit for entry in bench.outbox._book.entries if entry.key == "unitary.each[a]"] == ["rpm"]
