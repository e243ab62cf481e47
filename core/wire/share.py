"""How much of a backlog may be under way beside live records: as much as does not make those wait.

A decision only. What is under way ahead of a live record delays it at the receiver, so the share is what the receiver
reads in a fraction of a second: it grows while receipts come promptly and is halved when they are late or the receiver
is full, like the congestion window of a background transfer (LEDBAT, RFC 6817). A receiver may take promptly what it
only queues, and then stop: so even at its largest the share is small, an eighth of the window.
"""

from __future__ import annotations

from typing import Final

from core.wire.limits import FRAME_BYTES

LATE_SECONDS: Final = 0.2
"""A receipt that comes so much later than the fastest one was delayed by what lay before its frame."""
SMALLEST_BYTES: Final = 32 << 10
"""Not halved further: a backlog must end, however many links share a slow receiver."""
WINDOW_PART: Final = 8
"""The share at its largest, as a part of the window: 512 KiB of the usual one, 25 MB/s with a receipt every 20 ms."""
_FRAMES: Final = 2  # under way at once, so that the receiver need not wait for the next one
_STEP_BYTES: Final = FRAME_BYTES // 4


class BacklogShare:
    """Invariant: what it allows never exceeds its part of the window."""

    def __init__(self) -> None:
        self.allowed_bytes = FRAME_BYTES
        self._fastest_seconds = float("inf")
        self._halved_at = float("-inf")

    def frame_bytes(self, window: int, under_way_bytes: int) -> int:
        """Return how large the next frame of the backlog may be; 0: none may be sent now."""
        allowed = min(self.allowed_bytes, window // WINDOW_PART)
        size = min(FRAME_BYTES, allowed // _FRAMES)
        return size if not under_way_bytes or under_way_bytes + size <= allowed else 0

    def note_receipt(self, sent_at: float, now: float, window: int) -> None:
        """Learn from the receipt of one frame of the backlog; both instants in seconds of one clock."""
        seconds = now - sent_at
        self._fastest_seconds = min(self._fastest_seconds, seconds)
        if window == 0 or seconds - self._fastest_seconds > LATE_SECONDS:
            if sent_at >= self._halved_at:  # frames sent before say once more what was heeded already
                self.allowed_bytes = max(self.allowed_bytes // 2, SMALLEST_BYTES)
                self._halved_at = now
        elif self.allowed_bytes < window // WINDOW_PART:
            self.allowed_bytes = min(self.allowed_bytes + _STEP_BYTES, window // WINDOW_PART)
