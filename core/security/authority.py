"""Who a CURVE key belongs to, and whether it may still speak: the one answer both sockets of a link act upon."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LINKED_ROLES: Final = ("agent", "proxy", "server")
"""Who has a link to a collector."""
SUBSCRIBER: Final = "subscriber"
"""Who may listen to the live feed, and nothing else."""
ROLES: Final = (*LINKED_ROLES, SUBSCRIBER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The holder of a key. `key` is the public CURVE key (32 bytes), `role` one of ROLES.

    `source` is the 16-byte id of the source an agent speaks for; None for all others.
    """

    key: bytes
    role: str
    name: str
    source: bytes | None = None
    revoked: bool = False

    def __post_init__(self) -> None:
        if len(self.key) != 32:
            raise ValueError(f"a public key has 32 bytes, not {len(self.key)}")
        if self.role not in ROLES:
            raise ValueError(f"unknown role {self.role!r}; expected one of {', '.join(ROLES)}")
        if self.source is not None and len(self.source) != 16:
            raise ValueError(f"a source id has 16 bytes, not {len(self.source)}")


class Authority(Protocol):
    """Answers for every handshake and again for every frame, so it must answer from memory."""

    def peer(self, key: bytes) -> Peer | None:
        """Return who holds `key` (32 bytes), revoked or not; None when nobody does."""
        ...


class KeyRing:
    """An Authority that holds its peers in memory; whoever owns it keeps it up to date."""

    def __init__(self, peers: Iterable[Peer] = ()) -> None:
        self._peers = {peer.key: peer for peer in peers}

    def peer(self, key: bytes) -> Peer | None:
        """Return who holds `key`, revoked or not; None when nobody does."""
        return self._peers.get(key)

    def put(self, peer: Peer) -> None:
        """Add a peer, or replace what was known of its key."""
        self._peers[peer.key] = peer

    def revoke(self, key: bytes) -> None:
        """Refuse everything that comes under `key` from now on; an unknown key stays unknown."""
        known = self._peers.get(key)
        if known is not None:
            self._peers[key] = replace(known, revoked=True)

    def replace(self, peers: Iterable[Peer]) -> None:
        """Forget every peer and know these instead."""
        self._peers = {peer.key: peer for peer in peers}

    def __iter__(self) -> Iterator[Peer]:
        return iter(list(self._peers.values()))

    def __len__(self) -> int:
        return len(self._peers)
