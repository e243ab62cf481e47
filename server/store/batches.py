"""Hot history: records stored as they travelled, a row each with array columns, by binary COPY."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from server.store.copying import copy_in, float8_column, int4_column, late_field
from server.store.instants import POSTGRES_EPOCH_US, to_datetime

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from psycopg import AsyncConnection

COPY_BATCHES = """
COPY history_batch (source_id, boot, number, first_at, last_at, items, offsets, "values", late)
FROM STDIN (FORMAT BINARY)
"""
COPY_TEXTS = "COPY history_text (item_id, at, source_id, boot, number, value, is_late) FROM STDIN"

# Fields of a row up to the arrays, each behind its length in bytes.
_SCALARS = struct.Struct(">hiiiqiqiqiq")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BatchColumns:
    """One VALUES record, its source's item numbers already mapped to the server's items.

    `items` int32[n]; `offsets` int32[n], µs after `first_at_us` (µs since 1970 UTC), none negative; `values`
    float64[n]; `late` bool[n], true where the value was not newer than what had been evaluated, None for none.
    """

    source_id: int
    boot: int
    number: int
    first_at_us: int
    items: NDArray[np.int32]
    offsets: NDArray[np.int32]
    values: NDArray[np.float64]
    late: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSample:
    """One text value of an item; `at_us` is µs since 1970 UTC."""

    source_id: int
    boot: int
    number: int
    item_id: int
    at_us: int
    value: str
    is_late: bool = False


def encode_batches(batches: Sequence[BatchColumns]) -> bytes:
    """Return the rows of COPY_BATCHES for all batches, none of them empty, in one buffer."""
    items = int4_column([batch.items for batch in batches])
    offsets = int4_column([batch.offsets for batch in batches])
    values = float8_column([batch.values for batch in batches])
    spans = _spans([batch.offsets for batch in batches])
    pieces: list[bytes | memoryview] = []
    for row, batch in enumerate(batches):
        first_at = batch.first_at_us - POSTGRES_EPOCH_US
        pieces.append(
            _SCALARS.pack(9, 4, batch.source_id, 8, batch.boot, 8, batch.number, 8, first_at, 8, first_at + spans[row])
        )
        pieces += items.field(row)
        pieces += offsets.field(row)
        pieces += values.field(row)
        pieces.append(late_field(batch.late))
    return b"".join(pieces)


def _spans(offsets: Sequence[NDArray[np.int32]]) -> list[int]:
    """Return each array's maximum; one call for all, since a call an array costs as much as the rest of its row."""
    begins = np.cumsum([0, *(len(each) for each in offsets[:-1])])
    spans: list[int] = np.maximum.reduceat(np.concatenate(offsets), begins).tolist()
    return spans


async def copy_batches(connection: AsyncConnection[Any], batches: Sequence[BatchColumns]) -> int:
    """COPY the batches into the open slice within the caller's transaction; return the number of values."""
    batches = [batch for batch in batches if len(batch.items)]
    if not batches:
        return 0
    await copy_in(connection, COPY_BATCHES, encode_batches(batches))
    return sum(len(batch.items) for batch in batches)


async def copy_texts(connection: AsyncConnection[Any], texts: Sequence[TextSample]) -> None:
    """COPY text samples, a row each, within the caller's transaction; NUL, which SQL cannot hold, becomes ␀."""
    if not texts:
        return
    async with connection.cursor() as cursor, cursor.copy(COPY_TEXTS) as copy:
        for text in texts:
            value = text.value.replace("\0", "\u2400")
            at = to_datetime(text.at_us)
            await copy.write_row((text.item_id, at, text.source_id, text.boot, text.number, value, text.is_late))
