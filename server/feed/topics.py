"""Which items somebody listens to, and under which topics they are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from core.wire.feed_message import topic_of
from server.store.inventory import read_items

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from server.store.database import Connection

_UNKNOWN: Final = 0
_UNWANTED: Final = 1
_WANTED: Final = 2
_LEARNT_AT_ONCE: Final = 10_000


class Topics:
    """An item is looked up when it first comes under the present subscriptions; only wanted ones keep their topic."""

    def __init__(self) -> None:
        self._prefixes: frozenset[bytes] = frozenset()
        self._wish: NDArray[np.int8] = np.zeros(1, np.int8)
        self._topics: dict[int, bytes] = {}

    def want(self, prefixes: frozenset[bytes]) -> None:
        """Be asked for these prefixes from now on."""
        if prefixes is not self._prefixes:
            self._prefixes = prefixes
            self._wish[:] = _UNKNOWN
            self._topics.clear()

    def unknown(self, items: NDArray[np.int32]) -> list[int]:
        """Return which of the items (int32[n]) have to be learnt before `wanted` can be asked; bounded."""
        highest = int(items.max(initial=0))
        if highest >= len(self._wish):
            grown = np.zeros(max(highest + 1, 2 * len(self._wish)), np.int8)
            grown[: len(self._wish)] = self._wish
            self._wish = grown
        there = np.unique(items)
        return [int(item) for item in there[self._wish[there] == _UNKNOWN][:_LEARNT_AT_ONCE]]

    async def learn(self, connection: Connection, items: Collection[int]) -> None:
        """Look the items up. Raises StoreAway."""
        prefixes = tuple(self._prefixes)
        found = await read_items(connection, items)
        self._wish[list(items)] = _UNWANTED  # not before: what could not be looked up is asked for again
        for item in found:
            topic = topic_of(item.host, item.key).encode()
            if topic.startswith(prefixes):
                self._wish[item.id] = _WANTED
                self._topics[item.id] = topic

    def wanted(self, items: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Return bool[n]: whether somebody listens to the item. All must be below the highest ever asked for."""
        return np.equal(self._wish[items], _WANTED)

    def topic(self, item: int) -> bytes:
        """Return the topic of a wanted item."""
        return self._topics[item]
