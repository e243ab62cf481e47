"""The spool: records kept on disk until the server has stored them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.spool.faults import SpoolFault, SpoolFull

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from core.model.ranges import NumberRange, RangeSet

__all__ = ["Damage", "Lost", "Position", "Slice", "Spool", "SpoolFault", "SpoolFull", "SpoolLimits"]

Lost = tuple[bytes, int, "RangeSet"]


@dataclass(frozen=True, order=True, slots=True)
class Position:
    """A place between two records; comparable, meaningful only to the spool that gave it and only while it is open."""

    segment: int
    offset: int


@dataclass(frozen=True, slots=True)
class Slice:
    """Whole records as they lie in the spool, and the place after them to read on from."""

    begin: Position
    end: Position
    data: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class SpoolLimits:
    """How much a spool may hold, and how large one of its files grows before the next is begun."""

    max_bytes: int = 256 << 20
    segment_bytes: int = 4 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Damage:
    """Bytes of a segment file that are no record; they are skipped."""

    file: str
    offset: int
    bytes: int
    reason: str


class Spool:
    """Records in segment files, oldest first. One process, one event loop."""

    folder: Path
    damages: list[Damage]
    appended_records: int
    appended_bytes: int
    dropped_records: int
    damaged_records: int
    syncs: int

    @classmethod
    def open(cls, folder: Path, limits: SpoolLimits, monotonic: Callable[[], float] = time.monotonic) -> Spool:
        """Open or make the folder, lock it, and verify every record in it."""
        raise NotImplementedError

    def append(self, records: bytes) -> None:
        """Append whole records; when this returns they are in the page cache: a killed process loses none of them.

        Raises SpoolFull or SpoolFault, and then nothing of `records` was appended; RecordError when they are not
        whole records.
        """
        raise NotImplementedError

    async def sync(self) -> Position:
        """Make everything appended so far outlive a power cut; return the durable end.

        Callers at the same time share one fsync (in a worker thread). Raises SpoolFault; a later call tries again.
        """
        raise NotImplementedError

    def read(self, begin: Position, max_bytes: int) -> Slice | None:
        """Return whole records from `begin` on, at most `max_bytes` (always one at least); None at the end."""
        raise NotImplementedError

    @property
    def begin(self) -> Position:
        """The place of the oldest record not yet stored."""
        raise NotImplementedError

    @property
    def end(self) -> Position:
        """The place after the newest record."""
        raise NotImplementedError

    @property
    def held_bytes(self) -> int:
        """Bytes of the segment files."""
        raise NotImplementedError

    @property
    def held_records(self) -> int:
        """Records held and not stored."""
        raise NotImplementedError

    @property
    def oldest_at(self) -> int | None:
        """First instant (µs) of about the oldest record not stored; None when there is none."""
        raise NotImplementedError

    @property
    def oldest_unsynced_at(self) -> float | None:
        """When (monotonic seconds) the oldest record was appended that is neither acknowledged nor fsynced."""
        raise NotImplementedError

    def mark_stored(self, source: bytes, boot: int, ranges: Iterable[NumberRange]) -> None:
        """Note what the server has committed; a file all of whose records are stored is deleted. Idempotent."""
        raise NotImplementedError

    def mark_taken(self, source: bytes, boot: int, ranges: Iterable[NumberRange]) -> None:
        """Note what a proxy has on disk: these are dropped first when room is needed. Idempotent."""
        raise NotImplementedError

    def drop(self, wanted_bytes: int) -> list[Lost]:
        """Free room, whole files at a time: those a proxy has first, then the oldest; return what is lost."""
        raise NotImplementedError

    def unstored(self) -> dict[tuple[bytes, int], RangeSet]:
        """Return everything held and not stored, by (source, boot)."""
        raise NotImplementedError

    def find(self, source: bytes, boot: int, first: int, last: int) -> Iterator[bytes]:
        """Yield the held records with these numbers, one by one, in the order they were appended; reads the disk."""
        raise NotImplementedError

    def close(self) -> None:
        """Fsync, release the folder. Idempotent."""
        raise NotImplementedError
