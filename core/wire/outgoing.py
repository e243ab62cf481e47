"""What a collector tells its links: receipts, acknowledgements, heartbeats, each gathered and none lost meanwhile."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Final, NoReturn

import zmq
import zmq.asyncio

from core.runtime.logging import Log
from core.wire import messages as m
from core.wire.codec import MessageError, encode
from core.wire.limits import MAX_ACKS
from core.wire.sockets import send_now

if TYPE_CHECKING:
    from core.model.ranges import RangeSet
    from core.runtime.clock import Clock
    from core.runtime.counters import Counters
    from core.wire.greeter import AckKind
    from core.wire.link import Link
    from core.wire.links import Links
    from core.wire.messages import Acknowledgements, CollectorMessage
    from core.wire.timings import LinkTimings

_log = Log("link")
_KINDS: Final[dict[AckKind, type[m.Taken | m.Stored | m.Refused]]] = {
    "taken": m.Taken,
    "stored": m.Stored,
    "refused": m.Refused,
}
_RECEIPT_FRAMES: Final = 16
# Who has sent so much is told soon, as a backlog's share goes on by it. With hundreds of links that send a little each
# it would be three messages a frame.
_MUCH_BYTES: Final = 32 << 10  # not more than the smallest share


class Outgoing:
    """Sends without ever waiting: a link that does not read keeps its acknowledgements owed, as ranges."""

    def __init__(self, *, links: Links, clock: Clock, counters: Counters, timings: LinkTimings) -> None:
        self.socket: zmq.asyncio.Socket | None = None
        self.is_full = False
        self._full_until = float("-inf")
        self.standing = m.CollectorHeartbeat(role="server", epoch=0, clock=0, is_active=True)
        self._links = links
        self._clock = clock
        self._counters = counters
        self._timings = timings

    def stand(self, *, role: str, epoch: int, is_active: bool) -> None:
        """Say this in heartbeats from now on, and at once when it changes."""
        new = m.CollectorHeartbeat(role=role, epoch=epoch, clock=0, is_active=is_active)
        if new != self.standing:
            self.standing = new
            for link in self._links:
                self.put(link, self.heartbeat())

    def heartbeat(self) -> m.CollectorHeartbeat:
        """Return the collector's heartbeat of this moment."""
        now = self.standing
        return m.CollectorHeartbeat(role=now.role, epoch=now.epoch, clock=self._clock.now_us(), is_active=now.is_active)

    def put(self, link: Link, message: CollectorMessage) -> bool:
        """Send to a link; False when it does not read. A link whose connection is gone is removed."""
        sent = self.put_to(link.route, message)
        if sent is None and self._links.get(link.peer.key) is link:
            self._links.remove(link.peer.key)
            _log.info("A link is gone", peer=link.peer.name)
        return bool(sent)

    def put_to(self, route: bytes, message: CollectorMessage) -> bool | None:
        """Send to a connection; False when its pipe is full, None when there is no such connection any more."""
        if self.socket is None:
            return False
        try:
            send_now(self.socket, [route, encode(message)])
        except zmq.Again:
            self._counters.add("link.full_pipes")
            return False
        except zmq.ZMQError as error:
            if error.errno == zmq.EHOSTUNREACH:
                return None
            raise
        except MessageError as error:
            self._counters.add("link.dropped_messages")
            _log.error("A message is too large to be sent", error=error)
            return False
        return True

    def receipt(self, link: Link) -> None:
        """Tell a link now what was read when it has used much of its credit; others are told with the next round."""
        if link.unreceipted_bytes >= link.granted_bytes // 4 or link.unreceipted_frames >= _RECEIPT_FRAMES:
            self._send_receipt(link)

    def note_full(self, seconds: float) -> None:
        """Take all links' credit away for `seconds`, unless this is said again: the receiver is full."""
        self._full_until = self._clock.monotonic() + seconds

    def acknowledge(self, kind: AckKind, acks: Acknowledgements, key: bytes | None) -> None:
        """Owe these acknowledgements to the links that carried their sources, or to one link only."""
        for life, ranges in acks.items():
            ranges = list(ranges)  # noqa: PLW2901 - it may be an iterator, and several links need it
            only = self._links.get(key) if key is not None else None
            targets = self._links.carriers(life[0]) if key is None else filter(None, [only])
            for link in targets:
                link.owe(kind, {life: ranges})

    async def run(self) -> NoReturn:
        """Send what is owed every few milliseconds or less often, heartbeats when due, until cancelled."""
        beat_at = all_at = self._clock.monotonic()
        while True:
            await self._clock.sleep(self._timings.acknowledge_seconds)
            now = self._clock.monotonic()
            if now >= beat_at:
                beat_at = now + self._timings.heartbeat_seconds
                self._beat(now)
            is_turning = (now < self._full_until) != self.is_full
            if is_turning:
                self.is_full = not self.is_full
                for link in self._links:
                    link.owes_receipt = True
            is_for_all = is_turning or now >= all_at
            if is_for_all:
                all_at = now + self._timings.gather_acknowledgements_seconds
            for place, link in enumerate(self._links):
                if is_for_all or link.unreceipted_bytes >= _MUCH_BYTES:
                    self._tell(link)
                if place % 100 == 99:
                    await asyncio.sleep(0)

    def _tell(self, link: Link) -> None:
        if link.owes_receipt:
            self._send_receipt(link)
        if link.pending:
            self._send_acknowledgements(link)

    def _beat(self, now: float) -> None:
        for link in self._links:
            if now - link.heard_monotonic > self._timings.dead_seconds:
                self._links.remove(link.peer.key)
                self._counters.add("link.lost")
                _log.info("A link went silent", peer=link.peer.name)
            else:
                self.put(link, self.heartbeat())
        self._links.forget_old_carriers(now)

    def _send_receipt(self, link: Link) -> None:
        window = 0 if self.is_full else self._links.window_bytes
        if self.put(link, m.Receipt(session=link.session, frame=link.frame, window=window)):
            link.granted_bytes = window
            link.unreceipted_bytes = 0
            link.unreceipted_frames = 0
            link.owes_receipt = False

    def _send_acknowledgements(self, link: Link) -> None:
        for kind in list(link.pending):
            waiting = link.pending[kind]
            while waiting:
                acks = _next_acks(waiting)
                if not self.put(link, _KINDS[kind](acks=acks)):
                    return
                for ack in acks:
                    _forget(waiting, ack)
            del link.pending[kind]


def _next_acks(waiting: dict[tuple[bytes, int], RangeSet]) -> tuple[m.Ack, ...]:
    """Return what fits into one message."""
    acks = []
    room = MAX_ACKS // 2  # an ack without ranges costs about as much as one range
    for (source, boot), ranges in waiting.items():
        taken = tuple(islice(ranges, room))
        acks.append(m.Ack(source, boot, taken))
        room -= len(taken) + 1
        if room <= 0:
            break
    return tuple(acks)


def _forget(waiting: dict[tuple[bytes, int], RangeSet], ack: m.Ack) -> None:
    left = waiting[ack.source, ack.boot]
    for first, last in ack.ranges:
        left.remove(first, last)
    if not left:
        del waiting[ack.source, ack.boot]
