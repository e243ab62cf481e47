"""Cold rows rewritten: what is new is merged into the row of its item and hour, and the hour's trend is made anew.

An hour whose row is damaged is not merged: what came for it lies beside as arrays, so the damage stays to be seen and
nothing else waits for it. The form of a row: server/store/cold.py.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from server.store.cold import ColdRow, are_whole, write_cold
from server.store.copying import copy_in, float8_column, int4_column, late_field
from server.store.history import middle_of, unpack_cold, unpack_packed
from server.store.instants import POSTGRES_EPOCH_US, to_datetime, to_us
from server.store.samples import concatenate, cut_by_hour, in_order
from server.store.trends import write_trends

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from server.store.database import Connection
    from server.store.samples import Samples

FIND_ARRAYS = """
SELECT h.item_id, h.at, h.offsets, h."values", h.late
FROM history h JOIN unnest(%s::int4[], %s::timestamptz[]) AS u (item_id, at) USING (item_id, at)
"""
FIND_PACKED = """
SELECT h.item_id, h.at, h.packed, h.late
FROM history_packed h JOIN unnest(%s::int4[], %s::timestamptz[]) AS u (item_id, at) USING (item_id, at)
"""
DELETE_ARRAYS = """
DELETE FROM history h USING unnest(%s::int4[], %s::timestamptz[]) AS u (item_id, at)
WHERE h.item_id = u.item_id AND h.at = u.at
"""
DELETE_PACKED = """
DELETE FROM history_packed h USING unnest(%s::int4[], %s::timestamptz[]) AS u (item_id, at)
WHERE h.item_id = u.item_id AND h.at = u.at
"""
COPY_COLD = "COPY history_packed (at, item_id, count, packed, late) FROM STDIN (FORMAT BINARY)"
COPY_ARRAYS = 'COPY history (item_id, at, offsets, "values", late) FROM STDIN (FORMAT BINARY)'
_COLD_SCALARS = struct.Struct(">hiqiiiii")  # fields, then instant, item and count, each behind its length, and a length
_ARRAY_SCALARS = struct.Struct(">hiiiq")  # fields, then item and instant, each behind its length
_COLD_LOCK = 0x434F4C44  # "COLD"

PIECE_VALUES = 100_000
"""Values brought into the cold form at once: what stays in the processor's cache is packed twice as fast."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What merging did: `duplicates` of what was there or came twice (item and instant), cold `rows` written."""

    duplicates: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """The cold rows of some hours: their samples, the keys of both tables' rows, (item, hour) of damaged ones."""

    samples: Samples
    arrays: tuple[list[int], list[datetime]]
    packed: tuple[list[int], list[datetime]]
    broken: set[tuple[int, int]]


async def lock_cold(transaction: Connection) -> None:
    """Let nobody else rewrite cold rows until the caller's transaction ends; readers are not held up (StoreBusy)."""
    await transaction.execute("SELECT pg_advisory_xact_lock(%s)", (_COLD_LOCK,))


async def merge_cold(transaction: Connection, arrived: Samples) -> Merged:
    """Merge samples, in any order, into cold history, in a transaction that has `lock_cold`.

    Where item and instant are there already, what arrived takes the place; of what arrived, the last one given.
    """
    # In a thread: sorting and packing a million values takes long enough for links to be missed meanwhile.
    ordered, begins, hours = await asyncio.to_thread(_cut, [arrived])
    found = await _find(transaction, ordered.items[begins[:-1]], hours)
    await transaction.execute(DELETE_ARRAYS, found.arrays)
    await transaction.execute(DELETE_PACKED, found.packed)
    if len(found.samples):
        ordered, begins, hours = await asyncio.to_thread(_cut, [found.samples, arrived])
    duplicates = len(found.samples) + len(arrived) - len(ordered)
    if found.broken:
        is_broken = np.array(
            [
                (item, hour) in found.broken
                for item, hour in zip(ordered.items[begins[:-1]].tolist(), hours.tolist(), strict=True)
            ]
        )
        beside, beside_begins, beside_hours = _cut([ordered.where(np.repeat(is_broken, np.diff(begins)))])
        await copy_in(transaction, COPY_ARRAYS, encode_arrays(beside, beside_begins, beside_hours))
        ordered, begins, hours = _cut([ordered.where(np.repeat(~is_broken, np.diff(begins)))])
    await copy_in(transaction, COPY_COLD, await asyncio.to_thread(encode_cold, ordered, begins, hours))
    await write_trends(transaction, ordered, begins, hours)
    return Merged(duplicates=duplicates, rows=len(hours))


def _cut(parts: Sequence[Samples]) -> tuple[Samples, NDArray[np.int64], NDArray[np.int64]]:
    """Join the parts, in order, and cut them by item and hour."""
    ordered = in_order(concatenate(parts))
    return ordered, *cut_by_hour(ordered)


async def find_cold(transaction: Connection, items: NDArray[np.int32], hours: NDArray[np.int64]) -> Samples:
    """Return what the cold rows of these items and hours hold, columns of one length, as far as it can be read."""
    return (await _find(transaction, items, hours)).samples


async def _find(transaction: Connection, items: NDArray[np.int32], hours: NDArray[np.int64]) -> _Found:
    places = (items, [to_datetime(middle_of(hour)) for hour in hours.tolist()])
    async with transaction.cursor(binary=True) as cursor:
        await cursor.execute(FIND_ARRAYS, places)
        arrays = [(item, at, unpack_cold(item, to_us(at), *columns)) async for item, at, *columns in cursor]
        await cursor.execute(FIND_PACKED, places)
        found = [(ColdRow(item, to_us(at), packed), late) async for item, at, packed, late in cursor]
    is_read = are_whole([row for row, _ in found])
    whole = [each for each, is_whole in zip(found, is_read, strict=True) if is_whole]
    packed = unpack_packed([row for row, _ in whole], [late for _, late in whole])
    return _Found(
        # An array row beside a packed one came later; one beside a damaged row is taken and written again.
        samples=concatenate([packed, *(samples for *_, samples in arrays)]),
        arrays=([item for item, *_ in arrays], [at for _, at, _ in arrays]),
        packed=([row.item for row, _ in whole], [to_datetime(row.middle_us) for row, _ in whole]),
        broken={
            (row.item, row.middle_us - middle_of(0))
            for (row, _), is_whole in zip(found, is_read, strict=True)
            if not is_whole
        },
    )


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
