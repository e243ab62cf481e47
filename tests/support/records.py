"""Records for tests: real ones, told apart by their number."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING
from uuid import UUID

from core.model.record import Origin, pack_values, read_header
from core.spool.scan import records_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from core.spool.spool import Spool

SOURCE = UUID(int=7)
OTHER = UUID(int=8)
BOOT = 42
AT = 1_700_000_000_000_000


def record(number: int, *, source: UUID = SOURCE, boot: int = BOOT, values: int = 3, at: int | None = None) -> bytes:
    """One record of `values` values that all are its number, measured at `at` (else at the number after AT)."""
    origin = Origin(source, boot)
    items, instants = array("I", range(1, values + 1)), [AT + number if at is None else at] * values
    return pack_values(origin, number, 1, items, instants, array("d", [float(number)] * values))


def records(numbers: Iterable[int], *, source: UUID = SOURCE, boot: int = BOOT, values: int = 3) -> bytes:
    """Several records, one after the other."""
    return b"".join(record(number, source=source, boot=boot, values=values) for number in numbers)


def everything_in(spool: Spool, max_bytes: int = 4096) -> bytes:
    """All that `read` gives from the beginning on."""
    place, found = spool.begin, b""
    while (part := spool.read(place, max_bytes)) is not None:
        found += part.data
        place = part.end
    return found


def numbers_in(data: bytes) -> list[int]:
    """The numbers of whole records."""
    return [read_header(data, begin).number for begin, *_ in records_of(data)]
