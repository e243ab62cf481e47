"""The receiving end of links, used by proxy and server."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NoReturn

import zmq
import zmq.asyncio

from core.runtime.logging import Log
from core.wire.authentication import Gate
from core.wire.conversation import Conversation
from core.wire.intake import Intake
from core.wire.limits import WINDOW_BYTES
from core.wire.link import LinkRefusal, LinkView
from core.wire.links import Links
from core.wire.outgoing import Outgoing
from core.wire.refusals import Refusals
from core.wire.sockets import HANDSHAKE_FAILURES, bind, open_router, open_subscribing, read_event
from core.wire.timings import LinkTimings

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.runtime.clock import Clock
    from core.runtime.counters import Counters
    from core.security.authority import Authority
    from core.security.keys import KeyPair
    from core.wire.greeter import AckKind
    from core.wire.messages import Acknowledgements, CollectorMessage
    from core.wire.receiver import Receiver

__all__ = ["Collector", "CollectorFault", "LinkRefusal", "LinkView"]

_log = Log("link")


class CollectorFault(Exception):
    """The collector cannot serve; the text names the address and the remedy."""


class Collector:
    """Binds a control and a data socket, lets in whom the authority knows, and hands what comes to its receiver."""

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
        self.ready = asyncio.Event()
        self.control_port = control_port
        self.data_port = data_port
        self._keys = keys
        self._bind_host = bind_host
        self._timings = timings or LinkTimings()
        self._refusals = Refusals(clock, counters, on_refusal)
        self._gate = Gate(authority, self._refusals)
        self._links = Links(window_bytes)
        self._outgoing = Outgoing(links=self._links, clock=clock, counters=counters, timings=self._timings)
        self._intake = Intake(
            links=self._links,
            gate=self._gate,
            refusals=self._refusals,
            outgoing=self._outgoing,
            receiver=receiver,
            clock=clock,
            counters=counters,
            timings=self._timings,
        )
        self._conversation = Conversation(
            links=self._links,
            gate=self._gate,
            refusals=self._refusals,
            outgoing=self._outgoing,
            receiver=receiver,
            clock=clock,
            timings=self._timings,
        )
        counters.watch("link.links", lambda: len(self._links))

    async def run(self) -> NoReturn:
        """Bind (ports of 0 are chosen; `ready` is set, the real ones stand in the attributes), serve until cancelled.

        Raises CollectorFault when it cannot bind.
        """
        context = zmq.asyncio.Context()
        control = open_router(context, self._keys)
        data = open_subscribing(context, self._keys)
        monitors = [socket.get_monitor_socket(HANDSHAKE_FAILURES) for socket in (control, data)]
        try:
            self._gate.open(context)
            self.control_port = self._bind(control, self.control_port)
            self.data_port = self._bind(data, self.data_port)
            self._outgoing.socket = control
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._gate.serve(), name="collector gate")
                for monitor, port in zip(monitors, (self.control_port, self.data_port), strict=True):
                    tasks.create_task(self._watch(monitor, port), name="collector handshakes")
                tasks.create_task(self._intake.run(data), name="collector data")
                tasks.create_task(self._conversation.run(control, self.data_port, tasks), name="collector control")
                tasks.create_task(self._outgoing.run(), name="collector outgoing")
                self.ready.set()
        finally:
            self._outgoing.socket = None
            self._gate.close()
            for socket, monitor in zip((control, data), monitors, strict=True):
                socket.disable_monitor()
                monitor.close(linger=0)
            control.close(linger=round(self._timings.linger_seconds * 1000))
            data.close(linger=0)
            context.destroy()
        raise AssertionError("a collector ends by an exception")

    def acknowledge(self, kind: AckKind, acks: Acknowledgements, key: bytes | None = None) -> None:
        """Tell the links that carried these sources lately; gathered for some milliseconds, never lost while they live.

        `key`: tell only that peer. For refusing records a peer was not allowed to relay, lest their true source,
        on another link, forget them.
        """
        self._outgoing.acknowledge(kind, acks, key)

    async def send(self, key: bytes, message: CollectorMessage) -> bool:
        """Send to the peer with this key; False when it has no live link or does not read."""
        link = self._links.get(key)
        return link is not None and self._outgoing.put(link, message)

    def stand(self, *, role: str, epoch: int, is_active: bool) -> None:
        """Say in heartbeats from now on which epoch holds and whether sources are wanted; tells every link at once."""
        self._outgoing.stand(role=role, epoch=epoch, is_active=is_active)

    def links(self) -> list[LinkView]:
        """Return the live links."""
        return [link.view() for link in self._links]

    def sessions(self) -> set[tuple[bytes, int]]:
        """Return key and session of each live link: cheap enough to be asked for all the time."""
        return {(link.peer.key, link.session) for link in self._links}

    def _bind(self, socket: zmq.asyncio.Socket, port: int) -> int:
        try:
            return bind(socket, self._bind_host, port)
        except zmq.ZMQError as error:
            raise CollectorFault(
                f"cannot listen on {self._bind_host}:{port}: {error}; choose an address of this machine and a free port"
            ) from error

    async def _watch(self, monitor: zmq.asyncio.Socket, port: int) -> NoReturn:
        while True:
            event, value = read_event(await monitor.recv_multipart())
            if event != zmq.EVENT_HANDSHAKE_FAILED_AUTH:  # the gate has counted that one, with its key
                detail = f"a connection to port {port} does not speak CURVE (ZeroMQ says {value})"
                self._refusals.add("handshake", None, f"{detail}; only parts of Watchkeep belong there")
