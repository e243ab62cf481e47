"""The record: one numbered batch of a source, in the one form it keeps from spool to store.

A record is a 64-byte little-endian header and a body. The same bytes lie in a spool segment, travel in a data frame,
wait in a proxy's custody and reach the server: nobody on the way decodes the body.
Layout and test vectors: docs/protocol.md.
"""

from __future__ import annotations

import os
import struct
from array import array
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

import msgpack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

MAGIC = b"WK1"
HEADER = struct.Struct("<3sBIII16sQQIIq")
HEADER_BYTES = HEADER.size
assert HEADER_BYTES == 64  # noqa: S101 - the layout is the contract
CHECKSUM_AT = 8
CHECKSUM_END = 12

MAX_BODY_BYTES = 1 << 20
MAX_VALUES = 65_536
MAX_SPAN_MICROSECONDS = 30 * 60 * 1_000_000
MAX_BOOT = (1 << 63) - 1
MAX_TEXT_BYTES = 65_536


class Kind(IntEnum):
    """What a record's body holds."""

    DICTIONARY = 0
    VALUES = 1
    TEXTS = 2
    LOST = 3
    CLOSING = 4


class RecordError(ValueError):
    """The bytes are not a record; the message says what is wrong and where."""


_KINDS = tuple(Kind)
_LAST_KIND = int(Kind.CLOSING)  # plain numbers: comparing with an enum's member takes ten times as long
_VALUES = int(Kind.VALUES)


class Header(NamedTuple):
    """What a record says about itself; a tuple, since making one a record is on the way of every value.

    `source` is the source's 16-byte id, `(source, boot, number)` names the record for ever. `count` is the number of
    values (VALUES, TEXTS) or entries. `base_at` is the first instant in µs since 1970 UTC; every instant of the body
    lies within `span` µs after it.
    """

    kind: Kind
    source: bytes
    boot: int
    number: int
    dictionary: int
    count: int  # type: ignore[assignment]  # hides a tuple's own count, for which a header has no use
    base_at: int
    span: int
    body_bytes: int

    @property
    def record_bytes(self) -> int:
        """Length of header and body together."""
        return HEADER_BYTES + self.body_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemEntry:
    """One line of a source's dictionary: what the source's item `number` means.

    `host` is empty for the source's own host. `type` is "number", "text" or "structured". `key` is `name` or
    `name[parameter]`.
    """

    number: int
    key: str
    type: str = "number"
    unit: str = ""
    description: str = ""
    host: str = ""


def new_boot() -> int:
    """Mint the identity of one life of a source: 63 random bits, never 0, so that SQL's bigint holds it."""
    # not `secrets`: it loads OpenSSL, 4 MiB in every agent
    return (int.from_bytes(os.urandom(8), "little") & MAX_BOOT) or 1


@dataclass(frozen=True, slots=True)
class Origin:
    """The source and the boot under which records are numbered."""

    source: UUID
    boot: int


def checksum(record: bytes | bytearray | memoryview) -> int:
    """Return the CRC-32 of a whole record: of everything but the checksum's own four bytes."""
    view = memoryview(record)
    return crc32(view[CHECKSUM_END:], crc32(view[:CHECKSUM_AT]))


def _sealed(header: bytearray, body: bytes) -> bytes:
    value = crc32(body, crc32(header[CHECKSUM_END:], crc32(header[:CHECKSUM_AT])))
    header[CHECKSUM_AT:CHECKSUM_END] = value.to_bytes(4, "little")
    return bytes(header) + body


def _pack(  # noqa: PLR0913 - the fields of the header, and private
    origin: Origin,
    number: int,
    kind: Kind,
    body: bytes,
    *,
    dictionary: int,
    count: int,
    base_at: int,
    span: int,
) -> bytes:
    if len(body) > MAX_BODY_BYTES:
        raise RecordError(f"a record body of {len(body)} bytes exceeds the limit of {MAX_BODY_BYTES}")
    if not 0 <= span <= MAX_SPAN_MICROSECONDS:
        raise RecordError(f"a record spans {span} µs; the limit is {MAX_SPAN_MICROSECONDS}")
    header = bytearray(
        HEADER.pack(
            MAGIC,
            kind,
            len(body),
            0,
            count,
            origin.source.bytes,
            origin.boot,
            number,
            dictionary,
            span,
            base_at,
        )
    )
    return _sealed(header, body)


def pack_values(
    origin: Origin,
    number: int,
    dictionary: int,
    items: array[int],
    instants: Sequence[int],
    values: array[float],
) -> bytes:
    """Pack numeric samples as columns.

    `items` is array('I') of item numbers, `instants` µs since 1970 UTC in any order, `values` array('d'); all of one
    length from 1 to MAX_VALUES. Body: items u32[n], offsets u32[n] (µs after
    the header's base), values f64[n].
    Raises RecordError when the instants span more than MAX_SPAN_MICROSECONDS.
    """
    count = len(items)
    if not 1 <= count <= MAX_VALUES or len(instants) != count or len(values) != count:
        raise RecordError(f"columns of {count}, {len(instants)} and {len(values)} values do not make a batch")
    base_at = min(instants)
    span = max(instants) - base_at
    if span > MAX_SPAN_MICROSECONDS:
        raise RecordError(f"a record spans {span} µs; the limit is {MAX_SPAN_MICROSECONDS}")
    offsets = array("I", [instant - base_at for instant in instants])
    body = items.tobytes() + offsets.tobytes() + values.tobytes()
    return _pack(origin, number, Kind.VALUES, body, dictionary=dictionary, count=count, base_at=base_at, span=span)


def pack_texts(
    origin: Origin,
    number: int,
    dictionary: int,
    items: Sequence[int],
    instants: Sequence[int],
    texts: Sequence[str],
) -> bytes:
    """Pack text samples; body: msgpack [[item, offset µs, text], …]. Same limits as `pack_values`."""
    if not 1 <= len(items) <= MAX_VALUES or len(instants) != len(items) or len(texts) != len(items):
        raise RecordError(f"columns of {len(items)}, {len(instants)} and {len(texts)} texts do not make a batch")
    base_at = min(instants)
    span = max(instants) - base_at
    rows = [[item, at - base_at, text] for item, at, text in zip(items, instants, texts, strict=True)]
    return _pack(
        origin,
        number,
        Kind.TEXTS,
        msgpack.packb(rows),
        dictionary=dictionary,
        count=len(rows),
        base_at=base_at,
        span=span,
    )


def pack_dictionary(origin: Origin, number: int, version: int, entries: Sequence[ItemEntry], at: int) -> bytes:
    """Pack the entries that are new in `version`.

    Body: msgpack [[number, key, type, unit, description, host], …].
    """
    rows = [[e.number, e.key, e.type, e.unit, e.description, e.host] for e in entries]
    return _pack(
        origin,
        number,
        Kind.DICTIONARY,
        msgpack.packb(rows),
        dictionary=version,
        count=len(rows),
        base_at=at,
        span=0,
    )


def pack_lost(origin: Origin, number: int, lost: Sequence[tuple[int, int, int]], at: int) -> bytes:
    """Pack the numbers this source had to drop; body: msgpack [[boot, first, last], …]."""
    rows = [list(entry) for entry in lost]
    return _pack(origin, number, Kind.LOST, msgpack.packb(rows), dictionary=0, count=len(rows), base_at=at, span=0)


def pack_closing(origin: Origin, number: int, closed: Sequence[tuple[int, int]], at: int) -> bytes:
    """Pack the end of boots; body: msgpack [[boot, last number], …]."""
    rows = [list(entry) for entry in closed]
    return _pack(origin, number, Kind.CLOSING, msgpack.packb(rows), dictionary=0, count=len(rows), base_at=at, span=0)


def renumber(record: bytes | memoryview, boot: int, number: int) -> bytes:
    """Return the same record under another boot and number, its checksum made anew."""
    magic, kind, body_bytes, _, count, source, _, _, dictionary, span, base_at = HEADER.unpack_from(record)
    header = bytearray(HEADER.pack(magic, kind, body_bytes, 0, count, source, boot, number, dictionary, span, base_at))
    body = bytes(record[HEADER_BYTES : HEADER_BYTES + body_bytes])
    return _sealed(header, body)


def read_header(buffer: bytes | memoryview, offset: int = 0) -> Header:
    """Read and check the header at `offset`, the body unread. Raises RecordError naming what is wrong."""
    if len(buffer) - offset < HEADER_BYTES:
        raise RecordError(f"{len(buffer) - offset} bytes at offset {offset} are less than a record header")
    magic, kind, body_bytes, _, count, source, boot, number, dictionary, span, base_at = HEADER.unpack_from(
        buffer, offset
    )
    if magic != MAGIC:
        raise RecordError(f"no record starts at offset {offset}: magic {magic!r} instead of {MAGIC!r}")
    if kind > _LAST_KIND:
        raise RecordError(f"unknown record kind {kind} at offset {offset}")
    if body_bytes > MAX_BODY_BYTES:
        raise RecordError(
            f"a record body of {body_bytes} bytes at offset {offset} exceeds the limit of {MAX_BODY_BYTES}"
        )
    if count > MAX_VALUES:
        raise RecordError(f"a record of {count} values at offset {offset} exceeds the limit of {MAX_VALUES}")
    if kind == _VALUES and (count < 1 or body_bytes != 16 * count):
        raise RecordError(f"a record of {count} values at offset {offset} has a body of {body_bytes} bytes")
    if not 1 <= boot <= MAX_BOOT or not 1 <= number <= MAX_BOOT:
        raise RecordError(f"boot {boot} or number {number} at offset {offset} is out of range")
    if span > MAX_SPAN_MICROSECONDS:
        raise RecordError(f"a record at offset {offset} spans {span} µs; the limit is {MAX_SPAN_MICROSECONDS}")
    return Header(_KINDS[kind], source, boot, number, dictionary, count, base_at, span, body_bytes)


def verify(buffer: bytes | memoryview, header: Header, offset: int = 0) -> None:
    """Check the checksum of the record at `offset`; RecordError when it is cut short or damaged."""
    end = offset + header.record_bytes
    if len(buffer) < end:
        raise RecordError(
            f"the record at offset {offset} is cut short: {len(buffer) - offset} of {header.record_bytes} bytes"
        )
    stored = int.from_bytes(buffer[offset + CHECKSUM_AT : offset + CHECKSUM_END], "little")
    if checksum(memoryview(buffer)[offset:end]) != stored:
        raise RecordError(f"the record at offset {offset} is damaged: its checksum does not match")


def iterate(buffer: bytes | memoryview) -> Iterator[tuple[int, Header]]:
    """Yield (offset, header) of each record in a buffer of whole records, checksums unchecked.

    Raises RecordError at the first byte that does not start a whole record.
    """
    offset = 0
    while offset < len(buffer):
        header = read_header(buffer, offset)
        if offset + header.record_bytes > len(buffer):
            raise RecordError(f"the record at offset {offset} is cut short")
        yield offset, header
        offset += header.record_bytes


def unpack_rows(buffer: bytes | memoryview, header: Header, offset: int = 0) -> list[list[Any]]:
    """Decode the msgpack rows of any record but VALUES, their shape checked against the kind.

    Raises RecordError naming the row that has another shape.
    """
    body = memoryview(buffer)[offset + HEADER_BYTES : offset + header.record_bytes]
    try:
        rows = msgpack.unpackb(body, use_list=True, strict_map_key=True)
    except (ValueError, msgpack.exceptions.UnpackException) as error:
        raise RecordError(f"the body of a {header.kind.name} record is not msgpack: {error}") from error
    shape = _ROW_SHAPES[header.kind]
    if not isinstance(rows, list) or len(rows) != header.count:
        raise RecordError(f"the body of a {header.kind.name} record is not a list of {header.count} rows")
    for place, row in enumerate(rows):
        if (
            not isinstance(row, list)
            or len(row) != len(shape)
            or any(
                type(field) is not wanted or (isinstance(field, int) and field < 0)
                for field, wanted in zip(row, shape, strict=True)
            )
        ):
            raise RecordError(
                f"row {place} of a {header.kind.name} record has not the form {[t.__name__ for t in shape]}"
            )
    return rows


_ROW_SHAPES: dict[Kind, tuple[type, ...]] = {
    Kind.DICTIONARY: (int, str, str, str, str, str),
    Kind.TEXTS: (int, int, str),
    Kind.LOST: (int, int, int),
    Kind.CLOSING: (int, int),
}
