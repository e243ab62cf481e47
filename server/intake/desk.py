"""The desk: answers every link that comes, active or standby, and hands on what it brings."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.security.poller import poller_source
from core.wire.messages import Configured, CountersReport, Hello, NewKey, Redirect, Welcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from core.runtime.clock import Clock
    from core.security.authority import Peer
    from core.wire.messages import Refusal, SourceMessage
    from server.intake.directory import Directory
    from server.intake.ledger import Ledger
    from server.intake.presence import PresenceBook
    from server.intake.reception import Reception


HOLD_SECONDS: Final = 3.5
"""How long a standby about to take over lets a hello wait; less than the collector gives its receiver."""
SHORT_HOLD_SECONDS: Final = 0.4
"""How long any standby does: a source that was just left by the active server is faster than the news of it."""
CALLER_SECONDS: Final = 20.0
"""A part that goes round its servers comes by within this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """What an active server answers from."""

    epoch: int
    ledger: Ledger


class Desk:
    """The server's Receiver. Without a duty (a standby) every hello is redirected to the active server.

    `welcomed` is called with each link that has begun, `offered` with each new key that a link brings. `is_heir` tells
    whether this standby is likely to be the next active server, within seconds. `doubt`, when not empty, says why an
    active server may have been replaced without knowing it: then it takes nobody in.
    """

    def __init__(
        self,
        *,
        reception: Reception,
        presence: PresenceBook,
        directory: Callable[[], Directory],
        active_endpoint: Callable[[], str],
        clock: Clock,
        is_heir: Callable[[], bool] = lambda: False,
    ) -> None:
        self._reception = reception
        self._presence = presence
        self._directory = directory
        self._active_endpoint = active_endpoint
        self._reports: dict[bytes, Mapping[str, float]] = {}
        self._faults: dict[bytes, str] = {}
        self._clock = clock
        self._is_heir = is_heir
        self._duty: Duty | None = None
        self._has_duty = asyncio.Event()
        self._callers: dict[str, float] = {}
        self._waiting_hellos = 0
        self.doubt = ""
        self.welcomed: Callable[[Peer], Awaitable[None]] | None = None
        self.offered: Callable[[Peer, NewKey], Awaitable[None]] | None = None

    @property
    def duty(self) -> Duty | None:
        """What the active server answers from; None on a standby."""
        return self._duty

    @duty.setter
    def duty(self, duty: Duty | None) -> None:
        self._duty = duty
        if duty is None:
            self._has_duty.clear()
        else:
            self._has_duty.set()

    def callers(self) -> list[str]:
        """Return the names of the parts that said hello lately and were not taken in."""
        now = self._clock.monotonic()
        self._callers = {name: at for name, at in self._callers.items() if now - at <= CALLER_SECONDS}
        return sorted(self._callers)

    async def greet(self, peer: Peer, hello: Hello) -> Welcome | Redirect | Refusal:
        """Welcome the source and say what is known of its boots; on a standby, name the active server.

        Which numbers are stored is not said: a source that was set back would take its own for those. A standby lets it
        wait a moment before that, longer when it is about to become active itself.
        """
        duty = self.duty or await self._duty_to_come()
        if duty is None or self.doubt:
            self._callers[peer.name] = self._clock.monotonic()
            if duty is not None:
                return Redirect(endpoints=(), reason=self.doubt)
            endpoint = self._active_endpoint()
            return Redirect(endpoints=(endpoint,) if endpoint else (), reason="this server is a standby")
        self._callers.pop(peer.name, None)
        speaks_for = poller_source(peer.key).bytes if peer.role == "proxy" else peer.source or b""
        source = self._directory().sources.get(speaks_for)
        accounts = (
            {} if source is None else {boot: duty.ledger.account((source.id, boot)) for boot, _, _ in hello.boots}
        )
        return Welcome(
            role="server",
            epoch=duty.epoch,
            seen=tuple((boot, account.highest, 0) for boot, account in accounts.items()),
        )

    @property
    def is_asked(self) -> bool:
        """Whether hellos wait for this standby to become active."""
        return self._waiting_hellos > 0

    async def _duty_to_come(self) -> Duty | None:
        """Wait for a duty while one is likely to come."""
        until = self._clock.monotonic() + HOLD_SECONDS
        self._waiting_hellos += 1
        try:
            while self.duty is None:
                try:
                    async with asyncio.timeout(SHORT_HOLD_SECONDS):
                        await self._has_duty.wait()
                except TimeoutError:
                    if not self._is_heir() or self._clock.monotonic() + SHORT_HOLD_SECONDS > until:
                        break
            return self.duty
        finally:
            self._waiting_hellos -= 1

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
