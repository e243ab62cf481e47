"""Who reads an item: for each slot the instances of triggers that speak of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from triggers.group import expand
from triggers.table import Blocks, block_sizes, ragged

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from triggers.slots import Slots
    from triggers.table import Rows


class Readers(NamedTuple):
    """Columns of one length: `owners` index of the slot asked for, `bundles` int32, `rows` int64 of the instance."""

    owners: Rows
    bundles: NDArray[np.int32]
    rows: Rows


class Edges:
    """A block of (bundle, row) per slot; adding and removing cost as much as the slots concerned have readers."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._blocks = Blocks(np.int32, np.int32)
        self._bundles: NDArray[np.int32] = self._blocks.columns[0]
        self._rows: NDArray[np.int32] = self._blocks.columns[1]

    def readers(self, slots: Rows) -> Readers:
        """List the readers of `slots` (which may repeat), slot by slot."""
        owners, places = expand(self._slots.edges[slots], self._slots.count[slots].astype(np.int64))
        return Readers(owners, self._bundles[places], self._rows[places].astype(np.int64))

    def add(self, slots: Rows, bundle: int, rows: Rows) -> None:
        """Let each row of a bundle read the slot beside it; slots may repeat."""
        order = np.argsort(slots, kind="stable")
        touched, begins, added = np.unique(slots[order], return_index=True, return_counts=True)
        self._make_room(touched, added)
        places = self._slots.edges[touched] + self._slots.count[touched]
        target = np.repeat(places - begins, added) + np.arange(len(slots))
        self._bundles[target] = bundle
        self._rows[target] = rows[order]
        self._slots.count[touched] += added.astype(np.int32)

    def remove(self, slots: Rows, bundle: int, rows: Rows) -> None:
        """Take out all edges from `slots` to the given rows of a bundle."""
        touched = np.unique(slots)
        found = self.readers(touched)
        is_kept = ~((found.bundles == bundle) & np.isin(found.rows, rows))
        kept = np.bincount(found.owners[is_kept], minlength=len(touched))
        target = ragged(self._slots.edges[touched], kept)
        self._bundles[target] = found.bundles[is_kept]
        self._rows[target] = found.rows[is_kept]
        self._slots.count[touched] = kept
        self._release(touched[kept == 0])

    def _release(self, slots: Rows) -> None:
        self._blocks.give(self._slots.edges[slots], self._slots.room[slots].astype(np.int64))
        self._slots.room[slots] = 0

    def _make_room(self, slots: Rows, added: Rows) -> None:
        wanted = self._slots.count[slots] + added
        small = np.flatnonzero(wanted > self._slots.room[slots])
        slots, sizes = slots[small], block_sizes(wanted[small], 1)
        fresh = self._blocks.take(sizes)
        counts = self._slots.count[slots].astype(np.int64)
        source, target = ragged(self._slots.edges[slots], counts), ragged(fresh, counts)
        self._bundles[target] = self._bundles[source]
        self._rows[target] = self._rows[source]
        held = self._slots.room[slots] > 0
        self._release(slots[held])
        self._slots.edges[slots] = fresh
        self._slots.room[slots] = sizes
