"""When a probe is due: a grid that does not drift. Pure."""

from __future__ import annotations

from math import floor
from typing import Final

FIRST_RATES_SECONDS: Final = 1.0


def first_due(now: float, interval: float, phase: float) -> float:
    """Return the first grid point that leaves the reading made now some time to become a rate.

    All in seconds of the monotonic clock; grid points are `phase * interval + n * interval`, `phase` from 0 to 1.
    """
    earliest = now + min(FIRST_RATES_SECONDS, interval / 2)
    return (floor(earliest / interval - phase) + 1 + phase) * interval


def next_due(due: float, interval: float, now: float) -> tuple[float, int]:
    """Return the first grid point after `now`, and how many between it and `due` are missed.

    The grid is `due + n * interval`, so lateness never shifts it. `now` is `due` or later, or the run was early.
    """
    steps = max(1, floor((now - due) / interval) + 1)
    return due + steps * interval, steps - 1
