"""Instants as people say them: "yesterday 18:00", "3 hours ago", "2026-11-20", "friday 08:00". Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from backup.model import read_instant

if TYPE_CHECKING:
    from datetime import tzinfo

_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_AGO: Final = re.compile(r"(\d{1,6}|an?|one) (second|minute|hour|day|week)s? ago")
_TIME: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")
_SECONDS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
EXPECTED: Final = (
    'expected an instant such as "2026-11-20 18:00", "2026-11-20T17:00:00Z", "yesterday 18:00", "friday", "3 hours ago"'
    ' or "now"'
)


def read_when(text: str, now: datetime, zone: tzinfo | None = None) -> datetime:
    """Return the aware instant (UTC) that `text` means at `now`. Raises ValueError saying what was expected.

    What names no zone is in `zone` (none: this machine's). A day without a time means its last second: what is asked
    for is how things stood on that day. A weekday is the latest one before today.
    """
    words = " ".join(text.lower().split())
    if words in ("now", "latest"):
        return now.astimezone(UTC)
    if match := _AGO.fullmatch(words):
        number = int(match[1]) if match[1].isdigit() else 1
        return now.astimezone(UTC) - timedelta(seconds=number * _SECONDS[match[2]])
    try:
        return read_instant(text.strip().upper())  # as restore points are named
    except ValueError:
        pass
    return (_read_day(words, now, zone) or _read_iso(text.strip(), zone)).astimezone(UTC)


def _read_day(words: str, now: datetime, zone: tzinfo | None) -> datetime | None:
    """Return a day said by its name, with or without a time; None when `words` name no day."""
    name, _, time = words.removeprefix("last ").partition(" ")
    here = now.astimezone(zone)
    if name in ("today", "yesterday"):
        days = 0 if name == "today" else 1
    elif name in _DAYS:
        days = (here.weekday() - _DAYS.index(name) - 1) % 7 + 1
    elif match := _TIME.fullmatch(words):
        return _at(here, match, zone)
    else:
        return None
    day = here - timedelta(days=days)
    time = time.removeprefix("at ")
    if not time:
        plain = day.replace(hour=23, minute=59, second=59, microsecond=0, tzinfo=zone)
        return plain if zone is not None else plain.astimezone()
    found = _TIME.fullmatch(time)
    if found is None:
        raise ValueError(f"{EXPECTED}; found {words!r:.60}")
    return _at(day, found, zone)


def _at(day: datetime, time: re.Match[str], zone: tzinfo | None) -> datetime:
    plain = day.replace(hour=int(time[1]), minute=int(time[2]), second=int(time[3] or 0), microsecond=0, tzinfo=zone)
    return plain if zone is not None else plain.astimezone()


def _read_iso(text: str, zone: tzinfo | None) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{EXPECTED}; found {text!r:.60}") from error
    if len(text) == len("2026-11-20"):
        found = found.replace(hour=23, minute=59, second=59)
    if found.tzinfo is None:
        return found.replace(tzinfo=zone) if zone is not None else found.astimezone()
    return found
