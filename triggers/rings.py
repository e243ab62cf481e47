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
_CHUNK = 1 << 16


class Stretch(NamedTuple):
    """Windows read out of rings: those of `part`, one after the other.

    `starts`, `lengths` int64[windows of the part]; `instants` int64 and `values` float64, oldest first.
    """

    part: slice
    starts: Rows
    lengths: Rows
    instants: Rows
    values: NDArray[np.float64]


class Run(NamedTuple):
    """Many samples of one slot, taken in together, after those its ring held.

    `instants`, `values`: all known samples, the held ones first; `oldest` is the number of the first of them. The run
    is looked at `at` int64[k]; each time the first `seen` int64[k] of the samples have come.
    """

    instants: Rows
    values: NDArray[np.float64]
    oldest: int
    at: Rows
    seen: Rows

    @property
    def head(self) -> int:
        """The number after the last sample's."""
        return self.oldest + len(self.instants)


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
        for part in in_parts(lengths):
            places = self.place(np.repeat(slots[part], lengths[part]), ragged(tails[part], lengths[part]))
            starts = np.cumsum(lengths[part]) - lengths[part]
            yield Stretch(part, starts, lengths[part], self.instants[places], self.values[places])

    def first_after(self, slots: Rows, tails: Rows, instants: Rows) -> Rows:
        """Number of the first sample newer than `instants`, among those from `tails` to the head (by bisection)."""
        low, high = tails.copy(), self._slots.head[slots]
        while (is_open := low < high).any():
            middle = (low + high) >> 1
            is_newer = self.instants[self.place(slots, middle)] > instants
            high = np.where(is_open & is_newer, middle, high)
            low = np.where(is_open & ~is_newer, middle + 1, low)
        return low

    def replace(self, slot: int, run: Run, first: int, journal: Journal) -> None:
        """Let a slot hold the samples of `run` from number `first` on, and nothing else."""
        slots = np.array([slot])
        journal.save(self._slots.head, slots)
        self._move(slots, block_sizes(np.array([run.head - first + 1]), _SMALLEST_RING), journal)
        numbers = np.arange(first, run.head)
        places = self.place(np.full(len(numbers), slot), numbers)
        self.instants[places] = run.instants[first - run.oldest :]
        self.values[places] = run.values[first - run.oldest :]
        self._slots.head[slot] = run.head

    def _grow(self, slots: Rows, tails: Rows, heads: Rows, journal: Journal) -> None:
        old_base, old_size = self._slots.base[slots], self._slots.size[slots].astype(np.int64)
        lengths = heads - tails
        owner = np.repeat(np.arange(len(slots)), lengths)
        numbers = ragged(tails, lengths)
        self._move(slots, block_sizes(lengths + 1, _SMALLEST_RING), journal)
        source = old_base[owner] + (numbers & (old_size[owner] - 1))
        target = self.place(slots[owner], numbers)
        self.instants[target] = self.instants[source]
        self.values[target] = self.values[source]

    def _move(self, slots: Rows, sizes: Rows, journal: Journal) -> None:
        """Give slots other places, the old ones kept until the stage is committed."""
        old_base, old_size = self._slots.base[slots], self._slots.size[slots].astype(np.int64)
        new_base = self._blocks.take(sizes)
        journal.at_undo(lambda: self._blocks.give(new_base, sizes))
        journal.at_commit(lambda: self._blocks.give(old_base, old_size))
        journal.save(self._slots.base, slots)
        journal.save(self._slots.size, slots)
        self._slots.base[slots] = new_base
        self._slots.size[slots] = sizes


def in_parts(lengths: Rows) -> Iterator[slice]:
    """Cut windows of these lengths into stretches that bound memory."""
    ends = np.cumsum(lengths)
    begin = 0
    while begin < len(lengths):
        done = int(ends[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(ends, done + _CHUNK, side="right")))
        yield slice(begin, end)
        begin = end
