"""Reads a collector's data socket: judges each frame's key, session, number and records, and hands the records on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NoReturn

import zmq
import zmq.asyncio

from core.wire import messages as m
from core.wire.authentication import key_of
from core.wire.checking import check_records
from core.wire.frames import FrameError, read_envelope

if TYPE_CHECKING:
    from core.runtime.clock import Clock
    from core.runtime.counters import Counters
    from core.security.authority import Peer
    from core.wire.authentication import Gate
    from core.wire.link import Link
    from core.wire.links import Links
    from core.wire.outgoing import Outgoing
    from core.wire.receiver import Receiver
    from core.wire.refusals import Refusals
    from core.wire.timings import LinkTimings

_FRAMES_A_TURN = 16  # receiving never waits while frames are there, so let the others run now and then


class Intake:
    """One frame after the other, from all links in turn; while the receiver is full nothing is read."""

    def __init__(  # noqa: PLR0913 - what the collector hands down, all by name
        self,
        *,
        links: Links,
        gate: Gate,
        refusals: Refusals,
        outgoing: Outgoing,
        receiver: Receiver,
        clock: Clock,
        counters: Counters,
        timings: LinkTimings,
    ) -> None:
        self._links = links
        self._gate = gate
        self._refusals = refusals
        self._outgoing = outgoing
        self._receiver = receiver
        self._clock = clock
        self._counters = counters
        self._timings = timings
        self._idle_since: float | None = None
        self._last_idle_at = float("-inf")

    async def run(self, socket: zmq.asyncio.Socket) -> NoReturn:
        """Read until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ask_for_lost_tails(), name="lost tails")
            tasks.create_task(self._read(socket), name="data frames")
        raise AssertionError("reading ends by an exception")

    async def _read(self, socket: zmq.asyncio.Socket) -> NoReturn:
        turns = 0
        # A future for each frame costs as much as judging it: one is made only to wait for what is not there yet.
        plain: zmq.Socket[bytes] = zmq.Socket.shadow(socket)
        while True:
            try:
                parts = plain.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                self._idle_since = self._clock.monotonic()
                parts = await socket.recv_multipart(copy=False)
                self._last_idle_at = self._clock.monotonic()
                self._idle_since = None
            else:
                turns += 1
                if turns % _FRAMES_A_TURN == 0:
                    await asyncio.sleep(0)
            await self._take(parts)

    async def _take(self, parts: list[zmq.Frame]) -> None:
        key = key_of(parts[0])
        peer = self._gate.admit(key, "a data frame")
        if peer is None:
            self._dismiss(key)
            return
        try:
            session, frame = read_envelope(parts[0].bytes, [len(part) for part in parts])
        except FrameError as error:
            self._refusals.add("malformed_frame", key, str(error))
            return
        link = self._links.get(key)
        if link is None or link.session != session:
            self._refusals.add("session", key, "a data frame of a session that is not the welcomed one")
            return
        if frame != link.frame + 1:
            self._meet_gap(link, frame)
            return
        data = parts[1].bytes
        link.note_frame(frame, len(data))
        self._counters.add("link.received_frames")
        self._counters.add("link.received_bytes", len(data))
        await self._hand_on(peer, data)
        self._outgoing.receipt(link)

    async def _hand_on(self, peer: Peer, data: bytes) -> None:
        own_source = None if peer.role == "proxy" else (peer.source or b"")
        checked = check_records(data, own_source)
        if checked.damaged:
            self._refusals.add("damaged_record", peer.key, checked.damage, checked.damaged)
        if checked.foreign_source is not None:
            foreign = checked.foreign_source.hex()
            detail = f"records of source {foreign}, which is not the one of {peer.name}"
            self._refusals.add("foreign_source", peer.key, detail, checked.foreign_records)
        if not checked.records:
            return
        self._links.carry(peer.key, checked.sources, self._clock.monotonic())
        loop = asyncio.get_running_loop()
        self._stall_timer = loop.call_later(self._timings.stall_seconds, self._stall)
        try:
            await self._receiver.receive(peer, checked.records)
        finally:
            self._stall_timer.cancel()

    def _stall(self) -> None:
        """The receiver is full: say so, again and again until it is back.

        Who connects meanwhile gets its subscription all the same: zmq.asyncio looks after a socket nobody reads.
        """
        self._outgoing.note_full(2 * self._timings.stall_seconds)
        loop = asyncio.get_running_loop()
        self._stall_timer = loop.call_later(self._timings.stall_seconds, self._stall)

    def _meet_gap(self, link: Link, frame: int) -> None:
        if frame <= link.frame:
            self._counters.add("link.repeated_frames")
            return
        self._counters.add("link.frames_after_gap")
        self._ask_again(link)

    def _ask_again(self, link: Link) -> None:
        now = self._clock.monotonic()
        if now - link.asked_again_monotonic < self._timings.again_seconds:
            return
        if self._outgoing.put(link, m.Again(session=link.session, frame=link.frame + 1)):
            link.asked_again_monotonic = now
            self._counters.add("link.gaps")

    def _dismiss(self, key: bytes) -> None:
        link = self._links.get(key)
        if link is not None:
            refusal = m.Refusal(reason="revoked", message="this key is not accepted any more", retry_seconds=60)
            self._outgoing.put(link, refusal)
            self._links.remove(key)

    async def _ask_for_lost_tails(self) -> NoReturn:
        """Ask for frames a heartbeat announced that are neither here nor, for all we can see, under way."""
        while True:
            await self._clock.sleep(self._timings.again_seconds / 2)
            last_idle_at = self._last_idle_at if self._idle_since is None else self._clock.monotonic()
            for link in self._links:
                if link.announced_frame > link.frame:
                    waited_seconds = last_idle_at - link.announced_monotonic
                    if waited_seconds > self._timings.again_seconds:
                        self._ask_again(link)
