"""Where the instance with a given key lies: sorted columns instead of an object per instance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from triggers.table import Rows


class Keys:
    """Maps keys to (bundle, row). A change copies the columns once: some milliseconds for a million keys."""

    def __init__(self) -> None:
        self._keys: Rows = np.empty(0, np.int64)
        self._bundles: NDArray[np.int32] = np.empty(0, np.int32)
        self._rows: Rows = np.empty(0, np.int64)

    def require_new(self, keys: Rows) -> None:
        """Raise ValueError when a key is there already or given twice."""
        ordered = np.sort(keys)
        places = np.searchsorted(self._keys, ordered)
        within = places < len(self._keys)
        there = ordered[within][self._keys[places[within]] == ordered[within]]
        twice = np.append(ordered[1:][ordered[1:] == ordered[:-1]], there)
        if len(twice):
            raise ValueError(f"an instance with key {twice[0]} is already there")

    def add(self, keys: Rows, bundle: int, rows: Rows) -> None:
        """Add new keys, the rows of one bundle."""
        order = np.argsort(keys)
        places = np.searchsorted(self._keys, keys[order])
        self._keys = np.insert(self._keys, places, keys[order])
        self._bundles = np.insert(self._bundles, places, bundle)
        self._rows = np.insert(self._rows, places, rows[order])

    def remove(self, keys: Rows) -> list[tuple[int, Rows]]:
        """Take out keys; returns the rows they led to, bundle by bundle. Unknown keys do not matter."""
        is_removed = np.isin(self._keys, keys)
        bundles, rows = self._bundles[is_removed], self._rows[is_removed]
        self._keys, self._bundles, self._rows = (
            self._keys[~is_removed],
            self._bundles[~is_removed],
            self._rows[~is_removed],
        )
        return [(number, rows[bundles == number]) for number in np.unique(bundles).tolist()]

    def all(self) -> tuple[Rows, NDArray[np.int32], Rows]:
        """Return all keys, ascending, with their bundles and rows."""
        return self._keys, self._bundles, self._rows
