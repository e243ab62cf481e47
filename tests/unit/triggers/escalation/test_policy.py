from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from triggers.escalation.hours import parse_hours
from triggers.escalation.policy import Judgement, Reachable, Situation, Step, Told, foresee, judge

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)  # a Friday
SEVERITIES = frozenset({"high", "disaster"})
MINUTE = timedelta(minutes=1)
PEOPLE = {
    "night": Reachable(media=("webhook", "email"), severities=SEVERITIES),
    "boss": Reachable(media=("email",), severities=SEVERITIES),
    "office": Reachable(media=("email",), severities=SEVERITIES, hours=parse_hours("mon-fri 08:00-18:00 UTC")),
}
OPEN = Situation(severity="high", known_at=AT)
STEPS = (
    Step(after=0 * MINUTE, tell=("night",), media=("webhook",), every=30 * MINUTE),
    Step(after=10 * MINUTE, tell=("boss",)),
    Step(after=20 * MINUTE, tell=("boss",), every=5 * MINUTE, times=2, unless_acknowledged=False),
)


def due(judgement: Judgement) -> list[tuple[int, int, str, str]]:
    return [(each.step, each.repetition, each.receiver, each.medium) for each in judgement.due]


def told(step: int, receiver: str, medium: str, count: int, minutes: float, **more: bool) -> Told:
    at = AT + minutes * MINUTE
    return Told(step=step, receiver=receiver, medium=medium, count=count, last_at=at, **more)


def test_steps_come_when_their_delay_has_passed_by_the_media_they_name() -> None:
    first = judge(OPEN, STEPS, PEOPLE, [], AT)
    assert due(first) == [(0, 0, "night", "webhook")]
    assert first.look_again_at == AT + 10 * MINUTE
    later = judge(OPEN, STEPS, PEOPLE, [told(0, "night", "webhook", 1, 0)], AT + 10 * MINUTE)
    assert due(later) == [(1, 0, "boss", "email")]
    assert later.look_again_at == AT + 20 * MINUTE


def test_a_repeat_comes_its_interval_after_the_notice_before_and_as_often_as_asked() -> None:
    before = [told(0, "night", "webhook", 4, 95), told(1, "boss", "email", 1, 10), told(2, "boss", "email", 1, 20)]
    assert due(judge(OPEN, STEPS, PEOPLE, before, AT + 24 * MINUTE)) == []
    assert due(judge(OPEN, STEPS, PEOPLE, before, AT + 25 * MINUTE)) == [(2, 1, "boss", "email")]
    before[2] = told(2, "boss", "email", 2, 25)
    found = judge(OPEN, STEPS, PEOPLE, before, AT + 100 * MINUTE)
    assert due(found) == []
    assert found.look_again_at == AT + 125 * MINUTE


def test_hours_without_a_server_make_one_notice_of_each_step_and_no_burst() -> None:
    found = judge(OPEN, STEPS, PEOPLE, [told(0, "night", "webhook", 1, 0)], AT + timedelta(days=2))
    assert due(found) == [(1, 0, "boss", "email"), (2, 0, "boss", "email"), (0, 1, "night", "webhook")]


def test_what_is_still_on_its_way_is_not_repeated() -> None:
    found = judge(OPEN, STEPS[:1], PEOPLE, [told(0, "night", "webhook", 1, 0, is_waiting=True)], AT + 40 * MINUTE)
    assert due(found) == []
    assert found.look_again_at == AT + 41 * MINUTE


def test_an_acknowledgement_stops_the_steps_that_wait_for_one_only() -> None:
    taken = replace(OPEN, is_acknowledged=True)
    found = judge(taken, STEPS, PEOPLE, [told(0, "night", "webhook", 1, 0)], AT + 60 * MINUTE)
    assert due(found) == [(2, 0, "boss", "email")]
    assert judge(taken, STEPS[:2], PEOPLE, [], AT + 60 * MINUTE) == Judgement()


def test_a_problem_that_is_over_and_a_severity_nobody_asks_for_are_told_to_nobody() -> None:
    assert judge(replace(OPEN, is_open=False), STEPS, PEOPLE, [], AT + 60 * MINUTE) == Judgement()
    assert judge(replace(OPEN, severity="warning"), STEPS, PEOPLE, [], AT + 60 * MINUTE) == Judgement()
    assert judge(OPEN, [Step(after=MINUTE, tell=("gone",))], PEOPLE, [], AT + 60 * MINUTE) == Judgement()


def test_outside_a_receivers_hours_a_notice_waits_for_their_begin() -> None:
    step = Step(after=timedelta(hours=7), tell=("office",), every=timedelta(hours=10))
    monday = datetime(2026, 11, 23, 8, tzinfo=UTC)
    found = judge(OPEN, [step], PEOPLE, [], AT + timedelta(hours=7))
    assert (due(found), found.look_again_at) == ([], monday)
    assert "held" in found.coming[0].reason
    assert due(judge(OPEN, [step], PEOPLE, [], monday)) == [(0, 0, "office", "email")]
    before = [Told(step=0, receiver="office", medium="email", count=1, last_at=monday)]
    again = judge(OPEN, [step], PEOPLE, before, monday + timedelta(hours=10))
    assert again.look_again_at == monday + timedelta(days=1), "the repeat fell into the evening"
    # a notice that was due within the hours and missed there is held too
    assert due(judge(OPEN, [Step(after=MINUTE, tell=("office",))], PEOPLE, [], AT + timedelta(days=1))) == []


def test_what_would_happen_is_foreseen_from_the_same_policy() -> None:
    found = [(each.at, each.receiver, every) for each, every in foresee(OPEN, STEPS, PEOPLE)]
    assert found == [
        (AT, "night", 30 * MINUTE), (AT + 10 * MINUTE, "boss", None), (AT + 20 * MINUTE, "boss", 5 * MINUTE),
    ]  # fmt: skip


class Escalating(RuleBasedStateMachine):
    """Whatever happens, with looks at any time: never twice the same, in order, nothing after the end."""

    @initialize(
        steps=st.lists(
            st.builds(
                Step,
                after=st.integers(0, 60).map(lambda minutes: minutes * MINUTE),
                tell=st.lists(st.sampled_from(sorted(PEOPLE)), min_size=1, max_size=3).map(tuple),
                every=st.none() | st.integers(1, 30).map(lambda minutes: minutes * MINUTE),
                times=st.none() | st.integers(1, 4),
                unless_acknowledged=st.booleans(),
            ),
            min_size=1,
            max_size=4,
        )
    )
    def begin(self, steps: list[Step]) -> None:
        self.steps, self.now, self.situation = steps, AT, OPEN
        self.look_at: datetime | None = AT
        self.log: dict[tuple[int, str, str], list[datetime]] = {}

    @rule(minutes=st.integers(0, 3000))
    def look(self, minutes: int) -> None:
        self.now += minutes * MINUTE
        before = [
            Told(step=step, receiver=receiver, medium=medium, count=len(instants), last_at=instants[-1])
            for (step, receiver, medium), instants in self.log.items()
        ]
        found = judge(self.situation, self.steps, PEOPLE, before, self.now)
        assert self.situation.is_open or not found.due
        assert len({(each.step, each.receiver, each.medium) for each in found.due}) == len(found.due)
        for each in found.due:
            step, instants = self.steps[each.step], self.log.setdefault((each.step, each.receiver, each.medium), [])
            assert each.repetition == len(instants), "no repetition left out or made twice"
            assert not (self.situation.is_acknowledged and step.unless_acknowledged)
            assert self.now >= AT + step.after
            assert not instants or (step.every is not None and self.now - instants[-1] >= step.every)
            assert step.times is None or len(instants) < step.times
            hours = PEOPLE[each.receiver].hours
            assert hours is None or hours.contains(self.now)
            instants.append(self.now)
        assert found.look_again_at is None or found.look_again_at > self.now
        # Nothing is due before the instant that was announced, as long as nothing else happens.
        early = (self.look_at or self.now + timedelta(days=3650)) - timedelta(seconds=1)
        self.look_at = found.look_again_at
        assert not found.due or self.now > early or self.situation.is_acknowledged

    @rule()
    def acknowledge(self) -> None:
        self.situation = replace(self.situation, is_acknowledged=True)

    @rule()
    def end(self) -> None:
        self.situation = replace(self.situation, is_open=False)

    @invariant()
    def every_address_is_told_no_faster_than_asked(self) -> None:
        for instants in getattr(self, "log", {}).values():
            assert instants == sorted(set(instants))


Escalating.TestCase.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
TestEscalating = Escalating.TestCase
