"""One file of a spool: a short header, then records; and the bookkeeping of what in it is still needed.

Offsets are those of the file, plus a shift once the file was compacted: so a place somebody kept from before is known
as such, and means the next record that was kept.
"""

from __future__ import annotations

import os
import re
import struct
from dataclasses import replace
from typing import TYPE_CHECKING

from core.model.ranges import RangeSet
from core.model.record import HEADER_BYTES, RecordError, read_header
from core.spool.disk import read_at, read_what_can_be, replace_file, write_at
from core.spool.moves import Moves
from core.spool.position import Damage
from core.spool.scan import (
    NO_INSTANT,
    Contents,
    Scan,
    add_stretch,
    dated_records_of,
    is_control,
    record_bytes_at,
    records_of,
    whole_records,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from core.model.ranges import NumberRange
    from core.spool.position import Key

FILE_HEADER = struct.Struct("<8sQ")
FILE_MAGIC = b"WKSPOOL1"
FILE_NAME = re.compile(r"[0-9a-f]{16}\.segment")
START = FILE_HEADER.size
_READ_BYTES = 1 << 20


class Segment:
    """Numbers are kept as ranges per (source, boot), never as an object per record.

    Invariant: `held` has a key only while some record of it is not stored; `taken` is a subset of `held`.
    """

    def __init__(self, path: Path, number: int) -> None:
        self.path = path
        self.number = number
        self.begin = START
        self.end = START
        self.is_synced = True
        self.newest_at = NO_INSTANT
        self.control: list[tuple[int, int]] = []
        self.held: dict[Key, RangeSet] = {}
        self.taken: dict[Key, RangeSet] = {}
        self.holes: list[tuple[int, int]] = []
        self._shift = 0
        self._moves = Moves()
        self._low = START
        self._descriptor: int | None = None

    @classmethod
    def create(cls, folder: Path, number: int) -> Segment:
        """Make an empty segment open for appending. Raises OSError, and then there is no file."""
        segment = cls(folder / f"{number:016x}.segment", number)
        flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
        descriptor = os.open(segment.path, flags, 0o600)
        try:
            write_at(descriptor, FILE_HEADER.pack(FILE_MAGIC, number), 0)
        except OSError:
            os.close(descriptor)
            segment.path.unlink(missing_ok=True)
            raise
        segment._descriptor = descriptor
        segment.is_synced = False
        return segment

    @classmethod
    def load(cls, path: Path) -> tuple[Segment, Scan, list[Damage]]:
        """Read a file left by an earlier process, verify each record, cut off a damaged tail. Raises OSError."""
        segment = cls(path, int(path.name[:16], 16))
        data = read_what_can_be(path)
        damages = []
        if data[:START] != FILE_HEADER.pack(FILE_MAGIC, segment.number):
            bad = min(START, len(data))
            damages.append(Damage(file=path.name, offset=0, bytes=bad, reason="not the header of a segment file"))
        scan = Scan(data, min(START, len(data)))
        damages += segment.take_over(scan)
        segment.end = scan.end
        if scan.is_tail_damaged:
            os.truncate(path, scan.end)
            segment.holes.pop()
        segment.is_synced = False
        return segment, scan, damages

    def take_over(self, scan: Scan) -> list[Damage]:
        """Keep the books after what a scan of the file found; return its damages."""
        self.held = {}
        self.taken = {}
        self.control = []
        self._add(scan.contents, self._shift)
        self.holes = [(hole.begin + self._shift, hole.end + self._shift) for hole in scan.holes]
        return [
            Damage(file=self.path.name, offset=h.begin, bytes=h.end - h.begin, reason=h.reason, missing=h.missing)
            for h in scan.holes
        ]

    @property
    def file_bytes(self) -> int:
        """Length of the file."""
        return self.end - self._shift

    @property
    def record_bytes(self) -> int:
        """Length of its records, whatever they are."""
        return self.file_bytes - START

    @property
    def is_stored(self) -> bool:
        """Whether every record in it is stored."""
        return not self.held

    @property
    def is_taken(self) -> bool:
        """Whether a proxy has every record in it that is not stored."""
        return self.taken.keys() == self.held.keys() and all(self.taken[key] == held for key, held in self.held.items())

    @property
    def held_records(self) -> int:
        """How many records in it are not stored."""
        return sum(ranges.count for ranges in self.held.values())

    def append(self, records: bytes, contents: Contents) -> int:
        """Write records at the end; return how many are new to it. Raises OSError, and then nothing was appended."""
        if self._descriptor is None:
            raise ValueError(f"{self.path} is closed")
        write_at(self._descriptor, records, self.end - self._shift)
        begin, self.end = self.end, self.end + len(records)
        self.is_synced = False
        return self._add(contents, begin)

    def _add(self, contents: Contents, base: int) -> int:
        """Take records that lie from `base` on into the books; return how many are new."""
        added = 0
        self.newest_at = max(self.newest_at, contents.newest_at)
        for begin, end in contents.control:
            add_stretch(self.control, base + begin, base + end)
        for source, boot, first, last in contents.runs:
            ranges = self.held.get((source, boot))
            if ranges is None:
                ranges = self.held[source, boot] = RangeSet()
            before = ranges.count
            ranges.add(first, last)
            added += ranges.count - before
        return added

    def mark_stored(self, key: Key, ranges: Iterable[NumberRange]) -> int:
        """Take numbers out of `held`; return how many."""
        held = self.held.get(key)
        if held is None:
            return 0
        before = held.count
        taken = self.taken.get(key)
        for first, last in ranges:
            held.remove(first, last)
            if taken is not None:
                taken.remove(first, last)
        if not taken:
            self.taken.pop(key, None)
        removed = before - held.count
        if not held:
            del self.held[key]
        return removed

    def mark_taken(self, key: Key, ranges: Iterable[NumberRange]) -> None:
        """Note that a proxy has these numbers, as far as they are held."""
        held = self.held.get(key)
        if held is None:
            return
        taken = held.common(ranges)
        if taken:
            self.taken.setdefault(key, RangeSet()).update(taken)

    def untaken(self, key: Key) -> RangeSet:
        """Return the numbers of `key` neither stored nor taken."""
        return self.held[key].without(self.taken.get(key, ()))

    def present(self, offset: int) -> int:
        """Return where a place is now: from before the file was compacted, it is the next record that was kept."""
        return self._moves.present(offset, self.end)

    def read(self, offset: int, max_bytes: int, until: int | None = None) -> tuple[int, bytes]:
        """Return whole records at or after `offset` and before `until`, and where they begin; no bytes: there are none.

        Raises OSError when the disk cannot read them, RecordError when the file does not hold them any more.
        """
        offset = max(self.present(offset), self.begin)
        end = self.end if until is None else min(self.end, self.present(until))
        for hole_begin, hole_end in self.holes:
            if hole_begin <= offset < hole_end:
                offset = hole_end
            elif offset < hole_begin:
                end = min(end, hole_begin)
                break
        if offset >= end:
            return offset, b""
        data = self._pread(min(max(max_bytes, HEADER_BYTES), end - offset), offset)
        whole = whole_records(data)
        if whole == 0:
            whole = record_bytes_at(data)
            if offset + whole > end:
                raise RecordError(f"the record at offset {offset} of {self.path.name} reaches past the end")
            data = self._pread(whole, offset)
        return offset, data[:whole]

    def records(self) -> Iterator[tuple[int, int, Key, int, bytes]]:
        """Yield (offset, kind, key, number, record) of each record in the file. Raises as `read`."""
        offset, data = self.read(self.begin, _READ_BYTES)
        while data:
            for begin, end, kind, source, boot, number in records_of(data):
                yield offset + begin, kind, (source, boot), number, data[begin:end]
            offset, data = self.read(offset + len(data), _READ_BYTES)

    def low(self) -> int:
        """Return the offset of the first record not stored; `end` when there is none. Raises as `read`."""
        offset = max(self._low, self.begin)
        while offset < self.end:
            offset, data = self.read(offset, _READ_BYTES)
            for begin, _, _, source, boot, number in records_of(data):
                held = self.held.get((source, boot))
                if held is not None and number in held:
                    self._low = offset + begin
                    return self._low
            offset += len(data)
        self._low = self.end
        return self.end

    def oldest_at(self) -> int:
        """Return the first instant, µs, of the first record not stored. Raises as `read`."""
        return read_header(self._pread(HEADER_BYTES, self.low())).base_at

    def first_since(self, instant: int, offset: int) -> int:
        """Return the first record at or after `offset` that ends at `instant` (µs) or later; `end` when none does.

        Raises as `read`.
        """
        offset, data = self.read(offset, _READ_BYTES)
        while data:
            for begin, *_, last_at in dated_records_of(data):
                if last_at >= instant:
                    return offset + begin
            offset, data = self.read(offset + len(data), _READ_BYTES)
        return self.end

    def rescan(self) -> tuple[list[Damage], int]:
        """Find out what can still be read of a file that failed; return its damages and how many records are gone.

        Raises OSError.
        """
        held, taken = self.held, self.taken
        before = self.held_records
        try:
            data = read_what_can_be(self.path)[: self.file_bytes]
        except FileNotFoundError:
            data = b""  # somebody deleted it
        scan = Scan(data.ljust(self.file_bytes, b"\0"), self.begin - self._shift)
        damages = self.take_over(scan)
        found = self.held
        self.held = {key: both for key, ranges in held.items() if (both := ranges.common(found.get(key, ())))}
        self.taken = {key: both for key, ranges in taken.items() if (both := ranges.common(found.get(key, ())))}
        gone = tuple(
            (source, boot, first, last)
            for (source, boot), ranges in held.items()
            for first, last in ranges.without(found.get((source, boot), ()))
        )
        if damages:  # what is gone is certain here, so it is named once, with the last damage
            damages = [replace(damage, missing=()) for damage in damages]
            damages[-1] = replace(damages[-1], missing=gone)
        return damages, before - self.held_records

    def compact(self) -> None:
        """Keep only the records that are not samples and not stored; the others are gone. Raises as `read`."""
        kept = Contents()
        moves: dict[int, int] = {}
        data = bytearray(FILE_HEADER.pack(FILE_MAGIC, self.number))
        begin = self.end + 1  # the present end is a place from before, too
        shift = begin - START
        for offset, kind, key, number, record in self.records():
            held = self.held.get(key)
            if is_control(kind) and held is not None and number in held:
                moves[offset] = shift + len(data)
                kept.add(len(data), len(data) + len(record), kind, *key, number)
                kept.see_instant(record, 0)
                data += record
        replace_file(self.path, bytes(data))
        self.release()
        self._moves.note(begin, moves)
        self._shift = shift
        self.begin = begin
        self.end = shift + len(data)
        self._low = self.begin
        self.holes = []
        self.held = {}
        self.taken = {}
        self.control = []
        self._add(kept, shift)
        self.is_synced = True

    def rewrite(self) -> None:
        """Write the file anew under its name, durably: its pages may be lost after a failed fsync. Raises OSError."""
        replace_file(self.path, self._pread(self.file_bytes, self._shift))

    def release(self) -> None:
        """Close the file; nothing can be appended any more. Idempotent."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def delete(self) -> None:
        """Delete the file. Raises OSError."""
        self.release()
        self.path.unlink(missing_ok=True)

    def _pread(self, length: int, offset: int) -> bytes:
        if self._descriptor is not None:
            return read_at(self._descriptor, length, offset - self._shift)
        with self.path.open("rb", buffering=0) as file:
            return read_at(file.fileno(), length, offset - self._shift)
