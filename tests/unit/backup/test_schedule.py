"""When a backup set is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup.schedule import MOST_ATTEMPTS, Attempts, Terms, check_schedule, decide, parse_schedule, spread_of
from core.runtime.window import check_window, parse_window

if TYPE_CHECKING:
    from backup.schedule import Decision

NIGHT = datetime(2026, 11, 21, 2, 30, tzinfo=UTC)  # a Saturday
LONG_AGO = NIGHT - timedelta(days=30)
DAILY = parse_schedule("daily 02:30")
SPREAD = spread_of("web1/files", timedelta(days=1))


def done(due_at: datetime = NIGHT) -> Attempts:
    return Attempts(due_at=due_at, is_ok=True, may_help=False, count=1, ended_at=due_at + timedelta(minutes=5))


def failed(*, may_help: bool = True, count: int = 1) -> Attempts:
    return Attempts(due_at=NIGHT, is_ok=False, may_help=may_help, count=count, ended_at=NIGHT + timedelta(minutes=5))


@pytest.mark.parametrize(
    ("text", "last", "following"),
    [
        ("daily 02:30", "2026-11-21T02:30", "2026-11-22T02:30"),
        ("Daily  23:59", "2026-11-20T23:59", "2026-11-21T23:59"),
        ("weekly sunday 03:00", "2026-11-15T03:00", "2026-11-22T03:00"),
        ("weekly saturday 12:00", "2026-11-21T12:00", "2026-11-28T12:00"),
        ("hourly", "2026-11-21T12:00", "2026-11-21T13:00"),
        ("every 6h", "2026-11-21T12:00", "2026-11-21T18:00"),
        ("every 45 m", "2026-11-21T12:00", "2026-11-21T12:45"),
    ],
)
def test_a_schedule_says_what_was_due_last_and_is_due_next(text: str, last: str, following: str) -> None:
    noon = datetime(2026, 11, 21, 12, 10, tzinfo=UTC)
    schedule = parse_schedule(text)
    assert schedule.last_due(noon) == datetime.fromisoformat(f"{last}Z")
    assert schedule.next_due(noon) == datetime.fromisoformat(f"{following}Z")


@pytest.mark.parametrize("text", ["", "daily", "daily 24:00", "daily 2:30", "every 0h", "every -1h", "weekly 03:00",
                                  "weekly funday 03:00", "every 6h; rm", "every 999999d"])  # fmt: skip
def test_what_is_no_schedule_is_refused_with_what_was_expected(text: str) -> None:
    assert "daily HH:MM" in (check_schedule(text) or "")


def test_never_is_never() -> None:
    decision = decide(parse_schedule("never"), name="web1/files", known=None, started_at=LONG_AGO, now=NIGHT)
    assert (decision.due_at, decision.look_at) == (None, None)


def test_a_due_set_starts_after_its_own_share_of_the_spread_under_the_id_of_the_due_instant() -> None:
    early = decide(DAILY, name="web1/files", known=done(NIGHT - timedelta(days=1)), started_at=LONG_AGO, now=NIGHT)
    assert (early.due_at, early.look_at) == (None, NIGHT + SPREAD)
    now = decide(DAILY, name="web1/files", known=done(NIGHT - timedelta(days=1)), started_at=LONG_AGO,
                 now=NIGHT + SPREAD)  # fmt: skip
    assert now.due_at == NIGHT


def test_a_thousand_machines_spread_over_the_minutes_and_each_always_starts_at_the_same_one() -> None:
    starts = {spread_of(f"web{number}/files", timedelta(days=1)) for number in range(1000)}
    assert len(starts) > 990
    assert timedelta(0) <= min(starts) < timedelta(seconds=10)
    assert timedelta(minutes=9, seconds=50) < max(starts) <= timedelta(minutes=10)
    assert spread_of("web1/files", timedelta(days=1)) == SPREAD


def test_weeks_without_an_agent_are_caught_up_by_one_run_some_minutes_after_its_start() -> None:
    started_at = NIGHT + timedelta(hours=9)
    known = done(NIGHT - timedelta(days=20))
    waiting = decide(DAILY, name="web1/files", known=known, started_at=started_at, now=started_at)
    assert waiting.due_at is None
    assert waiting.look_at == started_at + timedelta(minutes=3)
    caught_up = decide(DAILY, name="web1/files", known=known, started_at=started_at, now=waiting.look_at)
    assert caught_up.due_at == NIGHT
    after = decide(DAILY, name="web1/files", known=done(NIGHT), started_at=started_at, now=waiting.look_at)
    assert after.due_at is None


def test_a_set_under_way_is_never_started_again_even_when_its_next_due_instant_has_passed() -> None:
    running = Attempts(due_at=NIGHT, is_ok=False, may_help=True, count=1, ended_at=None)
    decision = decide(DAILY, name="web1/files", known=running, started_at=LONG_AGO, now=NIGHT + timedelta(days=3))
    assert decision.due_at is None


def test_a_failure_that_may_pass_is_tried_again_later_under_an_id_of_its_own_and_not_for_ever() -> None:
    soon = decide(DAILY, name="web1/files", known=failed(), started_at=LONG_AGO, now=NIGHT + timedelta(minutes=6))
    assert soon.due_at is None
    assert soon.look_at == NIGHT + timedelta(minutes=65)
    later = decide(DAILY, name="web1/files", known=failed(), started_at=LONG_AGO, now=soon.look_at)
    assert later.due_at == soon.look_at
    for known in (failed(count=MOST_ATTEMPTS), failed(may_help=False)):
        given_up = decide(DAILY, name="web1/files", known=known, started_at=LONG_AGO, now=NIGHT + timedelta(hours=9))
        assert given_up.due_at is None
        assert given_up.look_at == NIGHT + timedelta(days=1) + SPREAD


def test_what_was_run_while_the_clock_was_ahead_puts_nothing_off() -> None:
    for known in (done(NIGHT + timedelta(days=400)), done(NIGHT + timedelta(hours=1))):
        decision = decide(DAILY, name="web1/files", known=known, started_at=LONG_AGO, now=NIGHT + SPREAD)
        assert decision.due_at == NIGHT
    known = done()
    assert known.ended_at is not None
    set_back = known.ended_at - timedelta(minutes=3)  # by a little, as clocks are: what is done is done
    assert decide(DAILY, name="web1/files", known=known, started_at=LONG_AGO, now=set_back).due_at is None


@given(
    seconds=st.integers(1, 40 * 86_400),
    after_start=st.integers(0, 90 * 86_400),
    known_before=st.none() | st.integers(0, 90 * 86_400),
    is_ok=st.booleans(),
)
def test_a_decision_starts_something_or_says_when_to_look_again_always_later_than_now(
    seconds: int, after_start: int, known_before: int | None, is_ok: bool
) -> None:
    schedule = parse_schedule(f"every {seconds}s") if seconds < 100_000 else parse_schedule(f"every {seconds // 3600}h")
    now = LONG_AGO + timedelta(seconds=after_start)
    known = None
    if known_before is not None:
        due_at = schedule.last_due(now - timedelta(seconds=known_before))
        assert due_at is not None
        known = Attempts(due_at=due_at, is_ok=is_ok, may_help=not is_ok, count=1, ended_at=max(due_at, now))
    decision = decide(schedule, name="web1/files", known=known, started_at=LONG_AGO, now=now)
    if decision.due_at is None:
        assert decision.look_at is not None
        assert decision.look_at > now
    else:
        assert decision.due_at <= now


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}Z")


def decide_with(now: str, known: Attempts | None, *, window: str | None = None, catch_up: bool = True,
                started: datetime = LONG_AGO) -> Decision:  # fmt: skip
    terms = Terms(window=None if window is None else parse_window(window), catch_up=catch_up)
    return decide(DAILY, name="web1/files", known=known, started_at=started, now=at(now), terms=terms)


BEFORE = done(NIGHT - timedelta(days=1))


@pytest.mark.parametrize(
    ("now", "window", "look_at"),
    [
        ("2026-11-21T03:00", "22:00-06:00", None),
        ("2026-11-21T05:59", "22:00-06:00", None),
        ("2026-11-21T06:00", "22:00-06:00", "2026-11-21T22:00"),
        ("2026-11-21T22:00", "22:00-06:00", None),
        ("2026-11-21T03:00", "04:00-05:00", "2026-11-21T04:00"),
        ("2026-11-21T05:00", "04:00-05:00", "2026-11-22T04:00"),
    ],
)
def test_a_run_begins_only_within_its_window(now: str, window: str, look_at: str | None) -> None:
    decision = decide_with(now, BEFORE, window=window)
    assert decision.due_at == (NIGHT if look_at is None else None)
    assert decision.look_at == (None if look_at is None else at(look_at))


def test_what_failed_is_tried_again_within_its_window_only() -> None:
    inside = decide_with("2026-11-21T04:00", failed(), window="02:00-05:00")
    assert inside.due_at == at("2026-11-21T04:00")
    outside = decide_with("2026-11-21T05:00", failed(), window="02:00-05:00")
    assert (outside.due_at, outside.look_at) == (None, at("2026-11-22T02:00"))


def test_without_catching_up_what_was_missed_waits_for_the_next_due_instant() -> None:
    following = NIGHT + timedelta(days=1) + SPREAD
    started = at("2026-11-21T09:00")
    missed = decide_with("2026-11-21T12:00", BEFORE, catch_up=False, started=started)
    assert (missed.due_at, missed.look_at) == (None, following)
    new = decide_with("2026-11-21T12:00", None, catch_up=False, started=started)
    assert (new.due_at, new.look_at) == (None, following)
    late = decide_with("2026-11-21T23:00", BEFORE, catch_up=False, window="22:00-06:00")  # its window closed at six
    assert (late.due_at, late.look_at) == (None, following)
    busy = decide_with("2026-11-21T05:00", BEFORE, catch_up=False, window="22:00-06:00")  # others were before it
    assert busy.due_at == NIGHT


@pytest.mark.parametrize("text", ["", "22:00", "22:00-22:00", "24:00-06:00", "22:00-6:00", "22:00-06:00 x"])
def test_what_is_no_window_is_refused_with_what_was_expected(text: str) -> None:
    assert "22:00-06:00" in (check_window(text) or "")


@given(st.integers(0, 1439), st.integers(1, 1439), st.integers(0, 3 * 86_400))
def test_a_window_is_open_from_its_opening_to_its_closing(opens: int, length: int, seconds: int) -> None:
    closes = (opens + length) % 1440
    window = parse_window(f"{opens // 60:02}:{opens % 60:02}-{closes // 60:02}:{closes % 60:02}")
    now = NIGHT + timedelta(seconds=seconds)
    since_opening = (now.hour * 3600 + now.minute * 60 + now.second - opens * 60) % 86_400
    closes_at = window.closes_at(now)
    if since_opening < length * 60:
        assert closes_at == now + timedelta(seconds=length * 60 - since_opening)
        assert window.opens_at(now) == now
    else:
        assert closes_at is None
        assert window.opens_at(now) == now + timedelta(seconds=86_400 - since_opening)
