"""Checks the records of a data frame where they enter the process: form, checksum, and whose they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from zlib import crc32

from core.model.record import (
    CHECKSUM_AT,
    CHECKSUM_END,
    HEADER,
    HEADER_BYTES,
    MAGIC,
    MAX_BODY_BYTES,
    MAX_BOOT,
    MAX_SPAN_MICROSECONDS,
    MAX_VALUES,
    Kind,
    RecordError,
    read_header,
    verify,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_LAST_KIND: Final = int(Kind.CLOSING)  # plain numbers: looking into an enum costs as much as the rest together
_VALUES: Final = int(Kind.VALUES)
_MOST_TRIES: Final = 64  # so that bytes made to look like headers cost little


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """`records` are whole, intact and allowed. `damage` says what was wrong first, `foreign_source` who was forged."""

    records: bytes
    count: int
    sources: frozenset[bytes]
    damaged: int
    damage: str
    foreign_records: int
    foreign_source: bytes | None


def check_records(data: bytes, only_source: bytes | None) -> Checked:
    """Check the records of one frame; with `only_source`, those of every other source are left out.

    After a damaged record the search goes on at the next place where an intact one begins.
    """
    sources: set[bytes] = set()
    kept: list[tuple[int, int]] = []
    count = damaged = foreign_records = 0
    damage = ""
    foreign_source: bytes | None = None
    view = memoryview(data)
    offset = 0
    while offset < len(data):
        end, source = _quickly(view, offset)
        if end == 0:
            try:
                header = read_header(data, offset)
                verify(data, header, offset)
            except RecordError as error:
                damaged += 1
                damage = damage or str(error)
                offset = next(_candidates(data, offset + 1), len(data)) if damaged < _MOST_TRIES else len(data)
                continue
            end, source = offset + header.record_bytes, header.source
        if only_source is not None and source != only_source:
            foreign_records += 1
            foreign_source = source
        else:
            sources.add(source)
            count += 1
            if kept and kept[-1][1] == offset:
                kept[-1] = (kept[-1][0], end)
            else:
                kept.append((offset, end))
        offset = end
    is_whole = len(kept) == 1 and kept[0] == (0, len(data))
    return Checked(
        records=data if is_whole else b"".join(data[begin:end] for begin, end in kept),
        count=count,
        sources=frozenset(sources),
        damaged=damaged,
        damage=damage,
        foreign_records=foreign_records,
        foreign_source=foreign_source,
    )


def _quickly(view: memoryview, offset: int) -> tuple[int, bytes]:
    """Return the end and the source of the record at `offset`; an end of 0 when it wants a closer look.

    What read_header and verify check, without an object a record: that is half of a collector's work.
    """
    size = len(view)
    if size - offset < HEADER_BYTES:
        return 0, b""
    magic, kind, body_bytes, stored, count, source, boot, number, _, span, _ = HEADER.unpack_from(view, offset)
    end: int = offset + HEADER_BYTES + body_bytes
    if (
        magic == MAGIC
        and kind <= _LAST_KIND
        and body_bytes <= MAX_BODY_BYTES
        and end <= size
        and count <= MAX_VALUES
        and (kind != _VALUES or (count and body_bytes == 16 * count))
        and 1 <= boot <= MAX_BOOT
        and 1 <= number <= MAX_BOOT
        and span <= MAX_SPAN_MICROSECONDS
        and crc32(view[offset + CHECKSUM_END : end], crc32(view[offset : offset + CHECKSUM_AT])) == stored
    ):
        return end, source
    return 0, b""


def _candidates(data: bytes, offset: int) -> Iterator[int]:
    while (found := data.find(MAGIC, offset)) >= 0:
        yield found
        offset = found + 1
