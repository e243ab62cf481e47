"""Instants as people say them: "yesterday 18:00", "3 hours ago", "2026-11-20", "friday 08:00". Pure.

A few forms of our own rather than a library that guesses: what may mean two things is refused, or settled by the
restore points there are (`backup/choice.py`).
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from backup.model import read_instant

if TYPE_CHECKING:
    from datetime import tzinfo

_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_AGO: Final = re.compile(r"(\d{1,6}|an?|one) (second|minute|hour|day|week)s? ago")
_AHEAD: Final = re.compile(r"in (\d{1,4}|an?|one) (day|week|month|year)s?")
_TIME: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")
_TO_THE_MINUTE: Final = re.compile(r"(?:^|[ t])\d?\d:\d\d(?:z|[+-]\d\d:?\d\d)?$")
_SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
EXPECTED_AHEAD: Final = 'expected a time to come such as "in 30 days", "in 2 years", "tomorrow", "2027-06-30"'
EXPECTED: Final = (
    'expected an instant such as "2026-11-20 18:00", "2026-11-20T17:00:00Z", "yesterday 18:00", "friday", "3 hours ago"'
    ' or "now"'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """What somebody said of an instant.

    at: what it means (aware UTC); a day without a time means its last second. minute: whether it was said to the
    minute, so that what is of that minute is meant too. also: the other instant it can mean, at the end of summer time.
    """

    said: str
    at: datetime
    minute: bool = False
    also: datetime | None = None

    @property
    def latest(self) -> datetime:
        """The last instant that it may mean."""
        at = self.at if self.also is None else max(self.at, self.also)
        return at + timedelta(minutes=1) - timedelta.resolution if self.minute else at


def local(at: datetime) -> str:
    """Return an instant for people, in this machine's zone, as `--at` takes it: "2026-11-20 18:00:00+01:00".

    The zone is told, since words travel: a reason stands at a target, on the server's page, in a message.
    """
    return at.astimezone().isoformat(sep=" ", timespec="seconds")


def read_when(text: str, now: datetime, zone: tzinfo | None = None) -> datetime:
    """Return the aware instant (UTC) that `text` means at `now`. Raises ValueError saying what was expected.

    What names no zone is in `zone` (none: this machine's). A day without a time means its last second: what is asked
    for is how things stood on that day. A weekday is the latest one before today. Of two instants the first is meant.
    """
    return understand(text, now, zone).at


def read_ahead(text: str, now: datetime, zone: tzinfo | None = None) -> datetime:
    """Return the aware instant (UTC) until which something is to hold: the end of a day to come, or as `read_when`.

    "in a month" is the same day of the next one, or that one's last. Raises ValueError saying what was expected.
    """
    words = " ".join(text.lower().split())
    match = _AHEAD.fullmatch("in a day" if words == "tomorrow" else words)
    if match is None:
        try:
            return read_when(text, now, zone)
        except ValueError as error:
            raise ValueError(f"{EXPECTED_AHEAD}; found {text!r:.60}") from error
    number = int(match[1]) if match[1].isdigit() else 1
    here = now.astimezone(zone).replace(tzinfo=None, fold=0, hour=23, minute=59, second=59, microsecond=0)
    try:
        if match[2] in ("day", "week"):
            day = here + timedelta(days=number * (7 if match[2] == "week" else 1))
        else:
            year, month = divmod(here.year * 12 + here.month - 1 + number * (12 if match[2] == "year" else 1), 12)
            day = here.replace(year=year, month=month + 1, day=min(here.day, monthrange(year, month + 1)[1]))
    except ValueError as error:
        raise ValueError(f"{EXPECTED_AHEAD}; found {text!r:.60}") from error
    return _settle(day, zone, text)[0]


def understand(text: str, now: datetime, zone: tzinfo | None = None) -> When:
    """Return what `text` means at `now`, as `read_when` does, with what it may mean beside that."""
    words = " ".join(text.lower().split())
    if words in ("now", "latest"):
        return When(said=text, at=now.astimezone(UTC))
    if match := _AGO.fullmatch(words):
        number = int(match[1]) if match[1].isdigit() else 1
        return When(said=text, at=now.astimezone(UTC) - timedelta(seconds=number * _SECONDS[match[2]]))
    try:
        return When(said=text, at=read_instant(text.strip().upper()))  # as restore points are named
    except ValueError:
        pass
    is_to_minute = _TO_THE_MINUTE.search(words) is not None
    plain = _read_day(words, now, zone) or _read_iso(text.strip())
    if plain.tzinfo is not None:
        return When(said=text, at=plain.astimezone(UTC), minute=is_to_minute)
    at, also = _settle(plain, zone, text)
    return When(said=text, at=at, minute=is_to_minute, also=also)


def understand_past(text: str, now: datetime, zone: tzinfo | None = None) -> When:
    """Return what `text` means as `understand` does. Raises ValueError for a time of today that is still to come."""
    found = understand(text, now, zone)
    words = text.lower().removeprefix("today").strip().removeprefix("at ")
    if found.at > now and _TIME.fullmatch(words):
        raise ValueError(f'{text!r:.60} is still to come today: say "yesterday {words}"')
    return found


def _settle(plain: datetime, zone: tzinfo | None, text: str) -> tuple[datetime, datetime | None]:
    """Return the instants a time of the wall clock means, two in the hour that is had twice. Raises ValueError."""
    first, second = (_in_zone(plain.replace(fold=fold), zone) for fold in (0, 1))
    back = first.astimezone(zone).replace(tzinfo=None, fold=0)
    if back != plain:
        raise ValueError(f"{text!r:.60} was never: the clocks went forward then; name a time before or after")
    return first, second if second != first else None


def _in_zone(plain: datetime, zone: tzinfo | None) -> datetime:
    return (plain.replace(tzinfo=zone) if zone is not None else plain.astimezone()).astimezone(UTC)


def _read_day(words: str, now: datetime, zone: tzinfo | None) -> datetime | None:
    """Return a day said by its name, with or without a time, by the wall clock; None when `words` name no day."""
    name, _, time = words.removeprefix("last ").partition(" ")
    here = now.astimezone(zone).replace(tzinfo=None, fold=0)
    if name in ("today", "yesterday"):
        days = 0 if name == "today" else 1
    elif name in _DAYS:
        days = (here.weekday() - _DAYS.index(name) - 1) % 7 + 1
    elif match := _TIME.fullmatch(words):
        return _at(here, match)
    else:
        return None
    day = here - timedelta(days=days)
    time = time.removeprefix("at ")
    if not time:
        return day.replace(hour=23, minute=59, second=59, microsecond=0)
    found = _TIME.fullmatch(time)
    if found is None:
        raise ValueError(f"{EXPECTED}; found {words!r:.60}")
    return _at(day, found)


def _at(day: datetime, time: re.Match[str]) -> datetime:
    return day.replace(hour=int(time[1]), minute=int(time[2]), second=int(time[3] or 0), microsecond=0)


def _read_iso(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{EXPECTED}; found {text!r:.60}") from error
    if len(text) == len("2026-11-20"):
        return found.replace(hour=23, minute=59, second=59)
    return found
