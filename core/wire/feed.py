"""The live feed's publishing end: tells values as they come to whoever subscribes to a prefix of their topic.

Lossy on purpose: a subscriber that does not keep up misses messages, and nobody waits for it. Topics and the form of a
message: docs/protocol.md, Live feed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NoReturn

import zmq
import zmq.asyncio

from core.runtime.logging import Log
from core.security.authority import SUBSCRIBER
from core.wire.authentication import Gate, key_of
from core.wire.collector import CollectorFault
from core.wire.limits import MAX_FEED_PREFIXES
from core.wire.refusals import Refusals
from core.wire.sockets import bind, open_feed, send_now

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.runtime.clock import Clock
    from core.runtime.counters import Counters
    from core.security.authority import Authority
    from core.security.keys import KeyPair
    from core.wire.link import LinkRefusal

_LOOK_SECONDS: Final = 1.0
_log = Log("feed")


class Feed:
    """Binds an XPUB and lets in keys with the role *subscriber*, nobody else.

    `prefixes` are what is subscribed to at the moment, by anybody; a new set replaces the old one, so that a change is
    seen by comparing identities.
    """

    def __init__(  # noqa: PLR0913 - what a daemon hands down, all by name
        self,
        *,
        keys: KeyPair,
        authority: Authority,
        bind_host: str,
        port: int,
        clock: Clock,
        counters: Counters,
        on_refusal: Callable[[LinkRefusal], None] | None = None,
    ) -> None:
        self.port = port
        self.prefixes: frozenset[bytes] = frozenset()
        self._keys = keys
        self._authority = authority
        self._bind_host = bind_host
        self._clock = clock
        self._counters = counters
        self._refusals = Refusals(clock, counters, on_refusal)
        self._subscribers: set[bytes] = set()
        self._socket: zmq.asyncio.Socket | None = None
        counters.watch("feed.prefixes", lambda: len(self.prefixes))

    async def run(self) -> NoReturn:
        """Serve subscribers until cancelled; a port of 0 is chosen. Raises CollectorFault when it cannot bind."""
        context = zmq.asyncio.Context()
        gate = Gate(self._authority, self._refusals, roles=(SUBSCRIBER,))
        gate.open(context)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(gate.serve(), name="feed gate")
                while True:
                    await self._serve(context, gate)
                    _log.info("A subscriber's key is accepted no more: all subscribers have to come again")
        finally:
            gate.close()
            context.destroy(linger=0)

    def publish(self, topic: bytes, body: bytes) -> None:
        """Tell it to those who subscribed to a prefix of `topic`; never waits."""
        if self._socket is not None:
            send_now(self._socket, [topic, body])  # an XPUB drops for whom it cannot send to
            self._counters.add("feed.messages")

    async def _serve(self, context: zmq.asyncio.Context, gate: Gate) -> None:
        """Serve until the key of a subscriber is accepted no more: ZeroMQ cannot cut a single connection."""
        socket = open_feed(context, self._keys)
        try:
            await self._bind(socket)
            self._socket = socket
            reading = asyncio.create_task(self._read(socket), name="feed subscriptions")
            try:
                while not reading.done() and all(gate.admit(key, "a subscription") for key in self._subscribers):
                    await self._clock.sleep(_LOOK_SECONDS)
            finally:
                reading.cancel()
            if reading.done():
                reading.result()
        finally:
            self._socket = None
            self.prefixes = frozenset()
            self._subscribers.clear()
            socket.close(linger=0)

    async def _bind(self, socket: zmq.asyncio.Socket) -> None:
        """Bind; a socket of before may need a moment to let the port go."""
        for pause in (*[0.05] * 40, None):
            try:
                self.port = bind(socket, self._bind_host, self.port)
            except zmq.ZMQError as error:
                if pause is None:
                    place = f"{self._bind_host}:{self.port}"
                    raise CollectorFault(
                        f"the live feed cannot listen on {place}: {error}; choose another feed_port"
                    ) from error
                await self._clock.sleep(pause)
            else:
                return

    async def _read(self, socket: zmq.asyncio.Socket) -> NoReturn:
        while True:
            self._note(await socket.recv_multipart(copy=False))
            await asyncio.sleep(0)  # receiving does not wait while messages are there

    def _note(self, parts: list[zmq.Frame]) -> None:
        """Note a subscription or the end of one (RFC 29: a first byte of 1 or 0, then the prefix)."""
        said = parts[0].bytes
        if len(parts) != 1 or said[:1] not in (b"\0", b"\1"):
            self._refusals.add("malformed_message", key_of(parts[0]), "a subscriber sends subscriptions, nothing else")
            return
        prefix = said[1:]
        if said[:1] == b"\0":
            self.prefixes -= {prefix}
            return
        self._subscribers.add(key_of(parts[0]))
        if prefix in self.prefixes:
            return
        if len(self.prefixes) >= MAX_FEED_PREFIXES:
            self._refusals.add(
                "prefixes", key_of(parts[0]), f"more than {MAX_FEED_PREFIXES} prefixes are subscribed to"
            )
            return
        self.prefixes |= {prefix}
