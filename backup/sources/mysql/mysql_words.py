"""What `mysqldump --verbose` says at work: how long commits waited for its snapshot, and its complaints."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from backup.errors import SourceFailed

if TYPE_CHECKING:
    from collections.abc import Callable

_COMING: Final = b"-- Connecting to"
_TAKEN: Final = (b"-- Setting savepoint", b"-- Retrieving")
_REMARK: Final = (b"-- ", b"Warning: A partial dump from a server that has GTIDs", b"mysqldump: [Warning]")
_LONGEST_LINE: Final = 4096
_MOST_TOLD: Final = 600


class LockTooLong(SourceFailed):
    """The snapshot's lock was not given in time."""


class Words:
    """Hears mysqldump. `wait_seconds`: the longest it may take until it has its snapshot; None: no lock is taken.

    The lock is held at most from when it comes until it has the snapshot: what is told is a little more than was so.
    """

    def __init__(self, wait_seconds: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._wait_seconds = wait_seconds
        self._clock = clock
        self._rest = b""
        self._came_at: float | None = None
        self._taken_at: float | None = None
        self._complaints = ""

    def hear(self, piece: bytes) -> None:
        """Take what it says as it says it. Raises LockTooLong."""
        now = self._clock()
        *lines, rest = (self._rest + piece).split(b"\n")
        self._rest = rest[-_LONGEST_LINE:]
        for line in lines:
            self._take(line, now)
        if self._wait_seconds is None or self._came_at is None or self._taken_at is not None:
            return
        if now - self._came_at > self._wait_seconds:
            raise LockTooLong(
                f"the server did not give the lock of an instant within {self._wait_seconds:g} s, for which commits"
                " wait too: a long statement or LOCK TABLES is in its way; save at a quieter time, wait longer"
                " (mysql.lock_wait), or do without (mysql.binlog_position = false)"
            )

    def _take(self, line: bytes, now: float) -> None:
        if self._came_at is None and line.startswith(_COMING):
            self._came_at = now
        elif self._taken_at is None and line.startswith(_TAKEN):
            self._taken_at = now
        if line.strip() and not line.startswith(_REMARK):
            text = line.decode("utf-8", "replace").strip()
            self._complaints = f"{self._complaints} {text}".strip()[-_MOST_TOLD:]

    @property
    def complaints(self) -> str:
        """The last things it complained of."""
        self._take(self._rest, self._clock())
        self._rest = b""
        return self._complaints or "without a word"

    @property
    def blocked_seconds(self) -> float:
        """How long others' commits waited at most."""
        if self._wait_seconds is None or self._came_at is None or self._taken_at is None:
            return 0.0
        return self._taken_at - self._came_at
