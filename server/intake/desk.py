"""The desk: answers every link that comes, active or standby, and hands on what it brings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.security.poller import poller_source
from core.wire.messages import Configured, CountersReport, Hello, NewKey, Redirect, Welcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from core.security.authority import Peer
    from core.wire.messages import Refusal, SourceMessage
    from server.intake.directory import Directory
    from server.intake.ledger import Ledger
    from server.intake.presence import PresenceBook
    from server.intake.reception import Reception


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """What an active server answers from."""

    epoch: int
    ledger: Ledger


class Desk:
    """The server's Receiver. Without a duty (a standby) every hello is redirected to the active server.

    `welcomed` is called with each link that has begun, `offered` with each new key that a link brings.
    """

    def __init__(
        self,
        *,
        reception: Reception,
        presence: PresenceBook,
        directory: Callable[[], Directory],
        active_endpoint: Callable[[], str],
    ) -> None:
        self._reception = reception
        self._presence = presence
        self._directory = directory
        self._active_endpoint = active_endpoint
        self._reports: dict[bytes, Mapping[str, float]] = {}
        self._faults: dict[bytes, str] = {}
        self.duty: Duty | None = None
        self.welcomed: Callable[[Peer], Awaitable[None]] | None = None
        self.offered: Callable[[Peer, NewKey], Awaitable[None]] | None = None

    async def greet(self, peer: Peer, hello: Hello) -> Welcome | Redirect | Refusal:
        """Welcome the source and say what is known of its boots; on a standby, name the active server."""
        duty = self.duty
        if duty is None:
            endpoint = self._active_endpoint()
            return Redirect(endpoints=(endpoint,) if endpoint else (), reason="this server is a standby")
        speaks_for = poller_source(peer.key).bytes if peer.role == "proxy" else peer.source or b""
        source = self._directory().sources.get(speaks_for)
        accounts = (
            {} if source is None else {boot: duty.ledger.account((source.id, boot)) for boot, _, _ in hello.boots}
        )
        return Welcome(
            role="server",
            epoch=duty.epoch,
            seen=tuple((boot, account.highest, 0) for boot, account in accounts.items()),
            stored=tuple((boot, tuple(account.stored)) for boot, account in accounts.items() if account.stored),
        )

    async def receive(self, peer: Peer, records: bytes) -> None:
        """Queue the records of a frame; waits while ingest is behind."""
        await self._reception.put(peer.key, records)

    async def heard(self, peer: Peer, message: SourceMessage) -> None:
        """Note what the link says of itself; tell one that has just begun what it is to know."""
        self._presence.heard(peer, message)
        if isinstance(message, Hello):
            if self.welcomed is not None:
                await self.welcomed(peer)
        elif isinstance(message, NewKey):
            if self.offered is not None and self.duty is not None:
                await self.offered(peer, message)
        elif isinstance(message, CountersReport):
            self._reports[peer.key] = dict(message.values)
        elif isinstance(message, Configured):
            if message.error is None:
                self._faults.pop(peer.key, None)
            else:
                self._faults[peer.key] = message.error

    def report(self, key: bytes) -> Mapping[str, float]:
        """Return the counters a part sent last."""
        return self._reports.get(key, {})

    def fault(self, key: bytes) -> str | None:
        """Return what a part said was wrong with its configuration."""
        return self._faults.get(key)
