"""What a source has under way: the bytes its credit allows, and where to go back to when a frame is lost.

A decision only. Invariants: the bytes under way never exceed the window, save for a single record larger than it;
frames are numbered without gaps; after going back to a frame, the same number starts at the same place.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.wire.limits import MAX_FRAMES_IN_FLIGHT

if TYPE_CHECKING:
    from core.spool.spool import Position


@dataclass(frozen=True, slots=True)
class _Sent:
    frame: int
    begin: Position
    size_bytes: int


class Flight:
    """The frames of one session that were sent and not yet receipted; reading the spool goes on at `cursor`."""

    def __init__(self, cursor: Position, window: int) -> None:
        self.cursor = cursor
        self.window = window
        self.last_frame = 0
        self.in_flight_bytes = 0
        self.receipted_frame = 0
        self._sent: deque[_Sent] = deque()

    @property
    def room_bytes(self) -> int:
        """How many bytes may be sent now; 0 while nothing may."""
        if len(self._sent) >= MAX_FRAMES_IN_FLIGHT:
            return 0
        return max(0, self.window - self.in_flight_bytes)

    def admits(self, size_bytes: int) -> bool:
        """Tell whether a frame of this size may be sent: it has room, or it is alone under way."""
        return size_bytes <= self.room_bytes or (self.window > 0 and not self._sent)

    def launch(self, begin: Position, end: Position, size_bytes: int) -> int:
        """Note that the records from `begin` to `end` are sent now; return their frame number."""
        self.last_frame += 1
        self._sent.append(_Sent(self.last_frame, begin, size_bytes))
        self.in_flight_bytes += size_bytes
        self.cursor = end
        return self.last_frame

    def receipt(self, frame: int, window: int) -> bool:
        """Note that frames up to `frame` were read and what the window is now; False when that frame was never sent."""
        if frame > self.last_frame:
            return False
        self.window = window
        self.receipted_frame = max(self.receipted_frame, frame)
        while self._sent and self._sent[0].frame <= frame:
            self.in_flight_bytes -= self._sent.popleft().size_bytes
        return True

    def go_back(self, frame: int) -> bool:
        """Send `frame` and all after it again; False when that frame is not under way."""
        if not self._sent or not self._sent[0].frame <= frame <= self.last_frame:
            return False
        while self._sent and self._sent[-1].frame >= frame:
            undone = self._sent.pop()
            self.in_flight_bytes -= undone.size_bytes
            self.cursor = undone.begin
        self.last_frame = frame - 1
        return True

    @property
    def oldest_frame(self) -> int | None:
        """The first frame without a receipt; None when there is none."""
        return self._sent[0].frame if self._sent else None
