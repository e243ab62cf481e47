"""The hours in which somebody may be told: spans of a week, by the clocks of a time zone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SPAN: Final = re.compile(r"(?:(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))? )?(?P<begin>\d\d:\d\d)-(?P<end>\d\d:\d\d)")
_MINUTES_A_DAY: Final = 24 * 60
_MAX_CHARACTERS: Final = 300
EXPECTED: Final = 'expected hours like "mon-fri 08:00-18:00, sat 10:00-14:00 Europe/Berlin"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Minutes of a day, `begin` before `end`, on days numbered from Monday 0; `end` beyond 1440 is the next day."""

    days: frozenset[int]
    begin: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """Spans of every week in a time zone. On the days clocks change, spans begin and end by those clocks."""

    spans: tuple[Span, ...]
    zone: ZoneInfo

    def contains(self, at: datetime) -> bool:
        """Tell whether the instant lies within the hours; their end itself does not."""
        return any(begin <= at < end for begin, end in self._around(at))

    def next_instant(self, at: datetime) -> datetime:
        """Return `at` when it lies within the hours, else the instant at which they begin next."""
        windows = self._around(at)
        if any(begin <= at < end for begin, end in windows):
            return at
        # Every span has a day of the week, so within eight days one begins, unless clocks skip a short one.
        return min((begin for begin, _ in windows if begin > at), default=at + timedelta(days=7))

    def _around(self, at: datetime) -> list[tuple[datetime, datetime]]:
        today = at.astimezone(self.zone).date()
        windows = []
        for offset in range(-1, 9):
            day = today + timedelta(days=offset)
            for span in self.spans:
                if day.weekday() in span.days:
                    begin, end = (
                        datetime.combine(
                            day + timedelta(days=minute // _MINUTES_A_DAY),
                            time(minute % _MINUTES_A_DAY // 60, minute % 60),
                            self.zone,
                        ).astimezone(UTC)
                        for minute in (span.begin, span.end)
                    )
                    windows.append((begin, end))
        return windows


def parse_hours(text: str) -> Hours:
    """Read hours. Raises ValueError saying what was expected.

    Days may be left out (every day); 24:00 ends a day; a span that ends before it begins lasts into the next day.
    """
    if len(text) > _MAX_CHARACTERS:
        raise ValueError(EXPECTED)
    spans_text, _, zone_name = text.strip().rpartition(" ")
    if not spans_text or ":" in zone_name:
        raise ValueError(f"{EXPECTED}, with a time zone at the end")
    try:
        zone = ZoneInfo(zone_name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{zone_name!r} is no time zone known here; expected one like Europe/Berlin or UTC") from None
    return Hours(spans=tuple(_parse_span(part.strip()) for part in spans_text.split(",")), zone=zone)


def _parse_span(text: str) -> Span:
    match = _SPAN.fullmatch(" ".join(text.lower().split()))
    if match is None:
        raise ValueError(EXPECTED)
    first, last = match["first"] or "mon", match["last"] or match["first"] or "sun"
    if first not in _DAYS or last not in _DAYS:
        raise ValueError(f"{EXPECTED}; days are {', '.join(_DAYS)}")
    begin, end = _parse_minute(match["begin"]), _parse_minute(match["end"])
    if begin in (_MINUTES_A_DAY, end):
        raise ValueError(f"{EXPECTED}; {text!r} has no length")
    start, count = _DAYS.index(first), (_DAYS.index(last) - _DAYS.index(first)) % 7 + 1
    days = frozenset((start + step) % 7 for step in range(count))
    return Span(days=days, begin=begin, end=end if end > begin else end + _MINUTES_A_DAY)


def _parse_minute(text: str) -> int:
    hour, minute = int(text[:2]), int(text[3:])
    if minute > 59 or hour * 60 + minute > _MINUTES_A_DAY:
        raise ValueError(f"{EXPECTED}; {text!r} is no time of day")
    return hour * 60 + minute
