"""The items that triggers speak of, one slot each: newest value, when it came, and where its samples lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from triggers.table import Lookup, Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from triggers.table import Rows

NEVER = -(1 << 62)
SERVED = -1


class Slots:
    """Columns over slots.

    `item` its id. `last_at`, `last_value`: newest evaluated sample, NEVER and NaN before the first. Server clock:
    `arrived_at` when anything came, `advanced_at` when a sample came that was newer, `bound_at` when watching
    began. `since`: from when on (samples' clock) counts are whole; `lost_until`: before it samples are missing, NEVER
    for none; `has_losses` whether that stands anywhere. `references`: how many operands read the slot.
    `wanted_us`: how much history it waits for, SERVED for none.
    `base`, `size`, `head` describe its ring (see `Rings`); `edges`, `room`, `count` who reads it (see `Edges`).
    """

    def __init__(self) -> None:
        self._table = Table()
        column = self._table.column
        self.item: NDArray[np.int32] = column(np.int32, -1)
        self.last_at: Rows = column(np.int64, NEVER)
        self.last_value: NDArray[np.float64] = column(np.float64, np.nan)
        self.arrived_at: Rows = column(np.int64, NEVER)
        self.advanced_at: Rows = column(np.int64, NEVER)
        self.bound_at: Rows = column(np.int64, 0)
        self.since: Rows = column(np.int64, 0)
        self.lost_until: Rows = column(np.int64, NEVER)
        self.has_losses = False
        self.references: NDArray[np.int32] = column(np.int32, 0)
        self.wanted_us: Rows = column(np.int64, SERVED)
        self.tracks: NDArray[np.int32] = column(np.int32, 0)
        self.base: Rows = column(np.int64, 0)
        self.size: NDArray[np.int32] = column(np.int32, 0)
        self.head: Rows = column(np.int64, 0)
        self.edges: Rows = column(np.int64, 0)
        self.room: NDArray[np.int32] = column(np.int32, 0)
        self.count: NDArray[np.int32] = column(np.int32, 0)
        self.run: NDArray[np.int32] = column(np.int32, -1)  # scratch of one evaluation; -1 between evaluations
        self._of_item = Lookup()

    def __len__(self) -> int:
        return len(self._table)

    def find(self, items: NDArray[Any]) -> NDArray[np.int32]:
        """Slots of items; -1 for an item no trigger speaks of."""
        return self._of_item[items]

    def need(self, items: NDArray[Any], now_us: int) -> Rows:
        """Slots of items, made where there are none; `items` may repeat."""
        fresh = np.unique(items[self._of_item[items] < 0])
        if len(fresh):
            slots = self._table.take(len(fresh))
            self._of_item[fresh] = slots
            self.item[slots] = fresh
            self.bound_at[slots] = now_us
            self.since[slots] = now_us
            self.wanted_us[slots] = 0
        return self._of_item[items].astype(np.int64)

    def give(self, slots: Rows) -> None:
        """Forget slots nothing refers to."""
        self._of_item[self.item[slots]] = -1
        self._table.give(slots)

    def all_rows(self) -> Rows:
        """List the slots in use."""
        return self._table.all_rows()
