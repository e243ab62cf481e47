"""How much of a backlog may be under way beside live records: as much as does not make those wait.

A decision only. What is under way ahead of a live record delays it at the receiver, so the share is what the receiver
reads in a fraction of a second: it grows while receipts come promptly and is halved when they are late, like the
congestion window of a background transfer (LEDBAT, RFC 6817). On an idle link it reaches half of the window.
"""

from __future__ import annotations

from typing import Final

from core.wire.limits import FRAME_BYTES

LATE_SECONDS: Final = 0.2
"""A receipt that comes so much later than the fastest one was delayed by what lay before its frame."""
SMALLEST_BYTES: Final = 32 << 10
"""Never less: a backlog must end, however many links share a slow receiver."""


class BacklogShare:
    """Invariant: what it allows never exceeds half of the window, and `allowed_bytes` is never below SMALLEST_BYTES."""

    def __init__(self) -> None:
        self.allowed_bytes = FRAME_BYTES
        self._fastest_seconds = float("inf")
        self._halved_at = float("-inf")

    def frame_bytes(self, window: int, under_way_bytes: int) -> int:
        """Return how large the next frame of the backlog may be; 0: none may be sent now."""
        allowed = min(self.allowed_bytes, window // 2)
        size = min(FRAME_BYTES, allowed)
        return size if size and (not under_way_bytes or under_way_bytes + size <= allowed) else 0

    def note_receipt(self, sent_at: float, now: float, window: int) -> None:
        """Learn from the receipt of one frame of the backlog; both instants in seconds of one clock."""
        seconds = now - sent_at
        self._fastest_seconds = min(self._fastest_seconds, seconds)
        if seconds - self._fastest_seconds <= LATE_SECONDS:
            if self.allowed_bytes < window // 2:
                self.allowed_bytes = min(self.allowed_bytes + FRAME_BYTES // 4, window // 2)
        elif sent_at >= self._halved_at:  # frames sent before say once more what was heeded already
            self.allowed_bytes = max(self.allowed_bytes // 2, SMALLEST_BYTES)
            self._halved_at = now
