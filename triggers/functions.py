"""The functions a trigger expression may use. Adding one means adding its declaration to FUNCTIONS."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

Floats = NDArray[np.float64]


class Basis(Enum):
    """What a function is computed from; it decides what is kept in memory and what a value costs."""

    LAST = auto()  # the newest value: a column, no window
    TOTALS = auto()  # totals carried along with the window: constant cost per value
    COUNT = auto()  # the window's number of samples; the timer lets it shrink while an item is silent
    SAMPLES = auto()  # all samples of the window: cost per value grows with the window
    SILENCE = auto()  # when something last arrived, on the server's clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Carried along for n windows, none of them empty: float64[n] each."""

    count: Floats
    sum: Floats
    minimum: Floats
    maximum: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """The samples of n windows, none of them empty, one window after the other.

    `starts` int64[n]: where each window begins in `seconds` and `values` (float64[total]); `lengths` int64[n].
    `seconds` are relative to the window's end, so ≤ 0, oldest first. `window_seconds` is the length asked for.
    """

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    seconds: Floats
    values: Floats
    window_seconds: float

    def totals(self, column: Floats) -> Floats:
        """Add up `column` (float64[total]) window by window: float64[n]."""
        return np.add.reduceat(column, self.starts)

    def spread(self, per_window: Floats) -> Floats:
        """Repeat a value per window (float64[n]) for each of its samples: float64[total]."""
        return np.repeat(per_window, self.lengths)


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function of one item.

    Written `name(item, window, numbers…)`: the window stands there when the basis needs one, `numbers` names the
    further ones. `from_totals` or `from_samples` computes it for n windows at once, as float64[n]; NaN is unknown, and
    so is an empty window, which it never sees. `totals` names those of `Totals` it reads: the others hold nothing.
    `is_condition`: it yields true or false (as 1 and 0). `unit`: of what it yields; None: the item's own.
    """

    name: str
    basis: Basis
    summary: str
    example: str
    numbers: tuple[str, ...] = ()
    is_condition: bool = False
    unit: str | None = None
    totals: tuple[str, ...] = ()
    from_totals: Callable[[Totals], Floats] | None = None
    from_samples: Callable[[Samples, tuple[float, ...]], Floats] | None = None

    @property
    def has_window(self) -> bool:
        """Tell whether a duration follows the item."""
        return self.basis is not Basis.LAST


def _average(totals: Totals) -> Floats:
    return totals.sum / totals.count


def _time_left(samples: Samples, numbers: tuple[float, ...]) -> Floats:
    """Fit a line by least squares; unknown until the samples span half the window: two neighbours are no trend."""
    (threshold,) = numbers
    count = samples.lengths.astype(np.float64)
    middle = samples.totals(samples.seconds) / count
    level = samples.totals(samples.values) / count
    from_middle = samples.seconds - samples.spread(middle)
    variance = samples.totals(from_middle * from_middle)
    slope = samples.totals(from_middle * (samples.values - samples.spread(level))) / variance
    distance = threshold - (level - slope * middle)  # from the line's end to the threshold
    left = np.where(distance == 0, 0.0, np.where(distance * slope > 0, distance / slope, np.inf))
    span = samples.seconds[samples.starts + samples.lengths - 1] - samples.seconds[samples.starts]
    is_enough = (span * 2 >= samples.window_seconds) & (variance > 0) & np.isfinite(slope)
    return np.where(is_enough, left, np.nan)


_DECLARED = (
    Function(
        name="last",
        basis=Basis.LAST,
        summary="the newest value",
        example="last(cpu.busy)",
    ),
    Function(
        name="avg",
        basis=Basis.TOTALS,
        summary="the mean of the window's values",
        example="avg(cpu.busy, 5m)",
        totals=("sum",),
        from_totals=_average,
    ),
    Function(
        name="min",
        basis=Basis.TOTALS,
        summary="the smallest value of the window",
        example="min(memory.available, 5m)",
        totals=("minimum",),
        from_totals=lambda totals: totals.minimum,
    ),
    Function(
        name="max",
        basis=Basis.TOTALS,
        summary="the largest value of the window",
        example="max(cpu.busy, 5m)",
        totals=("maximum",),
        from_totals=lambda totals: totals.maximum,
    ),
    Function(
        name="count",
        basis=Basis.COUNT,
        summary="how many values the window holds; unknown while the item is younger than the window",
        example="count(cpu.busy, 5m)",
        unit="",
    ),
    Function(
        name="nodata",
        basis=Basis.SILENCE,
        summary="true when nothing arrived for that long and the item, not the way to it, is to blame",
        example="nodata(agent.memory, 2m)",
        is_condition=True,
    ),
    Function(
        name="timeleft",
        basis=Basis.SAMPLES,
        summary=(
            "seconds until the line fitted to the window crosses the threshold; endless when it does not approach it,"
            " unknown until the samples span half the window"
        ),
        example="timeleft(filesystem.free[/], 1h, 0)",
        numbers=("threshold",),
        unit="s",
        from_samples=_time_left,
    ),
)

FUNCTIONS = {function.name: function for function in _DECLARED}
