"""The proxy's link upwards: forwards custody to the active server, hands its answers back to the sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from core.runtime.logging import Log
from core.wire.greeter import HeartbeatFacts, HelloFacts
from core.wire.messages import Configured
from core.wire.shapes import ShapeError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from core.wire.collector import Collector
    from core.wire.greeter import AckKind
    from core.wire.messages import Acknowledgements, Configuration, SourceMessage, Welcome
    from proxy.configuration import ProxyConfiguration
    from proxy.custody import Custody
    from proxy.polling.poller import Poller
    from proxy.reception import Reception

SOFTWARE: Final = "watchkeep-proxy 0.1.0"

_log = Log("forwarder")


class Forwarder:
    """The proxy's Greeter. `send` is Publisher.send, given when there is a publisher; so is `poller`."""

    def __init__(
        self,
        *,
        name: str,
        custody: Custody,
        configuration: ProxyConfiguration,
        reception: Reception,
        collector: Collector,
    ) -> None:
        self.poller: Poller | None = None
        self.send: Callable[[SourceMessage], Awaitable[None]] | None = None
        self._name = name
        self._custody = custody
        self._configuration = configuration
        self._reception = reception
        self._collector = collector

    def hello(self) -> HelloFacts:
        """Say which proxy this is; it numbers nothing itself."""
        return HelloFacts(
            role="proxy",
            name=self._name,
            source=None,
            boots=(),
            configuration=self._configuration.version,
            epoch=self._configuration.epoch,
            software=SOFTWARE,
        )

    def welcomed(self, welcome: Welcome) -> None:
        """Nothing to settle: a proxy has no numbers of its own."""

    def acknowledged(self, kind: AckKind, acks: Acknowledgements) -> None:
        """Relay what the server has stored or refused; what another proxy would have taken is not for us."""
        if kind != "taken":
            self._custody.settle(kind, acks)

    async def configured(self, message: Configuration) -> None:
        """Put the server's word in force, answer it, and tell the sources it is about."""
        try:
            changed = self._configuration.apply(message)
        except ShapeError as error:
            _log.error("A configuration was refused", version=message.version, error=error)
            await self._answer(Configured(version=message.version, error=f"expected {error}"[:4000]))
            return
        await self._answer(Configured(version=message.version, error=None))
        if self.poller is not None:
            self.poller.reconsider()
        for link in self._collector.links():
            if link.source is not None and link.source in changed:
                await self._reception.configure(link.key, link.source)

    def epoch_seen(self, epoch: int) -> None:
        """Write the epoch down and say it to the sources: commands of lower ones are void."""
        self._configuration.see_epoch(epoch)

    def heartbeat(self) -> HeartbeatFacts:
        """Say how much is in custody, and what the poller has numbered."""
        spool = self._custody.spool
        boot, number = (0, 0) if self.poller is None else self.poller.issued
        return HeartbeatFacts(
            boot=boot,
            number=number,
            held_records=spool.held_records,
            held_bytes=spool.held_bytes,
            oldest_at=spool.oldest_at or 0,
        )

    async def _answer(self, message: SourceMessage) -> None:
        if self.send is not None:
            await self.send(message)
