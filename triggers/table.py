"""Growing columns, and blocks of rows in them: the memory of windows and instances, without an object per item."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import DTypeLike

Rows = NDArray[np.int64]

_FIRST_CAPACITY = 64


def ragged(starts: Rows, lengths: Rows) -> Rows:
    """List the indices of several stretches one after the other: start, start + 1, … for each."""
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    return np.repeat(starts - (ends - lengths), lengths) + np.arange(total)


class Table:
    """Rows of columns that grow together; a row given back is used again.

    Columns are enlarged in place, so a reference to one stays good; views (slices) of one must not be kept.
    """

    def __init__(self) -> None:
        self._columns: list[tuple[NDArray[Any], Any]] = []
        self._free: Rows = np.empty(0, np.int64)
        self._end = 0
        self._capacity = 0

    def __len__(self) -> int:
        return self._end - len(self._free)

    def column(self, dtype: DTypeLike, fill: float | bool) -> NDArray[Any]:
        """Add a column before the first row is taken; a new row holds `fill` in it."""
        column = np.empty(0, dtype)
        self._columns.append((column, fill))
        return column

    def take(self, count: int) -> Rows:
        """Take `count` rows, filled."""
        kept = max(len(self._free) - count, 0)
        reused, self._free = self._free[kept:], self._free[:kept]
        rows = np.concatenate((reused, np.arange(self._end, self._end + count - len(reused))))
        self._end += count - len(reused)
        if self._end > self._capacity:
            self._capacity = max(self._end, _FIRST_CAPACITY, self._capacity + self._capacity // 2)
            for column, _ in self._columns:
                column.resize(self._capacity, refcheck=False)
        for column, fill in self._columns:
            column[rows] = fill
        return rows

    def give(self, rows: Rows) -> None:
        """Give rows back."""
        self._free = np.concatenate((self._free, rows))

    def all_rows(self) -> Rows:
        """List the rows in use, ascending."""
        is_used = np.ones(self._end, bool)
        is_used[self._free] = False
        return np.flatnonzero(is_used)


class Lookup:
    """A map from small numbers to rows: an array that grows to the highest number; -1 where there is no row."""

    def __init__(self) -> None:
        self.rows: NDArray[np.int32] = np.empty(0, np.int32)

    def __getitem__(self, numbers: NDArray[Any]) -> NDArray[np.int32]:
        if len(numbers) and numbers.max() >= len(self.rows):
            is_within = numbers < len(self.rows)
            found: NDArray[np.int32] = np.full(len(numbers), -1, np.int32)
            found[is_within] = self.rows[numbers[is_within]]
            return found
        within: NDArray[np.int32] = self.rows[numbers]
        return within

    def __setitem__(self, numbers: NDArray[Any], rows: NDArray[Any] | int) -> None:
        if len(numbers) and (highest := int(numbers.max())) >= len(self.rows):
            before = len(self.rows)
            self.rows.resize(max(highest + 1, before + before // 2), refcheck=False)
            self.rows[before:] = -1
        self.rows[numbers] = rows


class Blocks:
    """Stretches of 2ⁿ rows in common columns; a stretch given back is used again for the same size."""

    def __init__(self, *dtypes: DTypeLike) -> None:
        self.columns = [np.empty(0, dtype) for dtype in dtypes]
        self._free: dict[int, Rows] = {}
        self._end = 0

    def take(self, sizes: Rows) -> Rows:
        """Take a stretch of each size (powers of two); where they begin. What they hold is not defined."""
        begins = np.empty(len(sizes), np.int64)
        for size in np.unique(sizes).tolist():
            wanted = np.flatnonzero(sizes == size)
            free = self._free.get(size, np.empty(0, np.int64))
            reused = min(len(free), len(wanted))
            begins[wanted[:reused]] = free[len(free) - reused :]
            self._free[size] = free[: len(free) - reused]
            fresh = len(wanted) - reused
            begins[wanted[reused:]] = self._end + np.arange(fresh) * size
            self._end += fresh * size
        if self._end > len(self.columns[0]):
            capacity = max(self._end, _FIRST_CAPACITY, len(self.columns[0]) * 5 // 4)
            for column in self.columns:
                column.resize(capacity, refcheck=False)
        return begins

    def give(self, begins: Rows, sizes: Rows) -> None:
        """Give stretches back."""
        for size in np.unique(sizes).tolist():
            returned = begins[sizes == size]
            self._free[size] = np.concatenate((self._free.get(size, np.empty(0, np.int64)), returned))


def block_sizes(lengths: Rows, least: int) -> Rows:
    """Choose for each length the size of a block that holds it: a power of two, at least `least`."""
    return np.left_shift(1, np.ceil(np.log2(np.maximum(lengths, least))).astype(np.int64))


class Journal:
    """What has to be put back when a stage is dropped, and what is done only when it is committed."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []
        self._at_commit: list[Callable[[], None]] = []

    def save(self, column: NDArray[Any], rows: NDArray[Any]) -> None:
        """Remember what `column` holds in `rows` before it is overwritten."""
        before = column[rows]

        def restore() -> None:
            column[rows] = before

        self._undo.append(restore)

    def at_undo(self, action: Callable[[], None]) -> None:
        """Do `action` when the stage is dropped, after what was noted later has been undone."""
        self._undo.append(action)

    def at_commit(self, action: Callable[[], None]) -> None:
        """Do `action` when the stage is committed."""
        self._at_commit.append(action)

    def commit(self) -> None:
        """Keep what was written."""
        for action in self._at_commit:
            action()

    def undo(self) -> None:
        """Put everything back, latest first."""
        for action in reversed(self._undo):
            action()
