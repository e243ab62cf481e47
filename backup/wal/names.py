"""What PostgreSQL calls its WAL files, what they are called at a target, and what the head of a segment says.

A segment is 24 hex digits: timeline, then its number in two halves (PostgreSQL's manual, "WAL Internals"; the head is
XLogLongPageHeaderData of access/xlog_internal.h). At the target its name has when it was last written and the start of
its digest too, so that a moment is found, and another file of the same name noticed, without reading anything; and its
seal, so that whoever has no key can compare what lies there.
"""

from __future__ import annotations

import re
import struct
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backup.model import instant_name, read_instant
from backup.saving.sealed_files import SEAL, read_seal

if TYPE_CHECKING:
    from datetime import datetime

    from backup.saving.sealed_files import Seal

_WAL: Final = re.compile(r"[0-9A-F]{24}(?:\.partial|\.[0-9A-F]{8}\.backup)?|[0-9A-F]{8}\.history")
_OBJECT: Final = re.compile(rf"(?P<wal>[^-]+)-(?P<at>\d{{8}}T\d{{6}}Z)-(?P<digest>[0-9a-f]{{16}}){SEAL}\.gpg")
_HEAD: Final = struct.Struct(("<" if sys.byteorder == "little" else ">") + "HHIQI4xQII")
_LONG_HEAD: Final = 0x0002  # XLP_LONG_HEADER
HISTORIES: Final = "history"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What a segment says of itself: its timeline, its first byte's position, whose cluster's it is, its size."""

    timeline: int
    address: int
    system_identifier: int
    segment_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WalObject:
    """A WAL file at the target.

    at: when PostgreSQL last wrote it (whole seconds, rounded up, UTC). digest: the first 16 hex digits of its SHA-256.
    seal: of what lies there; None where it was archived before names told that. size_bytes: of what lies there now.
    """

    wal: str
    at: datetime
    digest: str
    seal: Seal | None = None
    size_bytes: int = 0

    @property
    def name(self) -> str:
        """Its file name at the target."""
        return f"{self.wal}-{instant_name(self.at)}-{self.digest}{'' if self.seal is None else self.seal.ending}.gpg"

    @property
    def folder(self) -> str:
        """The folder it lies in, below its cluster's: at most 256 segments of 16 MiB each."""
        return folder_of(self.wal)

    @property
    def is_segment(self) -> bool:
        """Whether it is a whole segment, not a history, a label or the torn end of a timeline."""
        return is_segment(self.wal)


def is_wal_name(name: str) -> bool:
    """Whether PostgreSQL calls a file of its WAL so."""
    return _WAL.fullmatch(name) is not None


def is_segment(wal: str) -> bool:
    """Whether a WAL file is a whole segment."""
    return len(wal) == 24


def is_history(wal: str) -> bool:
    """Whether a WAL file says how a timeline came about."""
    return wal.endswith(".history")


def is_label(wal: str) -> bool:
    """Whether a WAL file says where a base backup began."""
    return wal.endswith(".backup")


def archiving_order(name: str) -> tuple[bool, str]:
    """Return what sorts WAL files as PostgreSQL archives them: histories before all, then by name (its pgarch.c)."""
    return not is_history(name), name


def folder_of(wal: str) -> str:
    """Return the folder, below its cluster's, a WAL file lies in."""
    return HISTORIES if is_history(wal) else wal[:16]


def read_object_name(name: str, size_bytes: int) -> WalObject | None:
    """Return what a file at the target is; None when it is no WAL file of ours."""
    found = _OBJECT.fullmatch(name)
    if found is None or not is_wal_name(found["wal"]):
        return None
    try:
        at = read_instant(found["at"])
    except ValueError:
        return None
    seal = read_seal(found.groupdict())
    return WalObject(wal=found["wal"], at=at, digest=found["digest"], seal=seal, size_bytes=size_bytes)


def read_head(content: bytes) -> Head | None:
    """Return the head of a segment; None when it has none."""
    if len(content) < _HEAD.size:
        return None
    _, info, timeline, address, _, system, segment_bytes, _ = _HEAD.unpack_from(content)
    if not info & _LONG_HEAD or not segment_bytes:
        return None
    return Head(timeline=timeline, address=address, system_identifier=system, segment_bytes=segment_bytes)


def timeline_of(wal: str) -> int:
    """Return a WAL file's timeline."""
    return int(wal[:8], 16)


def number_of(segment: str, segment_bytes: int) -> int:
    """Return a segment's number, counted over the whole log."""
    return int(segment[8:16], 16) * (0x1_0000_0000 // segment_bytes) + int(segment[16:24], 16)


def segment_at(lsn: int, timeline: int, segment_bytes: int) -> str:
    """Return the segment that has a position."""
    high, low = divmod(lsn // segment_bytes, 0x1_0000_0000 // segment_bytes)
    return f"{timeline:08X}{high:08X}{low:08X}"


def read_lsn(text: str) -> int:
    """Return a position as PostgreSQL writes it, "16/B374D848". Raises ValueError."""
    if re.fullmatch(r"[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}", text) is None:
        raise ValueError(f"{text!r} is no position in the WAL: expected two hex numbers such as 16/B374D848")
    high, low = text.split("/")
    return (int(high, 16) << 32) + int(low, 16)
