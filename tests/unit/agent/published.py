"""Reads back what an agent wrote into its spool."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from core.model.record import HEADER_BYTES, Kind, iterate, unpack_rows

if TYPE_CHECKING:
    from core.spool.spool import Spool


class Sample(NamedTuple):
    """One value as a server would see it; `record` is the record's number."""

    record: int
    key: str
    at: int
    value: float | str


def samples_of(spool: Spool) -> list[Sample]:
    """Return every sample in the spool, in order, its item number resolved by the dictionaries before it."""
    names: dict[int, str] = {}
    found: list[Sample] = []
    place = spool.begin
    while (part := spool.read(place, 1 << 20)) is not None:
        for offset, header in iterate(part.data):
            body = part.data[offset + HEADER_BYTES : offset + header.record_bytes]
            if header.kind == Kind.DICTIONARY:
                names |= {row[0]: row[1] for row in unpack_rows(part.data, header, offset)}
            elif header.kind == Kind.VALUES:
                n = header.count
                columns = struct.unpack(f"<{n}I{n}I{n}d", body)
                found += [
                    Sample(header.number, names[item], header.base_at + after, value)
                    for item, after, value in zip(columns[:n], columns[n : 2 * n], columns[2 * n :], strict=True)
                ]
            elif header.kind == Kind.TEXTS:
                found += [
                    Sample(header.number, names[item], header.base_at + after, text)
                    for item, after, text in unpack_rows(part.data, header, offset)
                ]
        place = part.end
    return found
