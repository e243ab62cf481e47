"""Walking over records: quickly over bytes that are trusted, with checksums and resynchronisation over a file's."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from core.model.record import (
    HEADER_BYTES,
    MAGIC,
    MAX_BODY_BYTES,
    MAX_BOOT,
    Kind,
    RecordError,
    checksum,
    read_header,
    verify,
)

# magic, kind, body_bytes, checksum, (count), source, boot, number: the header's beginning, enough to walk on.
# A Header object per record would cost ten times as much, and a proxy walks over every record it takes.
_WALK = struct.Struct("<3sBII4x16sQQ")
_TAIL = struct.Struct("<Iq")  # span and base: the header's end
_TAIL_AT = HEADER_BYTES - _TAIL.size
_CONTROL = frozenset({int(Kind.DICTIONARY), int(Kind.LOST), int(Kind.CLOSING)})
_LAST_KIND = int(Kind.CLOSING)  # plain numbers: comparing with an enum's member takes ten times as long


def is_control(kind: int) -> bool:
    """Tell whether records of this kind are kept when samples are dropped: small, and others need them."""
    return kind in _CONTROL


Run = tuple[bytes, int, int, int]
"""(source, boot, first, last): records of consecutive numbers that follow each other."""


NO_INSTANT = -(1 << 63)


@dataclass(slots=True)
class Contents:
    """What a stretch of records holds. `control`: where in it those lie that are not samples, as (begin, end).

    `newest`, of whole records walked over: number and checksum of the highest number of each (source, boot).
    `newest_at`: the latest instant, µs, of the records that end a run; a source's instants rise with its numbers.
    """

    runs: list[Run] = field(default_factory=list)
    newest: dict[tuple[bytes, int], tuple[int, int]] = field(default_factory=dict)
    records: int = 0
    newest_at: int = NO_INSTANT
    control: list[tuple[int, int]] = field(default_factory=list)

    def see_instant(self, records: bytes | memoryview, begin: int) -> None:
        """Note the last instant of the record that begins at `begin` of `records`."""
        span, base_at = _TAIL.unpack_from(records, begin + _TAIL_AT)
        self.newest_at = max(self.newest_at, base_at + span)

    def add(self, begin: int, end: int, kind: int, source: bytes, boot: int, number: int) -> None:
        """Note one more record, which lies from `begin` to `end`."""
        self.records += 1
        if kind in _CONTROL:
            add_stretch(self.control, begin, end)
        if self.runs:
            last_source, last_boot, first, last = self.runs[-1]
            if number == last + 1 and boot == last_boot and source == last_source:
                self.runs[-1] = (last_source, last_boot, first, number)
                return
        self.runs.append((source, boot, number, number))


def add_stretch(stretches: list[tuple[int, int]], begin: int, end: int) -> None:
    """Add a stretch behind the others; one that begins where the last ends makes it longer."""
    if stretches and stretches[-1][1] == begin:
        stretches[-1] = (stretches[-1][0], end)
    else:
        stretches.append((begin, end))


@dataclass(frozen=True, slots=True)
class Hole:
    """Bytes from `begin` to `end` that are no record, and the neighbours' names as (source, boot, number)."""

    begin: int
    end: int
    reason: str
    before: tuple[bytes, int, int] | None
    after: tuple[bytes, int, int] | None

    @property
    def missing(self) -> tuple[Run, ...]:
        """The numbers that certainly lay here, when both neighbours belong to one boot."""
        return between(self.before, self.after)


def between(before: tuple[bytes, int, int] | None, after: tuple[bytes, int, int] | None) -> tuple[Run, ...]:
    """Return the run of numbers between two records of one boot; empty when there is none or nothing is certain."""
    if before is None or after is None or before[:2] != after[:2] or after[2] <= before[2] + 1:
        return ()
    return ((before[0], before[1], before[2] + 1, after[2] - 1),)


def _walk_step(buffer: bytes | memoryview, offset: int) -> tuple[int, int, int, bytes, int, int]:
    """Return (kind, end, checksum, source, boot, number) of the whole record at `offset`; RecordError when none is."""
    if len(buffer) - offset >= HEADER_BYTES:
        magic, kind, body_bytes, stored, source, boot, number = _WALK.unpack_from(buffer, offset)
        end = offset + HEADER_BYTES + body_bytes
        if (
            magic == MAGIC
            and kind <= _LAST_KIND
            and body_bytes <= MAX_BODY_BYTES
            and end <= len(buffer)
            and 1 <= boot <= MAX_BOOT
            and 1 <= number <= MAX_BOOT
        ):
            return kind, end, stored, source, boot, number
    read_header(buffer, offset)  # says what is wrong, else:
    raise RecordError(f"the record at offset {offset} is cut short")


def contents_of(records: bytes | memoryview) -> Contents:
    """Walk over whole records, checksums unchecked; RecordError at the first byte that does not start one."""
    contents = Contents()
    runs, newest = contents.runs, contents.newest
    source, boot, first, last, stored, last_begin = b"", 0, 0, 0, 0, 0
    offset, size, count = 0, len(records), 0
    while offset < size:
        kind, end, its_checksum, its_source, its_boot, number = _walk_step(records, offset)
        count += 1
        if kind in _CONTROL:
            add_stretch(contents.control, offset, end)
        if number != last + 1 or its_source != source or its_boot != boot:
            if first:
                runs.append((source, boot, first, last))
                contents.see_instant(records, last_begin)
                newest[source, boot] = max(newest.get((source, boot), (0, 0)), (last, stored))
            source, boot, first = its_source, its_boot, number
        last, stored, last_begin, offset = number, its_checksum, offset, end
    if first:
        runs.append((source, boot, first, last))
        contents.see_instant(records, last_begin)
        newest[source, boot] = max(newest.get((source, boot), (0, 0)), (last, stored))
    contents.records = count
    return contents


def records_of(records: bytes | memoryview) -> list[tuple[int, int, Kind, bytes, int, int]]:
    """Return (begin, end, kind, source, boot, number) of each record; RecordError as `contents_of`."""
    listed = []
    offset = 0
    while offset < len(records):
        kind, end, _, source, boot, number = _walk_step(records, offset)
        listed.append((offset, end, Kind(kind), source, boot, number))
        offset = end
    return listed


def records_named(records: bytes, key: tuple[bytes, int]) -> list[tuple[bytes, int]]:
    """Return (record, number) of those of this (source, boot); RecordError as `contents_of`."""
    return [
        (records[begin:end], number)
        for begin, end, _, source, boot, number in records_of(records)
        if (source, boot) == key
    ]


def dated_records_of(records: bytes | memoryview) -> list[tuple[int, int, int, bytes, int, int, int]]:
    """Return (begin, end, kind, source, boot, number, last instant in µs) of each record; RecordError as `contents_of`.

    Of a record that is not samples the instant is when it was made.
    """
    listed = []
    offset = 0
    while offset < len(records):
        kind, end, _, source, boot, number = _walk_step(records, offset)
        span, base_at = _TAIL.unpack_from(records, offset + _TAIL_AT)
        listed.append((offset, end, kind, source, boot, number, base_at + span))
        offset = end
    return listed


def last_instant(record: bytes | memoryview) -> int:
    """Return the last instant, µs, of the record that `record` begins with; RecordError when none does."""
    header = read_header(record)
    return header.base_at + header.span


def checksum_at(buffer: bytes | memoryview, offset: int = 0) -> int:
    """Return the checksum that the record at `offset` carries; RecordError when none is there."""
    return _walk_step(buffer, offset)[2]


def whole_records(buffer: bytes | memoryview) -> int:
    """Return how many bytes of whole records `buffer` begins with; 0 when the first is cut short.

    Raises RecordError when something that is no record follows.
    """
    offset = 0
    while len(buffer) - offset >= HEADER_BYTES:
        magic, _, body_bytes, _, _, _, _ = _WALK.unpack_from(buffer, offset)
        if magic != MAGIC or body_bytes > MAX_BODY_BYTES:
            raise RecordError(f"no record starts at offset {offset}")
        if offset + HEADER_BYTES + body_bytes > len(buffer):
            break
        offset += HEADER_BYTES + body_bytes
    return offset


def record_bytes_at(buffer: bytes | memoryview) -> int:
    """Return the length of the record `buffer` starts with, of which it may hold the header only."""
    return read_header(buffer).record_bytes


class Scan:
    """What a file's bytes hold when every checksum is verified.

    Damage loses only the records it lies in: the scan goes on at the next bytes that are a record with a matching
    checksum. The length a damaged record claims is tried first: a text inside it may look like a record.
    """

    def __init__(self, data: bytes, begin: int) -> None:
        self.contents = Contents()
        self.holes: list[Hole] = []
        self.first: tuple[bytes, int, int] | None = None
        self.last: tuple[bytes, int, int] | None = None
        self.end = begin
        self._data = memoryview(data)
        self._bytes = data
        offset = begin
        while offset < len(data):
            step = self._valid_step(offset)
            if step is None:
                offset = self._skip(offset)
                continue
            kind, self.end, source, boot, number = step
            self.contents.add(offset, self.end, kind, source, boot, number)
            self.contents.see_instant(data, offset)
            self.last = (source, boot, number)
            self.first = self.first or self.last
            offset = self.end

    @property
    def is_head_damaged(self) -> bool:
        """Whether the data begins with bytes that are no record, and records follow."""
        return bool(self.holes) and self.holes[0].before is None and self.first is not None

    @property
    def is_tail_damaged(self) -> bool:
        """Whether the data ends in bytes that are no record; `end` lies before them."""
        return self.end < len(self._bytes)

    def _valid_step(self, offset: int) -> tuple[int, int, bytes, int, int] | None:
        try:
            kind, end, stored, source, boot, number = _walk_step(self._data, offset)
        except RecordError:
            return None
        if checksum(self._data[offset:end]) != stored:
            return None
        return kind, end, source, boot, number

    def _skip(self, offset: int) -> int:
        """Note the hole that begins at `offset`; return where it ends."""
        reason = self._reason(offset)
        end = self._claimed_end(offset)
        if end is None or (end < len(self._data) and self._valid_step(end) is None):
            end = self._bytes.find(MAGIC, offset + 1)
            while end >= 0 and self._valid_step(end) is None:
                end = self._bytes.find(MAGIC, end + 1)
            if end < 0:
                end = len(self._data)
        step = self._valid_step(end) if end < len(self._data) else None
        self.holes.append(Hole(offset, end, reason, self.last, step[2:] if step else None))
        return end

    def _claimed_end(self, offset: int) -> int | None:
        try:
            end = offset + read_header(self._data, offset).record_bytes
        except RecordError:
            return None
        return end if end <= len(self._data) else None

    def _reason(self, offset: int) -> str:
        try:
            verify(self._data, read_header(self._data, offset), offset)
        except RecordError as error:
            return str(error)
        return "not a record"
