"""When a backup set is due. Pure, and light: the agent imports this file.

A schedule is written as people say it: "daily 02:30", "weekly sunday 03:00", "hourly", "every 6h", "never". Times of
day are UTC, so that no night has an hour twice. "every" counts from the epoch: all machines agree on the instants.

Invariants of `decide`: nothing begins outside the set's window; at most one run a set is asked for, however many due
instants were missed; a run that is under way is never doubled; a due instant that was run, or that trying again would
not help, is not asked for again. A clock that was ahead for a while puts nothing off.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from core.runtime.window import Window

_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_EVERY: Final = re.compile(r"every (\d{1,5}) ?(s|m|h|d)")
_DAILY: Final = re.compile(r"daily ([01]\d|2[0-3]):([0-5]\d)")
_WEEKLY: Final = re.compile(rf"weekly ({'|'.join(_DAYS)}) ([01]\d|2[0-3]):([0-5]\d)")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MONDAY: Final = datetime(1970, 1, 5, tzinfo=UTC)

LONGEST_SPREAD: Final = timedelta(minutes=10)
LONGEST_SETTLING: Final = timedelta(minutes=3)
SHORTEST_RETRY: Final = timedelta(minutes=1)
LONGEST_RETRY: Final = timedelta(hours=1)
MOST_ATTEMPTS: Final = 4
SKEW: Final = timedelta(minutes=5)
"""By so much clocks differ, or are set back, and nothing is wrong."""
EXPECTED: Final = (
    'expected "daily HH:MM", "weekly DAY HH:MM" (UTC), "hourly", "every 30m", "every 6h", "every 2d" or "never"'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Due instants: `first + n * period`. No period: never."""

    period: timedelta | None
    first: datetime = _EPOCH

    def last_due(self, now: datetime) -> datetime | None:
        """Return the latest due instant not after `now`."""
        if self.period is None:
            return None
        return self.first + (now - self.first) // self.period * self.period

    def next_due(self, now: datetime) -> datetime | None:
        """Return the first due instant after `now`."""
        last = self.last_due(now)
        return None if last is None or self.period is None else last + self.period


def parse_schedule(text: str) -> Schedule:
    """Read a schedule. Raises ValueError saying what was expected."""
    words = " ".join(text.lower().split())
    if words == "never":
        return Schedule(period=None)
    if words == "hourly":
        return Schedule(period=timedelta(hours=1))
    if match := _EVERY.fullmatch(words):
        seconds = int(match[1]) * _SECONDS[match[2]]
        if seconds > 0:
            return Schedule(period=timedelta(seconds=seconds))
    if match := _DAILY.fullmatch(words):
        return Schedule(period=timedelta(days=1), first=_EPOCH + _time_of_day(match[1], match[2]))
    if match := _WEEKLY.fullmatch(words):
        days = timedelta(days=_DAYS.index(match[1]))
        return Schedule(period=timedelta(days=7), first=_FIRST_MONDAY + days + _time_of_day(match[2], match[3]))
    raise ValueError(f"{EXPECTED}; found {text!r:.60}")


def check_schedule(text: str) -> str | None:
    """Return what was expected of a schedule, None when `text` is one."""
    try:
        parse_schedule(text)
    except ValueError as error:
        return str(error)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """What is known of a set's runs: the due instant last begun, and how its attempts went.

    count: how many attempts that due instant has had. may_help: trying again may mend how the last one failed.
    ended_at: when it ended; None while it runs.
    """

    due_at: datetime
    is_ok: bool
    may_help: bool
    count: int
    ended_at: datetime | None

    def is_later_than(self, now: datetime) -> bool:
        """Whether they ended after `now`: the machine's clock was ahead then, and what was due by it tells nothing."""
        return self.ended_at is not None and self.ended_at > now + SKEW


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """When in the day a run may begin, None for always; and whether what was missed is made up for."""

    window: Window | None = None
    catch_up: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether to start a run now. `due_at`: the run's due instant, None when nothing is to be started.

    `look_at`: when to ask again, None for never. `reason` in words.
    """

    due_at: datetime | None
    look_at: datetime | None
    reason: str


def spread_of(name: str, period: timedelta) -> timedelta:
    """Return how long after its due instant the run called `name` starts: always the same, at most 1/20 of the period.

    So a thousand machines with one schedule do not write to one target in the same second.
    """
    share = zlib.crc32(name.encode()) / 2**32
    return min(period / 20, LONGEST_SPREAD) * share


def decide(
    schedule: Schedule,
    *,
    name: str,
    known: Attempts | None,
    started_at: datetime,
    now: datetime,
    terms: Terms = Terms(),
) -> Decision:
    """Decide whether the set `name` ("HOST/SET") is to be run now.

    `started_at` is when this agent started: what was missed while it was away waits a little, so that a starting
    machine is not also busy with its backup.
    """
    period, due_at = schedule.period, schedule.last_due(now)
    if period is None or due_at is None:
        return Decision(due_at=None, look_at=None, reason="it has no schedule")
    following = due_at + period + spread_of(name, period)
    if known is not None and known.is_later_than(now):
        known = None
    if known is not None and known.ended_at is None:
        return Decision(due_at=None, look_at=None, reason="a run is under way")
    if known is None or known.due_at < due_at:
        start_at, reason = due_at + spread_of(name, period), "it is due"
        if not terms.catch_up and (start_at < started_at or _is_closed_for(start_at, terms.window, now)):
            return Decision(due_at=None, look_at=following, reason="it was missed, and is not made up for")
        if start_at < started_at:
            start_at = started_at + min(period / 20, LONGEST_SETTLING)
            reason = "it was missed while nobody was there, or never ran"
        if start_at > now:
            return Decision(due_at=None, look_at=start_at, reason=f"{reason}; it waits its turn")
        return _within(terms.window, now, Decision(due_at=due_at, look_at=None, reason=reason))
    if known.is_ok:
        return Decision(due_at=None, look_at=following, reason="the last one due is done")
    retry_at = _retry_at(known, period)
    if retry_at is None or retry_at >= following or retry_at > now:
        look_at = following if retry_at is None else min(retry_at, following)
        what = "the next one is waited for" if look_at == following else "it is tried again"
        return Decision(due_at=None, look_at=look_at, reason=f"the last one due failed; {what}")
    again = Decision(due_at=now, look_at=None, reason="the last one due failed; it is tried again")
    return _within(terms.window, now, again)


def _within(window: Window | None, now: datetime, decision: Decision) -> Decision:
    """Return the decision to start while the window is open, else one to look when it opens."""
    opens_at = now if window is None else window.opens_at(now)
    if opens_at <= now:
        return decision
    return Decision(due_at=None, look_at=opens_at, reason=f"{decision.reason}; it waits for its window")


def _is_closed_for(start_at: datetime, window: Window | None, now: datetime) -> bool:
    """Tell whether the stretch of the window in which a run was to begin is over."""
    if window is None:
        return False
    closes_at = window.closes_at(window.opens_at(start_at))
    return closes_at is not None and now >= closes_at


def _retry_at(known: Attempts, period: timedelta) -> datetime | None:
    """Return when a failed run is tried again; None when that would not help, or was done often enough."""
    if not known.may_help or known.count >= MOST_ATTEMPTS or known.ended_at is None:
        return None
    return known.ended_at + min(max(period / 24, min(SHORTEST_RETRY, period / 2)), LONGEST_RETRY)


def _time_of_day(hours: str, minutes: str) -> timedelta:
    return timedelta(hours=int(hours), minutes=int(minutes))
