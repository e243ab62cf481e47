"""When a backup set is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup.schedule import MOST_ATTEMPTS, Attempts, check_schedule, decide, parse_schedule, spread_of

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
