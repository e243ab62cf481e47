"""The spool: records kept on disk until the server has stored them.

Append-only segment files, no journal of acknowledgements: after a restart whatever is on disk counts as not stored, is
sent again, and the server removes the duplicates. Checksums are verified when the folder is opened.
"""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.model.ranges import RangeSet
from core.model.record import RecordError
from core.spool.ages import control_between, first_since
from core.spool.dropping import plan_drop
from core.spool.durability import Durability
from core.spool.faults import SpoolFault, SpoolFull
from core.spool.lock import FolderLock
from core.spool.position import Damage, Position, Slice
from core.spool.scan import contents_of, records_named
from core.spool.shelf import Shelf
from core.spool.unsynced import Unsynced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from core.model.ranges import NumberRange
    from core.spool.dropping import DropPlan
    from core.spool.position import Key
    from core.spool.scan import Contents
    from core.spool.segment import Segment

__all__ = ["Damage", "Lost", "Position", "Slice", "Spool", "SpoolFault", "SpoolFull", "SpoolLimits"]

Lost = tuple[bytes, int, RangeSet]


@dataclass(frozen=True, kw_only=True, slots=True)
class SpoolLimits:
    """How much a spool may hold, and how large one of its files grows before the next is begun.

    A file is never more than a quarter of the whole, so that dropping one leaves something.
    """

    max_bytes: int = 256 << 20
    segment_bytes: int = 4 << 20


class Spool:
    """Records in segment files, oldest first. One process, one event loop; not to be used from several threads."""

    def __init__(self, folder: Path, limits: SpoolLimits, monotonic: Callable[[], float], lock: FolderLock) -> None:
        """Private: use `open`."""
        self.folder = folder
        self.appended_records = 0
        self.appended_bytes = 0
        self.dropped_records = 0
        self._limits = limits
        self._monotonic = monotonic
        self._lock: FolderLock | None = lock
        self._shelf = Shelf(folder, min(limits.segment_bytes, limits.max_bytes // 4))
        self._unsynced = Unsynced()
        self._durability = Durability(self._shelf, self._unsynced)

    @classmethod
    def open(cls, folder: Path, limits: SpoolLimits, monotonic: Callable[[], float] = time.monotonic) -> Spool:
        """Open or make the folder, lock it, verify every record in it; what is damaged is listed in `damages`.

        Reads everything held: about a second for 256 MiB. Raises SpoolFault when another process has the folder open
        or the operating system refuses.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = FolderLock(folder)
        except OSError as error:
            raise SpoolFault.during("open a file", folder, error) from error
        spool = cls(folder, limits, monotonic, lock)
        try:
            spool._shelf.load()
        except OSError as error:
            lock.release()
            raise SpoolFault.during("read what is held", folder, error) from error
        for (source, boot), ranges in spool.unstored().items():  # a killed process may have left it unsynced
            spool._unsynced.note(monotonic(), [(source, boot, first, last) for first, last in ranges])
        return spool

    def append(self, records: bytes, contents: Contents | None = None) -> None:
        """Append whole records; when this returns they are in the page cache: a killed process loses none of them.

        Who has walked over them already gives what it found.
        Raises SpoolFull or SpoolFault, and then nothing of `records` was appended; RecordError when they are not
        whole records.
        """
        if not self.has_room(len(records)):
            raise SpoolFull(
                f"the spool {self.folder} holds {self.held_bytes} of at most {self._limits.max_bytes} bytes"
            )
        self.append_reserved(records, contents)

    def append_reserved(self, records: bytes, contents: Contents | None = None) -> None:
        """Append without regard to `max_bytes`: for the few records that say what was dropped. Raises as `append`."""
        contents = contents or contents_of(records)
        if not contents.records:
            return
        try:
            self._shelf.append(records, contents)
        except OSError as error:
            raise SpoolFault.during(f"append {len(records)} bytes", self.folder, error) from error
        self.appended_records += contents.records
        self.appended_bytes += len(records)
        self._unsynced.note(self._monotonic(), contents.runs)

    def has_room(self, wanted_bytes: int) -> bool:
        """Tell whether `append` of so many bytes would stay within the limit."""
        active = self._shelf.active
        if self.held_bytes + wanted_bytes > self._limits.max_bytes and active is not None and active.is_stored:
            self._shelf.seal()
        return self.held_bytes + wanted_bytes <= self._limits.max_bytes

    async def sync(self) -> Position:
        """Make everything appended so far outlive a power cut; return the durable end.

        Callers at the same time share one fsync (in a worker thread). Raises SpoolFault; a later call tries again.
        """
        return await self._durability.sync()

    def read(self, begin: Position, max_bytes: int, until: Position | None = None) -> Slice | None:
        """Return whole records from `begin` on, at most `max_bytes` (always one at least); None at the end.

        Those at `until` and behind it are left out. Goes on at the next record held when those at `begin` were
        deleted. Raises SpoolFault.
        """
        for segment in self._segments_between(begin, until):
            offset = begin.offset if segment.number == begin.segment else 0
            end = until.offset if until is not None and segment.number == until.segment else None
            start, data = self._read_segment(segment, offset, max_bytes, end)
            if data:
                return Slice(Position(segment.number, start), Position(segment.number, start + len(data)), data)
        return None

    def _segments_between(self, begin: Position, until: Position | None) -> list[Segment]:
        segments = self._shelf.segments
        last = None if until is None else bisect_right(segments, until.segment, key=_number_of)
        return segments[bisect_left(segments, begin.segment, key=_number_of) : last]

    def _read_segment(
        self, segment: Segment, offset: int, max_bytes: int, until: int | None = None
    ) -> tuple[int, bytes]:
        return self._shelf.reading(segment, lambda: segment.read(offset, max_bytes, until))

    def control(self, begin: Position, until: Position) -> list[tuple[Position, Position]]:
        """Return where, from `begin` to `until`, the records lie that are not samples: stretches, in order."""
        return control_between(self._segments_between(begin, until), begin, until)

    def first_since(self, instant: int, begin: Position) -> Position:
        """Return where the first record lies, at or after `begin`, that ends at `instant` (µs) or later; else `end`.

        Reads only files in which there is such a record. Raises SpoolFault.
        """
        return first_since(self._shelf, self._segments_between(begin, None), instant, begin)

    @property
    def begin(self) -> Position:
        """The place of the oldest record not yet stored; `end` when there is none. Raises SpoolFault."""
        while (segment := self._shelf.oldest) is not None:
            low = self._shelf.reading(segment, segment.low)
            if segment.held:  # reading may have found that nothing of it is left
                return Position(segment.number, low)
        return self.end

    @property
    def end(self) -> Position:
        """The place after the newest record."""
        return self._shelf.end

    @property
    def oldest_at(self) -> int | None:
        """First instant (µs) of the oldest record not stored; None when there is none. Raises SpoolFault."""
        begin = self.begin
        if begin >= self.end or (segment := self._shelf.oldest) is None:
            return None
        return self._shelf.reading(segment, segment.oldest_at)

    @property
    def held_bytes(self) -> int:
        """Bytes of the segment files."""
        return self._shelf.held_bytes

    @property
    def held_records(self) -> int:
        """Records held and not stored."""
        return self._shelf.held_records

    @property
    def damages(self) -> Sequence[Damage]:
        """What was found damaged since the folder was opened."""
        return self._shelf.damages

    @property
    def damaged_records(self) -> int:
        """How many records are known to be gone by damage, at least."""
        return self._shelf.damaged_records

    @property
    def syncs(self) -> int:
        """How many fsyncs were made for `sync`."""
        return self._durability.syncs

    @property
    def oldest_unsynced_at(self) -> float | None:
        """When (monotonic seconds) the oldest record was appended that is neither acknowledged nor fsynced."""
        return self._unsynced.oldest_at

    def mark_stored(self, source: bytes, boot: int, ranges: Iterable[NumberRange]) -> None:
        """Note what the server has committed; a file all of whose records are stored is deleted.

        Idempotent; numbers not held do not matter.
        """
        listed = list(ranges)
        self._unsynced.acknowledge((source, boot), listed)
        self._shelf.mark_stored((source, boot), listed)

    def mark_taken(self, source: bytes, boot: int, ranges: Iterable[NumberRange]) -> None:
        """Note what a proxy has on disk: these are dropped first when room is needed. Idempotent."""
        listed = list(ranges)
        self._unsynced.acknowledge((source, boot), listed)
        for segment in self._shelf.holders.get((source, boot), []):
            segment.mark_taken((source, boot), listed)

    def plan_drop(self, wanted_bytes: int) -> DropPlan:
        """Decide what goes when `wanted_bytes` are needed; `carry_out` does it. Raises SpoolFault.

        Between the two a source announces what is lost, so that a crash cannot make a loss uncounted.
        """
        try:
            plan = plan_drop(self._droppable(), wanted_bytes)
            # The file being written may hold samples to go before any dictionary does.
            is_poor = plan.freed_bytes < wanted_bytes or plan.deleted_control
            if is_poor and self._shelf.active is not None:
                self._shelf.seal()
                plan = plan_drop(self._droppable(), wanted_bytes)
        except OSError as error:
            raise SpoolFault.during("read what is held", self.folder, error) from error
        except RecordError as error:
            raise SpoolFault(f"the spool {self.folder} holds a damaged segment: {error}") from error
        return plan

    def _droppable(self) -> list[Segment]:
        shelf = self._shelf
        return [segment for segment in shelf.segments if segment is not shelf.active and segment not in shelf.suspects]

    def carry_out(self, plan: DropPlan) -> None:
        """Delete and compact as planned. Raises SpoolFault; what was done until then stays done."""
        for key, lost in plan.lost.items():
            self._unsynced.acknowledge(key, lost)
        for segment in plan.compact:
            try:
                self._shelf.compact(segment)
            except (OSError, RecordError) as error:
                fault = error if isinstance(error, OSError) else OSError(None, str(error))
                raise SpoolFault.during("drop the oldest records", self.folder, fault) from error
        for segment in plan.delete:
            self._shelf.discard(segment)
        self.dropped_records += plan.lost_records

    def drop(self, wanted_bytes: int) -> list[Lost]:
        """Free room, whole files at a time: those a proxy has first, then the oldest; return what is lost.

        Dictionaries, closings and lost ranges are kept as long as that is enough. Raises SpoolFault.
        """
        plan = self.plan_drop(wanted_bytes)
        self.carry_out(plan)
        return [(source, boot, ranges) for (source, boot), ranges in plan.lost.items()]

    def unstored(self) -> dict[Key, RangeSet]:
        """Return everything held and not stored, by (source, boot)."""
        return {
            key: RangeSet(span for segment in segments for span in segment.held[key])
            for key, segments in self._shelf.holders.items()
        }

    def find(self, source: bytes, boot: int, first: int, last: int) -> Iterator[bytes]:
        """Yield the records held and not stored with these numbers, as they were appended. Raises SpoolFault."""
        key = (source, boot)
        for segment in self._shelf.holders.get(key, []).copy():
            offset = 0
            while key in segment.held and segment.held[key].common([(first, last)]):
                offset, data = self._read_segment(segment, offset, 1 << 20)
                if not data:
                    break
                for record, number in records_named(data, key):
                    if first <= number <= last and number in segment.held.get(key, ()):
                        yield record
                offset += len(data)

    def close(self) -> None:
        """Fsync, release the folder. Idempotent. Raises SpoolFault when the fsync fails; the folder is free even so."""
        if self._lock is None:
            return
        self._shelf.seal()
        try:
            self._durability.sync_now()
        finally:
            for segment in self._shelf.segments:
                segment.release()
            self._lock.release()
            self._lock = None


def _number_of(segment: Segment) -> int:
    return segment.number
