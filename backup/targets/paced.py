"""A file that is read no faster than it may be sent."""

from __future__ import annotations

import io
import time
from typing import IO, TYPE_CHECKING, cast

if TYPE_CHECKING:
    from pathlib import Path


class PacedFile(io.FileIO):
    """A file on this disk; reading it takes as long as sending it may."""

    def __init__(self, path: Path, bytes_per_second: int) -> None:
        super().__init__(path)
        self._rate = bytes_per_second
        self._due = time.monotonic()

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes when those before may have been sent."""
        time.sleep(max(0.0, self._due - time.monotonic()))
        found = super().read(size) or b""
        self._due = max(self._due, time.monotonic()) + len(found) / self._rate
        return found


def open_to_send(path: Path, bytes_per_second: int | None) -> IO[bytes]:
    """Open a file whose reader sends it, so many bytes a second at most."""
    if bytes_per_second is None:
        return path.open("rb")
    return cast("IO[bytes]", PacedFile(path, bytes_per_second))
