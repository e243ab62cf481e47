"""Streams a spool into a session's data socket: under credit, again when asked, without what is known stored."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import zmq
import zmq.asyncio

from core.wire.ending import SessionOver
from core.wire.failover import Ending
from core.wire.flight import Flight
from core.wire.frames import pack_envelope
from core.wire.lanes import Lanes
from core.wire.limits import FRAME_BYTES
from core.wire.share import BacklogShare
from core.wire.sockets import send_now

if TYPE_CHECKING:
    from core.runtime.clock import Clock
    from core.runtime.counters import Counters
    from core.spool.spool import Spool
    from core.wire.lanes import Draft
    from core.wire.timings import LinkTimings

_SMALL_FRAME_BYTES = FRAME_BYTES // 4
_PATIENT_FRAMES = 8  # so many live frames pass a backlog that could be sent, then one of it goes first


class Stream:
    """The sending side of one session: live records first, a backlog beside them as far as it does not delay them."""

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
        self._socket = socket
        self._session = session
        self._clock = clock
        self._counters = counters
        self._timings = timings
        self._wake = asyncio.Event()
        self._lanes = Lanes(spool)
        self._share = BacklogShare()
        self._passed_frames = 0
        self._live_from = float("-inf")
        self._progress_at = clock.monotonic()
        self._went_back: tuple[int, float] = (0, float("-inf"))
        self._is_stuck = False
        self._caught_up_at = float("-inf")
        self.flight = Flight(window)

    @property
    def has_backlog(self) -> bool:
        """Whether old records wait beside the live ones."""
        return self._lanes.is_divided

    @property
    def behind_seconds(self) -> float:
        """How long ago nothing was left to send the last time; infinite when that never was."""
        return self._clock.monotonic() - self._caught_up_at

    def notify(self) -> None:
        """Look again whether there is something to send."""
        self._wake.set()

    def receipt(self, frame: int, window: int) -> None:
        """Free credit. Raises SessionOver when the collector read what was never sent."""
        now = self._clock.monotonic()
        if frame > self.flight.receipted_frame:
            self._progress_at = now
            self._is_stuck = False
        freed = self.flight.receipt(frame, window)
        if freed is None:
            raise SessionOver(Ending(trouble="it acknowledged a frame that was never sent", was_welcomed=True))
        for sent in freed:
            if sent.is_backlog:
                self._share.note_receipt(sent.at, now, window)
        self.notify()

    def again(self, frame: int) -> None:
        """Go back to `frame`. Raises SessionOver when the spool no longer knows where that was."""
        now = self._clock.monotonic()
        if frame == self._went_back[0] and now - self._went_back[1] < self._timings.again_seconds / 2:
            return  # asked twice for one loss; it is on its way
        if frame == self.flight.last_frame + 1:
            return
        lost = self.flight.go_back(frame)
        if lost is None:
            raise SessionOver(Ending(trouble="it misses a frame it acknowledged before", was_welcomed=True))
        self._lanes.send_again(lost)
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
                    async with asyncio.timeout(self._pause_seconds()):
                        await self._wake.wait()
                except TimeoutError:
                    self._look_whether_stuck()
            elif 0 < sent_bytes < _SMALL_FRAME_BYTES and not self.has_backlog:
                await self._clock.sleep(self._timings.gather_seconds)
            else:
                await asyncio.sleep(0)  # sending never waits, so let the others run

    def _pause_seconds(self) -> float:
        """How long to wait when nothing can be sent: until small live records were gathered, else for a heartbeat."""
        gathering = self._live_from - self._clock.monotonic()
        return gathering if gathering > 0 else self._timings.heartbeat_seconds

    def _send_next(self) -> int | None:
        """Send the next frame if there is one and credit for it; return its size, None when there was nothing to do.

        0: nothing was sent, but there may be something now.
        """
        flight = self.flight
        draft = self._draft()
        if draft is None or (draft.records and not flight.admits(len(draft.records))):
            return None
        if not draft.records and not draft.is_repeat:
            draft.take()
            return 0
        now = self._clock.monotonic()
        try:
            send_now(self._socket, [pack_envelope(self._session, flight.last_frame + 1), draft.records])
        except zmq.Again:
            self._counters.add("link.full_pipes")
            return None
        draft.take()
        flight.launch(draft.stretches, len(draft.records), is_backlog=draft.is_backlog, at=now)
        if flight.oldest_frame == flight.last_frame:
            self._progress_at = now
        self._counters.add("link.sent_frames")
        self._counters.add("link.sent_bytes", len(draft.records))
        if draft.is_backlog:
            self._passed_frames = 0
            self._counters.add("link.backlog_bytes", len(draft.records))
        elif self.has_backlog and len(draft.records) < _SMALL_FRAME_BYTES:
            self._live_from = now + self._timings.gather_seconds
        return len(draft.records)

    def _draft(self) -> Draft | None:
        """Choose what goes next: what was lost or is needed first, then live records, then the backlog's share."""
        lanes, flight = self._lanes, self.flight
        room = min(FRAME_BYTES, flight.room_bytes)
        if room <= 0:
            return None
        draft = lanes.first(room)
        if draft is not None:
            return draft
        backlog_bytes = self._share.frame_bytes(flight.window, flight.backlog_bytes) if lanes.is_divided else 0
        if backlog_bytes and self._passed_frames >= _PATIENT_FRAMES:
            draft = lanes.backlog(min(room, backlog_bytes))
            if draft is not None:
                return draft
        if not lanes.is_divided or self._clock.monotonic() >= self._live_from:
            draft = lanes.live(room, self._clock.now_us())
            if draft is not None:
                self._passed_frames += bool(backlog_bytes)
                return draft
            if not lanes.is_divided and not flight.backlog_bytes:
                self._caught_up_at = self._clock.monotonic()
        return lanes.backlog(min(room, backlog_bytes)) if backlog_bytes else None

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
