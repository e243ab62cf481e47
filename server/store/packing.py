"""Packing: a closed slice of hot batches becomes cold rows, one an item and hour, with their trends.

One fenced transaction writes the cold rows and empties the slice, so a kill at any point leaves either form, never
both or none. What arrived late for an hour that is packed already is merged into its row, and its trend is made anew.
How a row is merged: server/store/merging.py; its form: server/store/cold.py.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

import numpy as np
from psycopg import sql

from server.store.columns import unpack_late
from server.store.instants import to_us
from server.store.merging import lock_cold, merge_cold
from server.store.samples import Samples, concatenate
from server.store.slices import BATCHES, HISTORY, PACKED, TRENDS, drop_slice, ensure_slices, read_slices

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

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
CHUNK_VALUES = 1_000_000
"""Values packed at once; sources are taken together up to this. About 200 MB of memory."""
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
        await lock_cold(transaction)
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
    arrived = await _read_slice(transaction, packed_slice, sources)
    merged = await merge_cold(transaction, arrived)
    return Packed(values=len(arrived), duplicates=merged.duplicates, rows=merged.rows)


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
