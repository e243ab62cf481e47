"""Checks the records of a data frame where they enter the process: form, checksum, and whose they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.model.record import MAGIC, RecordError, read_header, verify

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    offset = 0
    while offset < len(data):
        try:
            header = read_header(data, offset)
            verify(data, header, offset)
        except RecordError as error:
            damaged += 1
            damage = damage or str(error)
            offset = next(_candidates(data, offset + 1), len(data)) if damaged < _MOST_TRIES else len(data)
            continue
        end = offset + header.record_bytes
        if only_source is not None and header.source != only_source:
            foreign_records += 1
            foreign_source = header.source
        else:
            sources.add(header.source)
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


def _candidates(data: bytes, offset: int) -> Iterator[int]:
    while (found := data.find(MAGIC, offset)) >= 0:
        yield found
        offset = found + 1
