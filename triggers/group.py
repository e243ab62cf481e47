"""A group of samples, sorted out: which are late, and in which order the others are looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from triggers.table import ragged

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from triggers.slots import Slots
    from triggers.table import Rows


class Group:
    """The samples to be evaluated, one run per slot, each in instant order.

    Columns `slots`, `instants`, `values` (NaN: unknown). Run i: the samples `starts[i]` to `ends[i]`, end excluded.
    `late` bool over the samples given.
    """

    def __init__(self, slots: Rows, instants: Rows, values: NDArray[np.float64], memory: Slots) -> None:
        """Mark as late what is not newer than its slot's last sample, and a second sample for the same instant."""
        self.late = instants <= memory.last_at[slots]
        kept = np.flatnonzero(~self.late)
        scratch = memory.run  # here: the last sample of each slot, to see cheaply whether a slot has several
        scratch[slots[kept]] = np.arange(len(kept))
        if (scratch[slots[kept]] != np.arange(len(kept))).any():
            kept = kept[np.lexsort((instants[kept], slots[kept]))]
            is_same_slot = slots[kept[1:]] == slots[kept[:-1]]
            is_second = np.append(False, is_same_slot & (instants[kept[1:]] == instants[kept[:-1]]))
            self.late[kept[is_second]] = True
            kept = kept[~is_second]
            self.starts: Rows = np.flatnonzero(np.append(True, slots[kept[1:]] != slots[kept[:-1]]))
        else:
            self.starts = np.arange(len(kept))
        self.slots, self.instants, self.values = slots[kept], instants[kept], values[kept]
        self.ends: Rows = np.append(self.starts[1:], len(kept))[: len(self.starts)]
        self.longest_run = int((self.ends - self.starts).max()) if len(kept) else 0
        self._run = scratch
        self._run[self.slots[self.starts]] = np.arange(len(self.starts))

    def close(self) -> None:
        """Leave the scratch column as it was found."""
        self._run[self.slots] = -1

    def rounds(self, runs: Rows) -> Iterator[Rows]:
        """Yield the places of the first sample of each of `runs`, then of the second, and so on."""
        lengths = self.ends[runs] - self.starts[runs]
        if self.longest_run > 1:
            by_length = np.argsort(-lengths, kind="stable")
            runs, lengths = runs[by_length], lengths[by_length]
        for depth in range(int(lengths.max(initial=0))):
            yield self.starts[runs[: np.searchsorted(-lengths, -depth, side="left")]] + depth

    def latest(self, slots: Rows, instants: Rows) -> Rows:
        """Place of the newest sample of each slot not newer than the given instant; -1 where the group has none."""
        runs = self._run[slots]
        low = np.where(runs >= 0, self.starts[runs], 0) if len(self.starts) else np.zeros(len(slots), np.int64)
        high = np.where(runs >= 0, self.ends[runs], 0) if len(self.starts) else low
        first = low
        while (is_open := low < high).any():
            middle = (low + high) >> 1
            is_old = self.instants[np.minimum(middle, len(self.instants) - 1)] <= instants
            low, high = np.where(is_open & is_old, middle + 1, low), np.where(is_open & ~is_old, middle, high)
        return np.where(low > first, low - 1, -1)


def expand(starts: Rows, counts: Rows) -> tuple[Rows, Rows]:
    """List (owner, place) of every element of stretches that begin at `starts` and hold `counts` elements."""
    if len(counts) and counts.min() == 1 == counts.max():
        return np.arange(len(starts)), starts
    return np.repeat(np.arange(len(starts)), counts), ragged(starts, counts)
