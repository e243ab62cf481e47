"""What a source has under way: the bytes its credit allows, and what to send again when a frame is lost.

A decision only. Invariants: the bytes under way never exceed the window, save for a single record larger than it;
frames are numbered without gaps; a number carries the same records whenever it is sent, since the collector may read
any of the copies.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.wire.limits import MAX_FRAMES_IN_FLIGHT

if TYPE_CHECKING:
    from core.spool.position import Position

    Stretch = tuple[Position, Position]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A frame under way: the stretches of the spool it carries, in their order, and when it was sent."""

    frame: int
    stretches: tuple[Stretch, ...]
    size_bytes: int
    is_backlog: bool
    at: float


class Flight:
    """The frames of one session that were sent and not yet receipted."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.last_frame = 0
        self.in_flight_bytes = 0
        self.backlog_bytes = 0
        self.receipted_frame = 0
        self._sent: deque[Sent] = deque()

    @property
    def room_bytes(self) -> int:
        """How many bytes may be sent now; 0 while nothing may."""
        if len(self._sent) >= MAX_FRAMES_IN_FLIGHT:
            return 0
        return max(0, self.window - self.in_flight_bytes)

    def admits(self, size_bytes: int) -> bool:
        """Tell whether a frame of this size may be sent: it has room, or it is alone under way."""
        return size_bytes <= self.room_bytes or (self.window > 0 and not self._sent)

    def launch(self, stretches: tuple[Stretch, ...], size_bytes: int, *, is_backlog: bool, at: float) -> int:
        """Note that these records are sent now; return their frame number."""
        self.last_frame += 1
        self._sent.append(
            Sent(frame=self.last_frame, stretches=stretches, size_bytes=size_bytes, is_backlog=is_backlog, at=at)
        )
        self._count(self._sent[-1], 1)
        return self.last_frame

    def receipt(self, frame: int, window: int) -> list[Sent] | None:
        """Note that frames up to `frame` were read and what the window is now; None when that frame was never sent.

        Returns the frames that were under way until now.
        """
        if frame > self.last_frame:
            return None
        self.window = window
        self.receipted_frame = max(self.receipted_frame, frame)
        freed = []
        while self._sent and self._sent[0].frame <= frame:
            freed.append(self._sent.popleft())
            self._count(freed[-1], -1)
        return freed

    def go_back(self, frame: int) -> list[Sent] | None:
        """Return `frame` and all after it, to be sent again as they were; None when that frame is not under way."""
        if not self._sent or not self._sent[0].frame <= frame <= self.last_frame:
            return None
        undone: list[Sent] = []
        while self._sent and self._sent[-1].frame >= frame:
            undone.append(self._sent.pop())
            self._count(undone[-1], -1)
        self.last_frame = frame - 1
        return undone[::-1]

    @property
    def oldest_frame(self) -> int | None:
        """The first frame without a receipt; None when there is none."""
        return self._sent[0].frame if self._sent else None

    def _count(self, sent: Sent, sign: int) -> None:
        self.in_flight_bytes += sign * sent.size_bytes
        if sent.is_backlog:
            self.backlog_bytes += sign * sent.size_bytes
