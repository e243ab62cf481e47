"""The receiving end of links, used by proxy and server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.wire.limits import WINDOW_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.runtime.clock import Clock
    from core.runtime.counters import Counters
    from core.security.authority import Authority
    from core.security.keys import KeyPair
    from core.wire.greeter import AckKind
    from core.wire.messages import Acknowledgements, CollectorMessage
    from core.wire.receiver import Receiver
    from core.wire.timings import LinkTimings


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRefusal:
    """Something a collector refused. `kind` is one of the counters' words, `key` the peer's (None: unknown)."""

    kind: str
    key: bytes | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkView:
    """One live link, for health and presence. Instants in µs; `frame` is the last data frame read."""

    key: bytes
    role: str
    name: str
    source: bytes | None
    session: int
    connected_at: int
    heard_at: int
    boot: int
    number: int
    waiting_records: int
    waiting_bytes: int
    skew_us: int
    software: str
    frame: int
    received_bytes: int


class Collector:
    """Binds a control and a data socket, lets in whom the authority knows, and hands what comes to its receiver."""

    ready: asyncio.Event
    control_port: int
    data_port: int

    def __init__(  # noqa: PLR0913 - what a daemon hands down, all by name
        self,
        *,
        keys: KeyPair,
        authority: Authority,
        bind_host: str,
        control_port: int,
        data_port: int,
        clock: Clock,
        receiver: Receiver,
        counters: Counters,
        timings: LinkTimings | None = None,
        window_bytes: int = WINDOW_BYTES,
        on_refusal: Callable[[LinkRefusal], None] | None = None,
    ) -> None:
        raise NotImplementedError

    async def run(self) -> None:
        """Bind (ports of 0 are chosen; `ready` is set, the real ones stand in the attributes), serve until cancelled.

        Raises CollectorFault when it cannot bind.
        """
        raise NotImplementedError

    def acknowledge(self, kind: AckKind, acks: Acknowledgements, key: bytes | None = None) -> None:
        """Tell the links that carried these sources lately; gathered for some milliseconds, never lost while they live.

        `key`: tell only that peer. For refusing records a peer was not allowed to relay, lest their true source,
        on another link, forget them.
        """
        raise NotImplementedError

    async def send(self, key: bytes, message: CollectorMessage) -> bool:
        """Send to the peer with this key; False when it has no live link or does not read."""
        raise NotImplementedError

    def stand(self, *, role: str, epoch: int, is_active: bool) -> None:
        """Say in heartbeats from now on which epoch holds and whether sources are wanted; tells every link at once."""
        raise NotImplementedError

    def links(self) -> list[LinkView]:
        """Return the live links."""
        raise NotImplementedError
