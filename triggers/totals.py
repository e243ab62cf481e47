"""Totals carried along with windows: they change by what enters and leaves, not by reading the window again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from triggers.rings import Stretch
    from triggers.table import Journal, Rows, Table

    Floats = NDArray[np.float64]
    Flags = NDArray[np.bool_]


_ROUNDING = 2.0**-53


class Total(Protocol):
    """One total per row of a track. `rows` are distinct within a call."""

    def save(self, rows: Rows, journal: Journal) -> None:
        """Note what may have to be put back."""

    def clear(self, rows: Rows) -> None:
        """Set to the total of an empty window."""

    def add(self, rows: Rows, values: Floats) -> None:
        """A value enters each window."""

    def remove(self, rows: Rows, values: Floats) -> Flags:
        """A value leaves each window; tells which rows must be recomputed from their windows now."""

    def is_doubtful(self, rows: Rows) -> Flags:
        """Tell which totals have lost so much that they must be recomputed."""

    def recompute(self, rows: Rows, stretch: Stretch) -> Floats:
        """Compute anew from whole windows, none of them empty: a row for each, or one for the last; returns all."""

    def read(self, rows: Rows) -> Floats:
        """The totals."""


class Sum:
    """A sum in twice the precision of a float (Knuth's TwoSum), so that what entered leaves without a trace.

    What even that may have lost is bounded in a third column: when it could show (a huge value came and went, the sum
    overflowed), the sum is computed anew. Whole numbers of usual size lose nothing.
    """

    def __init__(self, table: Table) -> None:
        self._high: Floats = table.column(np.float64, 0.0)
        self._low: Floats = table.column(np.float64, 0.0)
        self._lost: Floats = table.column(np.float64, 0.0)

    def save(self, rows: Rows, journal: Journal) -> None:
        """Note all columns."""
        journal.save(self._high, rows)
        journal.save(self._low, rows)
        journal.save(self._lost, rows)

    def clear(self, rows: Rows) -> None:
        """Set to 0."""
        self._high[rows] = 0.0
        self._low[rows] = 0.0
        self._lost[rows] = 0.0

    def add(self, rows: Rows, values: Floats) -> None:
        """Add and keep the rounding error."""
        before = self._high[rows]
        after = before + values
        part = after - before
        self._high[rows] = after
        low = self._low[rows] + ((before - (after - part)) + (values - part))
        self._low[rows] = low
        self._lost[rows] += np.abs(low) * _ROUNDING

    def remove(self, rows: Rows, values: Floats) -> Flags:
        """Subtract; asks for recomputation by `is_doubtful` only."""
        self.add(rows, -values)
        return np.zeros(len(rows), bool)

    def is_doubtful(self, rows: Rows) -> Flags:
        """Doubt a sum of which more than its last bits may be lost."""
        is_kept: Flags = self._lost[rows] <= np.abs(self._high[rows]) * (4 * _ROUNDING)  # false for NaN
        return ~is_kept

    def recompute(self, rows: Rows, stretch: Stretch) -> Floats:
        """Sum each window almost exactly.

        Each value is cut at one common bit: the upper parts add up without error, the lower ones with an error far
        below one unit in the last place (Rump, Ogita, Oishi: Accurate floating-point summation, 2008).
        """
        largest = np.maximum.reduceat(np.abs(stretch.values), stretch.starts)
        cut = np.exp2(np.ceil(np.log2(np.maximum(largest, 1e-290))) + np.ceil(np.log2(stretch.lengths + 2.0)))
        cut = np.where(np.isfinite(cut), cut, 0.0)  # sums out of range stay so
        spread = np.repeat(cut, stretch.lengths)
        upper = (spread + stretch.values) - spread
        high = np.add.reduceat(upper, stretch.starts)
        low = np.add.reduceat(stretch.values - upper, stretch.starts)
        self._high[rows] = high[-len(rows) :]
        self._low[rows] = low[-len(rows) :]
        self._lost[rows] = 0.0
        return high + low

    def read(self, rows: Rows) -> Floats:
        """The rounded sum."""
        return self._high[rows] + self._low[rows]


class Extreme:
    """The smallest or largest value; recomputed only when it leaves the window."""

    def __init__(self, table: Table, *, is_maximum: bool) -> None:
        self._none = -np.inf if is_maximum else np.inf
        self._choose = np.maximum if is_maximum else np.minimum
        self._extreme: Floats = table.column(np.float64, self._none)

    def save(self, rows: Rows, journal: Journal) -> None:
        """Note the extreme."""
        journal.save(self._extreme, rows)

    def clear(self, rows: Rows) -> None:
        """Set to what any value replaces."""
        self._extreme[rows] = self._none

    def add(self, rows: Rows, values: Floats) -> None:
        """Let the value compete."""
        self._extreme[rows] = self._choose(self._extreme[rows], values)

    def remove(self, rows: Rows, values: Floats) -> Flags:
        """Ask for recomputation where the extreme itself left."""
        has_left: Flags = self._extreme[rows] == values
        return has_left

    def is_doubtful(self, rows: Rows) -> Flags:
        """Never: an extreme is exact."""
        return np.zeros(len(rows), bool)

    def recompute(self, rows: Rows, stretch: Stretch) -> Floats:
        """Search the windows."""
        extremes: Floats = self._choose.reduceat(stretch.values, stretch.starts)
        self._extreme[rows] = extremes[-len(rows) :]
        return extremes

    def read(self, rows: Rows) -> Floats:
        """The extremes."""
        return self._extreme[rows]


TOTALS: dict[str, Callable[[Table], Total]] = {
    "sum": Sum,
    "minimum": lambda table: Extreme(table, is_maximum=False),
    "maximum": lambda table: Extreme(table, is_maximum=True),
}
