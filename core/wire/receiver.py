"""What a daemon does with what its collector hears: the proxy's custody, the server's intake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from core.security.authority import Peer
    from core.wire.messages import Hello, Redirect, Refusal, SourceMessage, Welcome


class Receiver(Protocol):
    """Called from the collector's tasks. An exception is a bug and ends the collector."""

    async def greet(self, peer: Peer, hello: Hello) -> Welcome | Redirect | Refusal:
        """Judge a hello within LinkTimings.receiver_seconds (else the peer is told to come again).

        Key, role and source of the hello have been compared with the authority's already. A Welcome carries role,
        epoch, seen and stored; the collector fills in the rest.
        """
        ...

    async def receive(self, peer: Peer, records: bytes) -> None:
        """Take the whole, checksum-verified records of one frame; an agent's are all of its own source.

        Waits while there is no room: the collector then grants no credit. Called for one frame after the other.
        """
        ...

    async def heard(self, peer: Peer, message: SourceMessage) -> None:
        """Take note of a heartbeat, presence, configured, counters or goodbye; and of the hello, once welcomed."""
        ...
