"""The live links of a collector: one a key, and which of them carry which source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.wire.limits import BUDGET_BYTES, SMALLEST_WINDOW_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from core.wire.link import Link

_CARRIED_SECONDS = 900.0


class Links:
    """Invariant: at most one link a key, so a frame's key and session name its link or none."""

    def __init__(self, window_bytes: int) -> None:
        self._window_bytes = window_bytes
        self._links: dict[bytes, Link] = {}
        self._carriers: dict[bytes, dict[bytes, float]] = {}  # source → key of the link → when last

    def get(self, key: bytes) -> Link | None:
        """Return the link of the peer with this key."""
        return self._links.get(key)

    def add(self, link: Link, now: float) -> None:
        """Take a link in, instead of the one its key had."""
        self.remove(link.peer.key)
        self._links[link.peer.key] = link
        if link.peer.source is not None:
            self.carry(link.peer.key, (link.peer.source,), now)

    def remove(self, key: bytes) -> None:
        """Forget the link of this key and what it carried."""
        link = self._links.pop(key, None)
        if link is None:
            return
        own = link.peer.source
        # An agent carries its own source only; looking through all of them for each of thousands that are lost at
        # once would hold everything up for seconds.
        for source in [own] if own is not None else list(self._carriers):
            if key in self._carriers.get(source, ()):
                self._uncarry(source, key)

    def carry(self, key: bytes, sources: Iterable[bytes], now: float) -> None:
        """Note that records of these sources came over the link of this key."""
        for source in sources:
            self._carriers.setdefault(source, {})[key] = now

    def carriers(self, source: bytes) -> Iterator[Link]:
        """Return the links this source's records came by lately."""
        for key in self._carriers.get(source, ()):
            link = self._links.get(key)
            if link is not None:
                yield link

    def forget_old_carriers(self, now: float) -> None:
        """Forget who carried a source long ago; an agent's own link carries it as long as it lives."""
        for source, carriers in list(self._carriers.items()):
            for key, at in list(carriers.items()):
                link = self._links.get(key)
                if link is None or (link.peer.source != source and now - at > _CARRIED_SECONDS):
                    self._uncarry(source, key)

    def _uncarry(self, source: bytes, key: bytes) -> None:
        carriers = self._carriers[source]
        del carriers[key]
        if not carriers:
            del self._carriers[source]

    @property
    def window_bytes(self) -> int:
        """What each link may have under way: its window, or its share of the budget when there are many."""
        share = BUDGET_BYTES // max(1, len(self._links))
        return max(SMALLEST_WINDOW_BYTES, min(self._window_bytes, share)) if self._window_bytes else 0

    def __iter__(self) -> Iterator[Link]:
        return iter(list(self._links.values()))

    def __len__(self) -> int:
        return len(self._links)
