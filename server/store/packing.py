"""Packing: a closed slice of hot batches becomes cold rows, one an item and hour, with their trends.

One fenced transaction writes the cold rows and empties the slice, so a kill at any point leaves either form, never
both or none. What arrived late for an hour that is packed already is merged into its row, and its trend is made anew.
The form of a row: server/store/cold.py. An hour whose row is damaged is not merged: what came late for it lies beside
as arrays, so the damage stays to be seen and nothing else waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from psycopg import sql

from server.store.cold import ColdRow, ColdRowDamaged, read_cold, write_cold
from server.store.columns import unpack_late
from server.store.copying import copy_in, float8_column, int4_column, late_field
from server.store.history import middle_of, unpack_cold, unpack_packed
from server.store.instants import POSTGRES_EPOCH_US, to_datetime, to_us
from server.store.samples import Samples, concatenate, cut_by_hour, in_order
from server.store.slices import BATCHES, HISTORY, PACKED, TRENDS, drop_slice, ensure_slices, read_slices
from server.store.trends import write_trends

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from server.store.database import Connection
    from server.store.slices import Slice
    from server.store.transaction import Writer

_log = logging.getLogger(__name__)

COUNT_BY_SOURCE = (
    'SELECT source_id, sum(cardinality("values"))::int8 FROM ONLY {} GROUP BY source_id ORDER BY source_id'
)
COLD_SLICES_NEEDED = """
SELECT DISTINCT unnest(ARRAY[date_trunc('day', first_at, 'UTC'), date_trunc('day', last_at, 'UTC')]) FROM ONLY {}
"""
READ_SLICE = """
SELECT first_at, items, offsets, "values", late FROM ONLY {} WHERE source_id = ANY (%s::int4[])
ORDER BY stored_at, source_id, boot, number
"""
TAKE_ARRAYS = """
DELETE FROM history h USING unnest(%s::int4[], %s::timestamptz[]) AS u (item_id, at)
WHERE h.item_id = u.item_id AND h.at = u.at
RETURNING h.item_id, h.at, h.offsets, h."values", h.late
"""
FIND_PACKED = """
SELECT h.item_id, h.at, h.packed, h.late
FROM history_packed h JOIN unnest(%s::int4[], %s::timestamptz[]) AS u (item_id, at) USING (item_id, at)
"""
DELETE_PACKED = """
DELETE FROM history_packed h USING unnest(%s::int4[], %s::timestamptz[]) AS u (item_id, at)
WHERE h.item_id = u.item_id AND h.at = u.at
"""
COPY_COLD = "COPY history_packed (at, item_id, count, packed, late) FROM STDIN (FORMAT BINARY)"
COPY_ARRAYS = 'COPY history (item_id, at, offsets, "values", late) FROM STDIN (FORMAT BINARY)'
_COLD_SCALARS = struct.Struct(">hiqiiiii")  # fields, then instant, item and count, each behind its length, and a length
_ARRAY_SCALARS = struct.Struct(">hiiiq")  # fields, then item and instant, each behind its length

CHUNK_VALUES = 1_000_000
"""Values packed at once; sources are taken together up to this. About 200 MB of memory."""
PIECE_VALUES = 100_000
"""Values brought into the cold form at once: what stays in the processor's cache is packed twice as fast."""
TRANSACTION_SECONDS = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """What packing did: `values` read, `duplicates` of them seen before (item and instant), cold `rows` written."""

    slices: int = 0
    values: int = 0
    duplicates: int = 0
    rows: int = 0

    def __add__(self, other: Packed) -> Packed:
        return Packed(
            slices=self.slices + other.slices,
            values=self.values + other.values,
            duplicates=self.duplicates + other.duplicates,
            rows=self.rows + other.rows,
        )


async def pack_closed_slices(writer: Writer, now: datetime) -> Packed:
    """Pack and drop every slice that is closed at `now`, and what lies in the default partition.

    Goes on where it stopped when called again. Raises Fenced, StoreAway (StoreBusy when a long reader holds a slice).
    """
    async with writer.database.connection() as connection:
        slices = await read_slices(connection, BATCHES)
    packed = Packed()
    for each in slices:
        if each.is_closed(now):
            packed += await pack_slice(writer, each)
            async with writer.database.connection() as connection:
                await drop_slice(connection, each)
        elif each.begin is None:
            packed += await pack_slice(writer, each)
    return packed


async def pack_slice(writer: Writer, packed_slice: Slice) -> Packed:
    """Turn one slice of history_batch into cold rows and empty it, in one fenced transaction."""
    async with writer.database.connection(60.0) as connection:
        cursor = await connection.execute(sql.SQL(COLD_SLICES_NEEDED).format(packed_slice.identifier))
        days = [row[0].astimezone(UTC) for row in await cursor.fetchall()]
        if not days:
            return Packed()
        instants = [day + part for day in days for part in (timedelta(0), timedelta(days=1))]
        await ensure_slices(connection, HISTORY, instants)
        await ensure_slices(connection, PACKED, instants)
        await ensure_slices(connection, TRENDS, instants)
    total = Packed(slices=1)
    async with writer.transaction(TRANSACTION_SECONDS) as transaction:
        # Nothing is stored into a closed slice; into the default partition something might be, and has to wait.
        await transaction.execute(sql.SQL("LOCK TABLE ONLY {} IN SHARE MODE").format(packed_slice.identifier))
        for sources in await _chunks(transaction, packed_slice):
            total += await _pack_sources(transaction, packed_slice, sources)
        await transaction.execute(sql.SQL("TRUNCATE {}").format(packed_slice.identifier))
    _log.info(
        "a slice of history was packed",
        extra={"slice": packed_slice.relation, "values": total.values, "rows": total.rows, "twice": total.duplicates},
    )
    return total


async def _chunks(transaction: Connection, packed_slice: Slice) -> list[list[int]]:
    cursor = await transaction.execute(sql.SQL(COUNT_BY_SOURCE).format(packed_slice.identifier))
    chunks: list[list[int]] = []
    filled = CHUNK_VALUES
    for source_id, count in await cursor.fetchall():
        if filled + count > CHUNK_VALUES:
            chunks.append([])
            filled = 0
        chunks[-1].append(source_id)
        filled += count
    return chunks


async def _pack_sources(transaction: Connection, packed_slice: Slice, sources: Sequence[int]) -> Packed:
    # In a thread: sorting and packing a million values takes long enough for links to be missed meanwhile.
    arrived = await _read_slice(transaction, packed_slice, sources)
    ordered, begins, hours = await asyncio.to_thread(_cut, [arrived])
    there, broken = await _take_cold(transaction, ordered.items[begins[:-1]], hours)
    if len(there):
        ordered, begins, hours = await asyncio.to_thread(_cut, [there, arrived])
    duplicates = len(there) + len(arrived) - len(ordered)
    if broken:
        is_broken = np.array(
            [
                (item, hour) in broken
                for item, hour in zip(ordered.items[begins[:-1]].tolist(), hours.tolist(), strict=True)
            ]
        )
        beside, beside_begins, beside_hours = _cut([ordered.where(np.repeat(is_broken, np.diff(begins)))])
        await copy_in(transaction, COPY_ARRAYS, encode_arrays(beside, beside_begins, beside_hours))
        ordered, begins, hours = _cut([ordered.where(np.repeat(~is_broken, np.diff(begins)))])
    await copy_in(transaction, COPY_COLD, await asyncio.to_thread(encode_cold, ordered, begins, hours))
    await write_trends(transaction, ordered, begins, hours)
    return Packed(values=len(arrived), duplicates=duplicates, rows=len(hours))


def _cut(parts: Sequence[Samples]) -> tuple[Samples, NDArray[np.int64], NDArray[np.int64]]:
    """Join the parts, in order, and cut them by item and hour."""
    ordered = in_order(concatenate(parts))
    return ordered, *cut_by_hour(ordered)


async def _read_slice(transaction: Connection, packed_slice: Slice, sources: Sequence[int]) -> Samples:
    parts: list[Samples] = []
    async with transaction.cursor(binary=True) as cursor:
        await cursor.execute(sql.SQL(READ_SLICE).format(packed_slice.identifier), (list(sources),))
        async for first_at, items, offsets, values, late in cursor:
            parts.append(
                Samples(
                    items=items,
                    at_us=to_us(first_at) + offsets.astype(np.int64),
                    values=values,
                    late=unpack_late(late, len(items)),
                )
            )
    return concatenate(parts)


async def _take_cold(
    transaction: Connection, items: NDArray[np.int32], hours: NDArray[np.int64]
) -> tuple[Samples, set[tuple[int, int]]]:
    """Delete and return the cold rows that are there already, and (item, hour) of those too damaged to be read."""
    places = (items, [to_datetime(middle_of(hour)) for hour in hours.tolist()])
    async with transaction.cursor(binary=True) as cursor:
        await cursor.execute(TAKE_ARRAYS, places)
        arrays = [
            unpack_cold(item, to_us(at), offsets, values, late) async for item, at, offsets, values, late in cursor
        ]
        await cursor.execute(FIND_PACKED, places)
        found = [(ColdRow(item, to_us(at), packed), late) async for item, at, packed, late in cursor]
    is_whole = _are_whole([row for row, _ in found])
    whole = [each for each in found if is_whole(each[0])]
    if whole:
        taken = ([row.item for row, _ in whole], [to_datetime(row.middle_us) for row, _ in whole])
        await transaction.execute(DELETE_PACKED, taken)
    broken = {(row.item, row.middle_us - middle_of(0)) for row, _ in found if not is_whole(row)}
    packed = unpack_packed([row for row, _ in whole], [late for _, late in whole])
    # An array row beside a packed one came later; one beside a damaged row is taken and written again.
    return concatenate([packed, *arrays]), broken


def _are_whole(rows: Sequence[ColdRow]) -> Callable[[ColdRow], bool]:
    """Return what tells whether one of the rows can be read; asked one by one only when not all can."""
    try:
        read_cold(rows)
    except ColdRowDamaged:
        return _is_whole
    return lambda _: True


def _is_whole(row: ColdRow) -> bool:
    try:
        read_cold([row])
    except ColdRowDamaged as error:
        _log.error("late values of a damaged hour are kept beside it", extra={"error": str(error)})
        return False
    return True


def encode_cold(ordered: Samples, begins: NDArray[np.int64], hours: NDArray[np.int64]) -> bytes:
    """Return the rows of COPY_COLD for the runs of one item and hour (see `cut_by_hour`)."""
    counts = np.diff(begins)
    middles = hours + middle_of(0)
    firsts = ordered.items[begins[:-1]].tolist()
    any_late = bool(ordered.late.any())
    pieces: list[bytes] = []
    row = 0
    for first, last in _pieces(begins):
        rows = slice(int(begins[first]), int(begins[last]))
        offsets = ordered.at_us[rows] - np.repeat(middles[first:last], counts[first:last])
        for packed in write_cold(offsets, ordered.values[rows], counts[first:last]):
            at = int(middles[row]) - POSTGRES_EPOCH_US
            pieces.append(_COLD_SCALARS.pack(5, 8, at, 4, firsts[row], 4, int(counts[row]), len(packed)))
            pieces.append(packed)
            pieces.append(late_field(ordered.late[begins[row] : begins[row + 1]] if any_late else None))
            row += 1
    return b"".join(pieces)


def _pieces(begins: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return (first, one after the last) of runs that together hold some PIECE_VALUES values."""
    cuts = np.flatnonzero(np.diff(begins[:-1] // PIECE_VALUES, prepend=-1)).tolist()
    return list(zip(cuts, [*cuts[1:], len(begins) - 1], strict=True))


def encode_arrays(ordered: Samples, begins: NDArray[np.int64], hours: NDArray[np.int64]) -> bytes:
    """Return the rows of COPY_ARRAYS for the runs of one item and hour (see `cut_by_hour`)."""
    middles = hours + middle_of(0)
    offsets = (ordered.at_us - np.repeat(middles, np.diff(begins))).astype(np.int32)
    bounds = list(zip(begins[:-1].tolist(), begins[1:].tolist(), strict=True))
    offset_fields = int4_column([offsets[begin:end] for begin, end in bounds])
    value_fields = float8_column([ordered.values[begin:end] for begin, end in bounds])
    firsts = ordered.items[begins[:-1]].tolist()
    pieces: list[Any] = []
    for row, (item, middle) in enumerate(zip(firsts, middles.tolist(), strict=True)):
        pieces.append(_ARRAY_SCALARS.pack(5, 4, item, 8, middle - POSTGRES_EPOCH_US))
        pieces += offset_fields.field(row)
        pieces += value_fields.field(row)
        begin, end = bounds[row]
        pieces.append(late_field(ordered.late[begin:end]))
    return b"".join(pieces)
