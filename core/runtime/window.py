"""A stretch of every day in which something may begin, such as 22:00-06:00 (UTC). Pure, and light: agents import it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

_FORM: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d) ?- ?([01]\d|2[0-3]):([0-5]\d)")
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """From `opens` to `closes`, times of day; over midnight when it closes before it opens."""

    opens: timedelta
    closes: timedelta

    def opens_at(self, at: datetime) -> datetime:
        """Return the first instant within it that is not before `at`."""
        return at if self.closes_at(at) is not None else _next(at, self.opens)

    def closes_at(self, at: datetime) -> datetime | None:
        """Return the end of the stretch that holds `at`; None when none does."""
        opened_at = _next(at, self.opens) - _DAY
        if _next(at, self.opens) == at:
            opened_at = at
        end = opened_at + (self.closes - self.opens) % _DAY
        return end if at < end else None


def parse_window(text: str) -> Window:
    """Read "22:00-06:00". Raises ValueError saying what was expected."""
    found = _FORM.fullmatch(text.strip())
    if found is None or found.group(1, 2) == found.group(3, 4):
        raise ValueError(f'expected times of day (UTC) such as "22:00-06:00", two different ones; found {text!r:.40}')
    opens, closes = (timedelta(hours=int(found[n]), minutes=int(found[n + 1])) for n in (1, 3))
    return Window(opens=opens, closes=closes)


def check_window(text: str) -> str | None:
    """Return what was expected of a window, None when `text` is one."""
    try:
        parse_window(text)
    except ValueError as error:
        return str(error)
    return None


def _next(at: datetime, time_of_day: timedelta) -> datetime:
    """Return the first instant with this time of day (UTC) that is not before `at`."""
    at = at.astimezone(UTC)
    found = at.replace(hour=0, minute=0, second=0, microsecond=0) + time_of_day
    return found if found >= at else found + _DAY
