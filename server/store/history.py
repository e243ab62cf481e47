"""History: the one accessor of samples, hot and cold alike. Everything that reads values of the past reads here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from server.store.cold import ColdRow, are_whole, read_cold
from server.store.columns import unpack_late
from server.store.instants import HOUR_US, to_us
from server.store.samples import Samples, concatenate, in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from server.store.database import Connection

# Only sources that ever declared one of the items are looked at.
READ_HOT = """
SELECT first_at, items, offsets, "values", late FROM history_batch
WHERE source_id IN (SELECT source_id FROM item_source WHERE item_id = ANY (%(items)s::int4[]))
  AND last_at >= %(begin)s AND first_at < %(end)s
ORDER BY stored_at, source_id, boot, number
"""
READ_COLD = """
SELECT item_id, at, offsets, "values", late FROM history
WHERE item_id = ANY (%(items)s::int4[])
  AND at > %(begin)s - interval '30 minutes' AND at < %(end)s + interval '30 minutes'
"""
READ_PACKED = """
SELECT item_id, at, packed, late FROM history_packed
WHERE item_id = ANY (%(items)s::int4[])
  AND at > %(begin)s - interval '30 minutes' AND at < %(end)s + interval '30 minutes'
"""
READ_TEXTS = """
SELECT item_id, at, value, is_late FROM history_text
WHERE item_id = ANY (%(items)s::int4[]) AND at >= %(begin)s AND at < %(end)s
ORDER BY item_id, at, stored_at LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextValue:
    """A text sample as it is stored."""

    item_id: int
    at: datetime
    value: str
    is_late: bool


async def read_samples(connection: Connection, items: Collection[int], begin: datetime, end: datetime) -> Samples:
    """Return the items' numbers with an instant in [begin, end), ordered by item and instant, each once.

    Hot rows are read before cold ones, and of these arrays before packed ones: what is packed in between is seen twice,
    never not at all, and equal samples fall together. Memory: some 100 bytes a sample. Raises ColdRowDamaged.
    """
    return await _read(connection, items, begin, end, lambda rows: [True] * len(rows))


async def read_undamaged(
    connection: Connection, items: Collection[int], begin: datetime, end: datetime
) -> Samples:  # fmt: skip
    """Return what `read_samples` does without the hours that are damaged, each of which is logged."""
    return await _read(connection, items, begin, end, are_whole)


async def read_hot(
    connection: Connection, items: Collection[int], begin: datetime, end: datetime
) -> Samples:  # fmt: skip
    """Return what of the items in [begin, end) is not packed yet, ordered by item and instant, each once."""
    parts = await _read_hot(connection, np.unique(np.fromiter(items, dtype=np.int32)), begin, end)
    return _inside(in_order(concatenate(parts)), begin, end)


async def _read(
    connection: Connection, items: Collection[int], begin: datetime, end: datetime,
    choose: Callable[[Sequence[ColdRow]], Sequence[bool]],
) -> Samples:  # fmt: skip
    wanted = np.unique(np.fromiter(items, dtype=np.int32))
    parameters = {"items": wanted.tolist(), "begin": begin, "end": end}
    hot = await _read_hot(connection, wanted, begin, end)
    parts: list[Samples] = []
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(READ_COLD, parameters)
        async for item, at, offsets, values, late in cursor:
            parts.append(unpack_cold(item, to_us(at), offsets, values, late))
        await cursor.execute(READ_PACKED, parameters)
        packed = await cursor.fetchall()
    rows = [ColdRow(item, to_us(at), packed) for item, at, packed, _ in packed]
    chosen = [place for place, is_chosen in enumerate(choose(rows)) if is_chosen]
    parts.insert(0, unpack_packed([rows[place] for place in chosen], [packed[place][3] for place in chosen]))
    # Arrays beside a packed row came later than it.
    return _inside(in_order(concatenate([*parts, *hot])), begin, end)


async def _read_hot(
    connection: Connection, wanted: NDArray[np.int32], begin: datetime, end: datetime
) -> list[Samples]:  # fmt: skip
    """Return a part a batch, in the order in which they came."""
    hot: list[Samples] = []
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(READ_HOT, {"items": wanted.tolist(), "begin": begin, "end": end})
        async for first_at, numbers, offsets, values, late in cursor:
            chosen = np.isin(numbers, wanted)
            if chosen.any():
                part = Samples(
                    items=numbers, at_us=to_us(first_at) + offsets.astype(np.int64), values=values,
                    late=unpack_late(late, len(numbers)),
                )  # fmt: skip
                hot.append(part if chosen.all() else part.where(chosen))
    return hot


def _inside(samples: Samples, begin: datetime, end: datetime) -> Samples:
    inside = (samples.at_us >= to_us(begin)) & (samples.at_us < to_us(end))
    return samples if inside.all() else samples.where(inside)


def unpack_cold(
    item: int, middle_us: int, offsets: np.ndarray[tuple[int], np.dtype[np.int32]],
    values: np.ndarray[tuple[int], np.dtype[np.float64]], late: bytes | None,
) -> Samples:  # fmt: skip
    """Return the samples of a cold row of arrays; its offsets count from the middle of its hour."""
    return Samples(
        items=np.full(len(offsets), item, dtype=np.int32),
        at_us=middle_us + offsets.astype(np.int64),
        values=values,
        late=unpack_late(late, len(offsets)),
    )


def unpack_packed(rows: Sequence[ColdRow], late: Sequence[bytes | None]) -> Samples:
    """Return the samples of packed hours after each other; `late` has one mark a row. Raises ColdRowDamaged."""
    offsets, values, counts = read_cold(rows)
    marks = np.zeros(len(offsets), dtype=np.bool_)
    begins = np.cumsum(counts) - counts
    for place in [place for place, bits in enumerate(late) if bits is not None]:
        begin, count = int(begins[place]), int(counts[place])
        marks[begin : begin + count] = unpack_late(late[place], count)
    return Samples(
        items=np.repeat(np.array([row.item for row in rows], dtype=np.int32), counts),
        at_us=offsets + np.repeat(np.array([row.middle_us for row in rows], dtype=np.int64), counts),
        values=values,
        late=marks,
    )


def middle_of(hour_us: int) -> int:
    """Return the middle of the hour that begins at `hour_us`: what a cold row's offsets count from."""
    return hour_us + HOUR_US // 2


async def read_texts(
    connection: Connection, items: Collection[int], begin: datetime, end: datetime, limit: int = 1000
) -> list[TextValue]:
    """Return at most `limit` text samples of the items with an instant in [begin, end), by item and instant."""
    cursor = await connection.execute(READ_TEXTS, {"items": list(items), "begin": begin, "end": end, "limit": limit})
    return [
        TextValue(item_id=item_id, at=at, value=value, is_late=is_late)
        for item_id, at, value, is_late in await cursor.fetchall()
    ]
