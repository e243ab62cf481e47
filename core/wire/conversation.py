"""Reads a collector's control socket: lets sources say hello, and hands on what they say afterwards."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from core.runtime.logging import Log
from core.wire import messages as m
from core.wire.authentication import key_of
from core.wire.codec import MessageError, decode_from_source
from core.wire.limits import PROTOCOL
from core.wire.link import Link

if TYPE_CHECKING:
    import zmq.asyncio

    from core.runtime.clock import Clock
    from core.security.authority import Peer
    from core.wire.authentication import Gate
    from core.wire.links import Links
    from core.wire.outgoing import Outgoing
    from core.wire.receiver import Receiver
    from core.wire.refusals import Refusals
    from core.wire.timings import LinkTimings

_log = Log("link")


class Conversation:
    """Hellos are judged beside the reading, one at a time for each key; everything else in order."""

    def __init__(  # noqa: PLR0913 - what the collector hands down, all by name
        self,
        *,
        links: Links,
        gate: Gate,
        refusals: Refusals,
        outgoing: Outgoing,
        receiver: Receiver,
        clock: Clock,
        timings: LinkTimings,
    ) -> None:
        self._links = links
        self._gate = gate
        self._refusals = refusals
        self._outgoing = outgoing
        self._receiver = receiver
        self._clock = clock
        self._timings = timings
        self._data_port = 0
        self._greeting: set[bytes] = set()

    async def run(self, socket: zmq.asyncio.Socket, data_port: int, tasks: asyncio.TaskGroup) -> NoReturn:
        """Read until cancelled; hellos are judged in `tasks`."""
        self._data_port = data_port
        turns = 0
        while True:
            parts = await socket.recv_multipart(copy=False)
            turns += 1
            if turns % 16 == 0:
                await asyncio.sleep(0)  # receiving does not wait while messages are there
            await self._take(parts, tasks)

    async def _take(self, parts: list[zmq.Frame], tasks: asyncio.TaskGroup) -> None:
        key = key_of(parts[-1])
        route = parts[0].bytes
        peer = self._gate.admit(key, "a message")
        if peer is None:
            self._links.remove(key)
            self._refuse(route, "revoked", "this key is not accepted any more", 60)
            return
        try:
            # A message of several parts is none: no bytes at all are refused like malformed ones.
            message = decode_from_source(parts[1].bytes if len(parts) == 2 else b"")
        except MessageError as error:
            self._refusals.add("malformed_message", key, str(error))
            return
        if isinstance(message, m.Probe):
            self._outgoing.put_to(route, self._outgoing.heartbeat())
        elif isinstance(message, m.Hello):
            if key in self._greeting:
                self._refuse(route, "busy", "another hello under this key is being judged", 1)
                return
            self._greeting.add(key)
            tasks.create_task(self._greet(route, peer, message), name=f"hello of {peer.name}")
        else:
            await self._hear(route, peer, message)

    async def _hear(self, route: bytes, peer: Peer, message: m.SourceMessage) -> None:
        link = self._links.get(peer.key)
        if link is None or link.route != route:
            self._refusals.add("session", peer.key, f"a {type(message).__name__} without a session")
            self._refuse(route, "session", "say hello first: this session is over", 0)
            return
        link.heard_at = self._clock.now_us()
        link.heard_monotonic = self._clock.monotonic()
        if isinstance(message, m.SourceHeartbeat | m.Goodbye) and message.session != link.session:
            self._refusals.add("session", peer.key, f"a {type(message).__name__} of another session")
            return
        if isinstance(message, m.SourceHeartbeat):
            link.note_heartbeat(message, link.heard_at, link.heard_monotonic)
        elif isinstance(message, m.Goodbye):
            self._links.remove(peer.key)
            _log.info("A source said goodbye", peer=peer.name)
        try:
            async with asyncio.timeout(self._timings.receiver_seconds):
                await self._receiver.heard(peer, message)
        except TimeoutError:
            _log.warning("A message was not dealt with in time", peer=peer.name, message_type=type(message).__name__)

    async def _greet(self, route: bytes, peer: Peer, hello: m.Hello) -> None:
        try:
            await self._judge(route, peer, hello)
        finally:
            self._greeting.discard(peer.key)

    async def _judge(self, route: bytes, peer: Peer, hello: m.Hello) -> None:
        objection = _objection(peer, hello)
        if objection is not None:
            self._refusals.add(objection[0], peer.key, objection[1])
            self._refuse(route, objection[0], objection[1], 60)
            return
        if await self._is_alive_elsewhere(route, peer):
            detail = f"the key of {peer.name} is alive twice: two machines hold it, or one runs two copies"
            self._refusals.add("cloned", peer.key, detail)
            self._refuse(route, "cloned", detail, 10)
            return
        try:
            async with asyncio.timeout(self._timings.receiver_seconds):
                answer = await self._receiver.greet(peer, hello)
        except TimeoutError:
            self._refuse(route, "busy", "this collector is too busy to take sources in", 2)
            return
        if isinstance(answer, m.Welcome):
            await self._welcome(route, peer, hello, answer)
        else:
            if isinstance(answer, m.Refusal):
                self._refusals.add(answer.reason, peer.key, answer.message)
            self._outgoing.put_to(route, answer)

    async def _welcome(self, route: bytes, peer: Peer, hello: m.Hello, welcome: m.Welcome) -> None:
        now_us = self._clock.now_us()
        now = self._clock.monotonic()
        link = Link(
            peer=peer,
            route=route,
            session=hello.session,
            software=hello.software,
            connected_at=now_us,
            heard_at=now_us,
            heard_monotonic=now,
        )
        standing = self._outgoing.standing
        epoch = max(standing.epoch, welcome.epoch)  # a heartbeat never says less than a welcome said
        self._outgoing.stand(role=welcome.role, epoch=epoch, is_active=standing.is_active)
        self._links.add(link, now)
        link.granted_bytes = 0 if self._outgoing.is_full else self._links.window_bytes
        complete = replace(
            welcome, session=hello.session, data_port=self._data_port, window=link.granted_bytes, clock=now_us
        )
        if not self._outgoing.put(link, complete):
            self._links.remove(peer.key)
            return
        _log.info("A source is welcome", peer=peer.name, role=peer.role)
        await self._receiver.heard(peer, hello)

    async def _is_alive_elsewhere(self, route: bytes, peer: Peer) -> bool:
        """Tell whether another connection under the same key still answers."""
        link = self._links.get(peer.key)
        if link is None or link.route == route:
            return False
        asked_at = self._clock.monotonic()
        deadline = asked_at + self._timings.clone_seconds
        while self._outgoing.put(link, self._outgoing.heartbeat()) and self._links.get(peer.key) is link:
            if link.heard_monotonic > asked_at:
                return True
            if self._clock.monotonic() >= deadline:
                return False
            await self._clock.sleep(self._timings.clone_seconds / 20)
        return False

    def _refuse(self, route: bytes, reason: str, message: str, retry_seconds: int) -> None:
        self._outgoing.put_to(route, m.Refusal(reason=reason, message=message, retry_seconds=retry_seconds))


def _objection(peer: Peer, hello: m.Hello) -> tuple[str, str] | None:
    """Return (reason, words) when a hello does not fit its key."""
    if hello.protocol != PROTOCOL:
        return "protocol", f"{peer.name} speaks protocol {hello.protocol}; this collector speaks {PROTOCOL}"
    if hello.role != peer.role:
        return "role", f"{peer.name} is enrolled as {peer.role} and says it is {hello.role}"
    if hello.source != peer.source:
        return "source", f"{peer.name} is enrolled for another source than it says it is"
    return None
