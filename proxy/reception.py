"""What the proxy does with its agents' links: takes them in, takes their records into custody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from core.runtime.logging import Log
from core.wire.messages import Configured, Hello, NewKey, Welcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from core.security.authority import Peer
    from core.wire.messages import CollectorMessage, Redirect, Refusal, SourceMessage
    from proxy.configuration import ProxyConfiguration
    from proxy.custody import Custody

_log = Log("reception")
_UNVERSIONED: Final = frozenset(("rotation", "upstreams"))


class Reception:
    """The proxy's Receiver. `send` is Collector.send, given when there is a collector, `relay` Publisher.send."""

    def __init__(self, custody: Custody, configuration: ProxyConfiguration) -> None:
        self.send: Callable[[bytes, CollectorMessage], Awaitable[bool]] | None = None
        self.relay: Callable[[SourceMessage], Awaitable[None]] | None = None
        self._custody = custody
        self._configuration = configuration

    async def greet(self, peer: Peer, hello: Hello) -> Welcome | Redirect | Refusal:
        """Welcome an agent and say what is known of its boots."""
        source = peer.source or b""
        known = {boot: self._custody.known(source, boot) for boot, _, _ in hello.boots}
        return Welcome(
            role="proxy",
            epoch=self._configuration.epoch,
            seen=tuple((boot, seen.number, seen.checksum) for boot, (seen, _) in known.items()),
            stored=tuple((boot, tuple(stored)) for boot, (_, stored) in known.items() if stored),
        )

    async def receive(self, peer: Peer, records: bytes) -> None:  # noqa: ARG002 - the collector has judged the peer
        """Take records into custody; waits while the spool is full."""
        await self._custody.take(records)

    async def heard(self, peer: Peer, message: SourceMessage) -> None:
        """Hand a source its document when it has just come with another one; log what it could not do."""
        if isinstance(message, Hello) and peer.source is not None:
            await self.configure(peer.key, peer.source, known_version=message.configuration)
        elif isinstance(message, Configured) and message.error is not None:
            _log.warning("A source cannot do all it was told", peer=peer.name, error=message.error)
        elif isinstance(message, NewKey) and message.old == peer.key and self.relay is not None:
            await self.relay(message)

    async def configure(self, key: bytes, source: bytes, known_version: int = -1) -> None:
        """Send a source its document, unless it knows that version.

        What is said of its keys and of the order of its upstreams has no version: it is said each time.
        """
        document = self._configuration.document(source)
        if document is None or self.send is None:
            return
        if document.version != known_version or not _UNVERSIONED.isdisjoint(document.body):
            await self.send(key, document)
