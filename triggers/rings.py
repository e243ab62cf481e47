"""The samples kept per item: rings of 2ⁿ places in two common columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from triggers.table import Blocks, block_sizes, ragged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from triggers.slots import Slots
    from triggers.table import Journal, Rows

MAX_SAMPLES = 16384
_SMALLEST_RING = 8
_CHUNK = 1 << 20


class Stretch(NamedTuple):
    """Windows read out of rings: those of `part`, one after the other.

    `starts`, `lengths` int64[windows of the part]; `instants` int64 and `values` float64, oldest first.
    """

    part: slice
    starts: Rows
    lengths: Rows
    instants: Rows
    values: NDArray[np.float64]


class Rings:
    """Sample number k of a slot lies at base + (k mod size); those from the oldest tail of its tracks to head count.

    Unknown values are not kept. A ring grows when it is full, never beyond MAX_SAMPLES.
    """

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._blocks = Blocks(np.int64, np.float64)
        self.instants: Rows = self._blocks.columns[0]
        self.values: NDArray[np.float64] = self._blocks.columns[1]

    def place(self, slots: Rows, numbers: Rows) -> Rows:
        """Where samples lie in the common columns."""
        return self._slots.base[slots] + (numbers & (self._slots.size[slots] - 1))

    def open(self, slots: Rows, lengths: Rows) -> None:
        """Give slots without a ring one with room for `lengths` samples."""
        if len(slots):
            sizes = block_sizes(lengths, _SMALLEST_RING)
            self._slots.base[slots] = self._blocks.take(sizes)
            self._slots.size[slots] = sizes
            self._slots.head[slots] = 0

    def close(self, slots: Rows) -> None:
        """Take the rings away."""
        self._blocks.give(self._slots.base[slots], self._slots.size[slots].astype(np.int64))
        self._slots.size[slots] = 0

    def write(self, slots: Rows, instants: Rows, values: NDArray[np.float64], tails: Rows, journal: Journal) -> None:
        """Append one sample to each slot (distinct); `tails` says which sample of each is the oldest to be kept."""
        heads = self._slots.head[slots]
        full = np.flatnonzero(heads - tails >= self._slots.size[slots])
        if len(full):
            self._grow(slots[full], tails[full], heads[full], journal)
        places = self.place(slots, heads)
        journal.save(self.instants, places)
        journal.save(self.values, places)
        self.instants[places] = instants
        self.values[places] = values
        self._slots.head[slots] = heads + 1

    def read(self, slots: Rows, tails: Rows) -> Iterator[Stretch]:
        """Read the samples from `tails` to the head of each slot, some windows at a time to bound memory."""
        lengths = self._slots.head[slots] - tails
        ends = np.cumsum(lengths)
        begin = 0
        while begin < len(slots):
            done = int(ends[begin - 1]) if begin else 0
            end = max(begin + 1, int(np.searchsorted(ends, done + _CHUNK, side="right")))
            part = slice(begin, end)
            owner = np.repeat(np.arange(begin, end), lengths[part])
            places = self.place(slots[owner], ragged(tails[part], lengths[part]))
            starts = ends[part] - lengths[part] - done
            yield Stretch(part, starts, lengths[part], self.instants[places], self.values[places])
            begin = end

    def first_after(self, slots: Rows, tails: Rows, instants: Rows) -> Rows:
        """Number of the first sample newer than `instants`, among those from `tails` to the head (by bisection)."""
        low, high = tails.copy(), self._slots.head[slots]
        while (is_open := low < high).any():
            middle = (low + high) >> 1
            is_newer = self.instants[self.place(slots, middle)] > instants
            high = np.where(is_open & is_newer, middle, high)
            low = np.where(is_open & ~is_newer, middle + 1, low)
        return low

    def _grow(self, slots: Rows, tails: Rows, heads: Rows, journal: Journal) -> None:
        old_base, old_size = self._slots.base[slots], self._slots.size[slots].astype(np.int64)
        lengths = heads - tails
        new_size = block_sizes(lengths + 1, _SMALLEST_RING)
        new_base = self._blocks.take(new_size)
        owner = np.repeat(np.arange(len(slots)), lengths)
        numbers = ragged(tails, lengths)
        source = old_base[owner] + (numbers & (old_size[owner] - 1))
        target = new_base[owner] + (numbers & (new_size[owner] - 1))
        self.instants[target] = self.instants[source]
        self.values[target] = self.values[source]
        journal.at_undo(lambda: self._blocks.give(new_base, new_size))
        journal.at_commit(lambda: self._blocks.give(old_base, old_size))
        journal.save(self._slots.base, slots)
        journal.save(self._slots.size, slots)
        self._slots.base[slots] = new_base
        self._slots.size[slots] = new_size
