"""Hot history: records stored as they travelled, a row each with array columns, by binary COPY."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from server.store.copying import (
    FLOAT8_ELEMENT,
    FLOAT8_OID,
    INT4_ELEMENT,
    INT4_OID,
    copy_in,
    float8_column,
    int4_column,
    late_field,
)
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
_SCALAR_FIELDS: Final = (
    ("source_id", ">i4", 4),
    ("boot", ">i8", 8),
    ("number", ">i8", 8),
    ("first_at", ">i8", 8),
    ("last_at", ">i8", 8),
)
_ARRAY_FIELDS: Final = (("items", INT4_ELEMENT), ("offsets", INT4_ELEMENT), ("values", FLOAT8_ELEMENT))


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
    """One text of an item, or one document in its canonical form; `at_us` is µs since 1970 UTC."""

    source_id: int
    boot: int
    number: int
    item_id: int
    at_us: int
    value: str
    is_late: bool = False
    is_structured: bool = False

    @property
    def stored_value(self) -> str:
        """The text as it is stored: NUL, which SQL cannot hold, becomes ␀."""
        return self.value.replace("\0", "\u2400")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batches:
    """Many VALUES records as columns: `BatchColumns` of one after the other, in the order they arrived.

    Of each record, r of them: `source_ids` int32[r], `boots`, `numbers`, `first_at_us` and `counts` (1 at least)
    int64[r]. Of each value: `items` and `offsets` int32[n], `values` float64[n], `late` bool[n] or None.
    """

    source_ids: NDArray[np.int32]
    boots: NDArray[np.int64]
    numbers: NDArray[np.int64]
    first_at_us: NDArray[np.int64]
    counts: NDArray[np.int64]
    items: NDArray[np.int32]
    offsets: NDArray[np.int32]
    values: NDArray[np.float64]
    late: NDArray[np.bool_] | None = None

    def instants(self) -> NDArray[np.int64]:
        """Return each value's instant, int64[n], µs since 1970 UTC."""
        return np.repeat(self.first_at_us, self.counts) + self.offsets

    def of(self, rows: NDArray[np.int64]) -> Batches:
        """Return the records of these rows, one at least, in that order of theirs; `rows` rise."""
        chosen = np.zeros(len(self.counts), np.bool_)
        chosen[rows] = True
        values = np.repeat(chosen, self.counts)
        return Batches(
            source_ids=self.source_ids[rows],
            boots=self.boots[rows],
            numbers=self.numbers[rows],
            first_at_us=self.first_at_us[rows],
            counts=self.counts[rows],
            items=self.items[values],
            offsets=self.offsets[values],
            values=self.values[values],
            late=None if self.late is None else self.late[values],
        )


def append_batches(first: Batches | None, second: Batches | None) -> Batches | None:
    """Return the records of both, none of whose values is marked late, after each other."""
    if first is None or second is None:
        return first or second
    columns = ("source_ids", "boots", "numbers", "first_at_us", "counts", "items", "offsets", "values")
    return Batches(**{name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in columns})


def join_batches(batches: Sequence[BatchColumns]) -> Batches:
    """Return the batches, none of them empty, as columns."""
    late = None
    if any(batch.late is not None for batch in batches):
        late = np.concatenate([np.zeros(len(b.items), np.bool_) if b.late is None else b.late for b in batches])
    return Batches(
        source_ids=np.array([batch.source_id for batch in batches], np.int32),
        boots=np.array([batch.boot for batch in batches], np.int64),
        numbers=np.array([batch.number for batch in batches], np.int64),
        first_at_us=np.array([batch.first_at_us for batch in batches], np.int64),
        counts=np.array([len(batch.items) for batch in batches], np.int64),
        items=np.concatenate([batch.items for batch in batches]),
        offsets=np.concatenate([batch.offsets for batch in batches]),
        values=np.concatenate([batch.values for batch in batches]),
        late=late,
    )


def encode_batches(batches: Sequence[BatchColumns]) -> bytes:
    """Return the rows of COPY_BATCHES for all batches, none of them empty, in one buffer."""
    return encode_columns(join_batches(batches))


def encode_columns(batches: Batches) -> bytes:
    """Return the rows of COPY_BATCHES in one buffer; those of one length are built at once, as one structured array."""
    begins = np.cumsum(batches.counts) - batches.counts
    marked = np.zeros(len(batches.counts), np.bool_)
    if batches.late is not None:
        marked = np.logical_or.reduceat(batches.late, begins)
    pieces = [_encode_marked(batches, row, int(begins[row])) for row in np.flatnonzero(marked).tolist()]
    for count in np.unique(batches.counts).tolist():
        rows = np.flatnonzero((batches.counts == count) & ~marked)
        if len(rows):
            pieces.append(_encode_alike(batches, rows, begins[rows], count))
    return b"".join(pieces)


@lru_cache(maxsize=256)
def _row_of(count: int) -> np.dtype[np.void]:
    """Return the form of a COPY row whose arrays hold `count` values and of which none came late."""
    fields: list[Any] = [("fields", ">i2")]
    for name, form, _ in _SCALAR_FIELDS:
        fields += [(f"{name}_bytes", ">i4"), (name, form)]
    for name, element in _ARRAY_FIELDS:
        fields += [(f"{name}_header", ">i4", (6,)), (name, element, (count,))]
    return np.dtype([*fields, ("late", ">i4")])


def _encode_alike(batches: Batches, rows: NDArray[np.int64], begins: NDArray[np.int64], count: int) -> bytes:
    """Encode rows of one length, none of them with late values."""
    is_all = len(rows) == len(batches.counts)
    where = None if is_all else begins[:, None] + np.arange(count)

    def pick(column: NDArray[Any]) -> NDArray[Any]:
        return column.reshape(-1, count) if where is None else column[where]

    encoded = np.empty(len(rows), dtype=_row_of(count))
    offsets = pick(batches.offsets)
    first_at = batches.first_at_us[rows] - POSTGRES_EPOCH_US
    encoded["fields"], encoded["late"] = 9, -1
    scalars = {
        "source_id": batches.source_ids[rows], "boot": batches.boots[rows], "number": batches.numbers[rows],
        "first_at": first_at, "last_at": first_at + offsets.max(axis=1),
    }  # fmt: skip
    for name, _, size in _SCALAR_FIELDS:
        encoded[f"{name}_bytes"], encoded[name] = size, scalars[name]
    arrays = {"items": pick(batches.items), "offsets": offsets, "values": pick(batches.values)}
    for name, element in _ARRAY_FIELDS:
        size = element["value"].itemsize
        oid = FLOAT8_OID if name == "values" else INT4_OID
        encoded[f"{name}_header"] = (20 + count * element.itemsize, 1, 0, oid, count, 1)
        encoded[name]["length"], encoded[name]["value"] = size, arrays[name]
    return encoded.tobytes()


def _encode_marked(batches: Batches, row: int, begin: int) -> bytes:
    """Encode a row some of whose values came late: few, so one by one."""
    span = slice(begin, begin + int(batches.counts[row]))
    first_at = int(batches.first_at_us[row]) - POSTGRES_EPOCH_US
    last_at = first_at + int(batches.offsets[span].max())
    source_id, boot, number = int(batches.source_ids[row]), int(batches.boots[row]), int(batches.numbers[row])
    pieces: list[bytes | memoryview] = [
        _SCALARS.pack(9, 4, source_id, 8, boot, 8, number, 8, first_at, 8, last_at),
        *int4_column([batches.items[span]]).field(0),
        *int4_column([batches.offsets[span]]).field(0),
        *float8_column([batches.values[span]]).field(0),
        late_field(None if batches.late is None else batches.late[span]),
    ]
    return b"".join(pieces)


async def copy_batches(connection: AsyncConnection[Any], batches: Sequence[BatchColumns]) -> int:
    """COPY the batches into the open slice within the caller's transaction; return the number of values."""
    batches = [batch for batch in batches if len(batch.items)]
    if not batches:
        return 0
    return await copy_columns(connection, join_batches(batches))


async def copy_columns(connection: AsyncConnection[Any], batches: Batches) -> int:
    """COPY the records into the open slice within the caller's transaction; return the number of values."""
    await copy_in(connection, COPY_BATCHES, encode_columns(batches))
    return len(batches.items)


async def copy_texts(connection: AsyncConnection[Any], texts: Sequence[TextSample]) -> None:
    """COPY text samples, a row each, within the caller's transaction."""
    if not texts:
        return
    async with connection.cursor() as cursor, cursor.copy(COPY_TEXTS) as copy:
        for text in texts:
            row = (text.item_id, to_datetime(text.at_us), text.source_id, text.boot, text.number)
            await copy.write_row((*row, text.stored_value, text.is_late))
