"""Streams a spool into a session's data socket: under credit, again when asked, without what is known stored."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import zmq
import zmq.asyncio

from core.model.record import RecordError, iterate
from core.spool.position import Position
from core.wire.ending import SessionOver
from core.wire.failover import Ending
from core.wire.flight import Flight
from core.wire.frames import pack_envelope
from core.wire.limits import FRAME_BYTES
from core.wire.sockets import send_now

if TYPE_CHECKING:
    from core.model.ranges import RangeSet
    from core.runtime.clock import Clock
    from core.runtime.counters import Counters
    from core.spool.spool import Slice, Spool
    from core.wire.timings import LinkTimings

_SMALL_FRAME_BYTES = FRAME_BYTES // 4


class Stream:
    """The sending side of one session. Records lying in the spool when it starts are sent only if not stored."""

    def __init__(  # noqa: PLR0913 - what a session hands down, all by name
        self,
        *,
        spool: Spool,
        socket: zmq.asyncio.Socket,
        session: int,
        window: int,
        clock: Clock,
        counters: Counters,
        timings: LinkTimings,
    ) -> None:
        self._spool = spool
        self._socket = socket
        self._session = session
        self._clock = clock
        self._counters = counters
        self._timings = timings
        self._wake = asyncio.Event()
        self._old_until: Position = spool.end
        self._unstored: dict[tuple[bytes, int], RangeSet] = spool.unstored()
        self._progress_at = clock.monotonic()
        self._went_back: tuple[int, float] = (0, float("-inf"))
        self._is_stuck = False
        self.flight = Flight(spool.begin, window)

    def notify(self) -> None:
        """Look again whether there is something to send."""
        self._wake.set()

    def receipt(self, frame: int, window: int) -> None:
        """Free credit. Raises SessionOver when the collector read what was never sent."""
        if frame > self.flight.receipted_frame:
            self._progress_at = self._clock.monotonic()
            self._is_stuck = False
        if not self.flight.receipt(frame, window):
            raise SessionOver(Ending(trouble="it acknowledged a frame that was never sent", was_welcomed=True))
        self.notify()

    def again(self, frame: int) -> None:
        """Go back to `frame`. Raises SessionOver when the spool no longer knows where that was."""
        now = self._clock.monotonic()
        if frame == self._went_back[0] and now - self._went_back[1] < self._timings.again_seconds / 2:
            return  # asked twice for one loss; it is on its way
        if frame == self.flight.last_frame + 1:
            return
        if not self.flight.go_back(frame):
            raise SessionOver(Ending(trouble="it misses a frame it acknowledged before", was_welcomed=True))
        self._went_back = (frame, now)
        self._counters.add("link.resends")
        self.notify()

    async def run(self) -> None:
        """Send until cancelled. Raises SessionOver when receipts stay away; SpoolFault when the spool fails."""
        while True:
            self._wake.clear()
            sent_bytes = self._send_next()
            if sent_bytes is None:
                try:
                    # Not wait_for: in Python 3.11 it swallows a cancellation that meets the event it waits for.
                    async with asyncio.timeout(self._timings.heartbeat_seconds):
                        await self._wake.wait()
                except TimeoutError:
                    self._look_whether_stuck()
            elif 0 < sent_bytes < _SMALL_FRAME_BYTES:
                await self._clock.sleep(self._timings.gather_seconds)
            else:
                await asyncio.sleep(0)  # sending never waits, so let the others run

    def _send_next(self) -> int | None:
        """Send the next frame if there is one and credit for it; return its size, None when there was nothing to do."""
        flight = self.flight
        room = flight.room_bytes
        if room <= 0:
            return None
        piece = self._spool.read(flight.cursor, min(FRAME_BYTES, room))
        if piece is None or not flight.admits(len(piece.data)):
            return None
        records = piece.data if piece.begin >= self._old_until else self._without_stored(piece)
        if not records:
            flight.cursor = piece.end
            return 0
        try:
            send_now(self._socket, [pack_envelope(self._session, flight.last_frame + 1), records])
        except zmq.Again:
            self._counters.add("link.full_pipes")
            return None
        flight.launch(flight.cursor, piece.end, len(records))
        if flight.oldest_frame == flight.last_frame:
            self._progress_at = self._clock.monotonic()
        self._counters.add("link.sent_frames")
        self._counters.add("link.sent_bytes", len(records))
        return len(records)

    def _without_stored(self, piece: Slice) -> bytes:
        """Return the records that were not stored when the session began, most often all of them.

        What was appended since may lie behind them in the same piece; of that nothing is left out.
        """
        kept = []
        try:
            for offset, header in iterate(piece.data):
                held = self._unstored.get((header.source, header.boot))
                is_new = Position(piece.begin.segment, piece.begin.offset + offset) >= self._old_until
                if is_new or (held is not None and header.number in held):
                    kept.append((offset, offset + header.record_bytes))
        except RecordError:
            return piece.data  # a fault of the disk: the collector judges it, counts it and saves the rest
        if sum(end - begin for begin, end in kept) == len(piece.data):
            return piece.data
        return b"".join(piece.data[begin:end] for begin, end in kept)

    def _look_whether_stuck(self) -> None:
        waited_seconds = self._clock.monotonic() - self._progress_at
        frame = self.flight.oldest_frame
        if frame is None or self.flight.window == 0:
            self._progress_at = self._clock.monotonic()
        elif waited_seconds > self._timings.stuck_seconds:
            if self._is_stuck:
                raise SessionOver(Ending(trouble="it no longer reads what is sent", was_welcomed=True))
            self._is_stuck = True
            self._progress_at = self._clock.monotonic()
            self.again(frame)
