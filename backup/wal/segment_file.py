"""A WAL file as it lies in its cluster's pg_wal, read and looked at before it is archived."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from backup.errors import SourceFailed
from backup.wal.archive import MOST_BYTES, fits
from backup.wal.names import is_wal_name

if TYPE_CHECKING:
    from pathlib import Path

# Rounded up, never down: a segment that seems to end before a moment must have nothing of later than it.
_CLOCK_SECONDS: Final = 0.1  # how much a file system's clock may lag
_CONTROL_FILE: Final = "global/pg_control"  # its first eight bytes are the system identifier (pg_control.h)


@dataclass(frozen=True, slots=True, kw_only=True)
class WalFile:
    """A file's content, when it was written (whole seconds, rounded up, aware UTC), whose cluster's it is."""

    content: bytes
    written_at: datetime
    system_identifier: int


def read_file(path: Path) -> WalFile:
    """Read a WAL file. Raises SourceFailed when it is none, or not the one its name says."""
    if not is_wal_name(path.name):
        raise SourceFailed(f"{path} is no WAL file: archive_command is to give %p")
    try:
        found = path.stat()
        if found.st_size > MOST_BYTES:
            raise SourceFailed(
                f"{path} is larger than {MOST_BYTES >> 20} MiB: WAL segments of this size are not archived"
            )
        content = path.read_bytes()
        written_at = datetime.fromtimestamp(int(path.stat().st_mtime + _CLOCK_SECONDS) + 1, UTC)
        (system,) = struct.unpack("=Q", (path.parent.parent / _CONTROL_FILE).read_bytes()[:8])
    except (OSError, struct.error) as error:
        raise SourceFailed(f"{path} and {_CONTROL_FILE} beside its folder cannot be read: {error}") from error
    if not fits(path.name, content, system):
        raise SourceFailed(f"{path} is not the segment its name says; nothing of it was archived")
    return WalFile(content=content, written_at=written_at, system_identifier=system)
