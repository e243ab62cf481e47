"""One process at a time in a spool's folder."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from core.spool.faults import SpoolFault

if TYPE_CHECKING:
    from pathlib import Path


class FolderLock:
    """Held until released or the process ends, however it ends; nothing stale is left to clear away."""

    def __init__(self, folder: Path) -> None:
        """Take the lock. Raises SpoolFault naming the process that has it, OSError."""
        self._descriptor = os.open(folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._descriptor)
            raise SpoolFault(
                f"the spool {folder} is in use by process {holder}; end that one, or give this one a folder of its own"
            ) from error
        # the number only makes the message better; a full disk must not keep the spool shut
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Let others in."""
        os.close(self._descriptor)
