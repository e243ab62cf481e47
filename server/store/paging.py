"""History of many items over any range, in pieces of bounded size: what an export is made of.

Each piece is a short read of its own, so whoever takes them slowly holds neither a connection nor a slice.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from server.store.history import read_samples
from server.store.instants import to_us
from server.store.samples import items_of
from server.store.trends import read_trends

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from server.store.database import Connection, Database
    from server.store.inventory import Item
    from server.store.trends import Trends

ITEMS_AT_ONCE: Final = 25
WINDOW: Final = timedelta(hours=6)
"""With a value a second these are 540,000 samples, some 40 MB; an item sampled every minute has 9,000 in it."""
TREND_WINDOW: Final = timedelta(days=364)
TEXTS_AT_ONCE: Final = 500
_READ_SECONDS: Final = 60.0

# A cold row stands at the middle of its hour; a record spans half an hour at most.
NEXT_SAMPLE = """
SELECT least(
    (SELECT min(at) - interval '30 minutes' FROM history WHERE item_id = ANY (%(items)s::int4[])
        AND at > %(since)s - interval '30 minutes' AND at < %(end)s + interval '30 minutes'),
    (SELECT min(at) - interval '30 minutes' FROM history_packed WHERE item_id = ANY (%(items)s::int4[])
        AND at > %(since)s - interval '30 minutes' AND at < %(end)s + interval '30 minutes'),
    (SELECT min(first_at) FROM history_batch WHERE last_at >= %(since)s AND source_id IN (
        SELECT source_id FROM item_source WHERE item_id = ANY (%(items)s::int4[]))))
"""
NEXT_TREND = """
SELECT least(
    (SELECT min(at) FROM trends WHERE item_id = ANY (%(items)s::int4[]) AND at >= %(since)s AND at < %(end)s),
    (SELECT date_trunc('hour', min(first_at), 'UTC') FROM history_batch WHERE last_at >= %(since)s AND source_id IN (
        SELECT source_id FROM item_source WHERE item_id = ANY (%(items)s::int4[]))))
"""
READ_TEXTS = """
SELECT at, value, is_late FROM history_text WHERE item_id = %s AND at >= %s AND at < %s
ORDER BY at, stored_at, source_id, boot, number, value LIMIT %s
"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SampleRows:
    """Some samples of one item by instant, columns of one length: numbers as float64, texts and documents as text."""

    item: Item
    at_us: NDArray[np.int64]
    values: NDArray[np.float64] | list[str]
    late: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrendRows:
    """Some hours of one item in order."""

    item: Item
    trends: Trends


async def page_samples(
    database: Database, items: Sequence[Item], begin: datetime, end: datetime
) -> AsyncIterator[SampleRows]:
    """Yield all samples of the items in [begin, end), each once, those of an item in order. Raises StoreAway."""
    numbers = [item for item in items if item.type == "number"]
    for place in range(0, len(numbers), ITEMS_AT_ONCE):
        group = {item.id: item for item in numbers[place : place + ITEMS_AT_ONCE]}
        at = await _next(database, NEXT_SAMPLE, list(group), begin, end)
        while at is not None:
            upto = min(at + WINDOW, end)
            async with database.connection(_READ_SECONDS) as connection:
                samples = await read_samples(connection, list(group), at, upto)
            for item_id, own in items_of(samples):
                yield SampleRows(item=group[item_id], at_us=own.at_us, values=own.values, late=own.late)
            is_going_on = upto < end and len(samples) > 0
            at = upto if is_going_on else await _next(database, NEXT_SAMPLE, list(group), upto, end)
    for item in items:
        if item.type != "number":
            async for rows in _page_texts(database, item, begin, end):
                yield rows


async def page_trends(
    database: Database, items: Sequence[Item], begin: datetime, end: datetime
) -> AsyncIterator[TrendRows]:
    """Yield the hours of the numeric items that begin in [begin, end), each once, in order. Raises StoreAway."""
    numbers = [item for item in items if item.type == "number"]
    for place in range(0, len(numbers), ITEMS_AT_ONCE):
        group = {item.id: item for item in numbers[place : place + ITEMS_AT_ONCE]}
        at = await _next(database, NEXT_TREND, list(group), begin, end)
        while at is not None:
            upto = min(at + TREND_WINDOW, end)
            async with database.connection(_READ_SECONDS) as connection:
                trends = await read_trends(connection, list(group), at, upto)
            for item_id in np.unique(trends.items).tolist():
                yield TrendRows(item=group[item_id], trends=trends.of_item(item_id))
            at = await _next(database, NEXT_TREND, list(group), upto, end)


async def _next(
    database: Database, statement: str, items: list[int], since: datetime, end: datetime
) -> datetime | None:
    """Return from where in [since, end) there is something, maybe some minutes too early; None when nothing is."""
    if since >= end:
        return None
    async with database.connection(_READ_SECONDS) as connection:
        cursor = await connection.execute(statement, {"items": items, "since": since, "end": end})
        row = await cursor.fetchone()
    first: datetime | None = None if row is None else row[0]
    return None if first is None or first >= end else max(first, since)


async def _page_texts(database: Database, item: Item, begin: datetime, end: datetime) -> AsyncIterator[SampleRows]:
    at, limit = begin, TEXTS_AT_ONCE
    while at < end:
        async with database.connection(_READ_SECONDS) as connection:
            rows = await _read_text_page(connection, item.id, at, end, limit)
        if (
            len(rows) == limit
        ):  # equal instants are not torn apart: the last one's come with the next page, or with more
            whole = [row for row in rows if row[0] < rows[-1][0]]
            if not whole:
                limit *= 2
                continue
            at, limit = rows[-1][0], TEXTS_AT_ONCE
            rows = whole
        else:
            at = end
        if rows:
            instants, values, late = zip(*rows, strict=True)
            yield SampleRows(
                item=item,
                at_us=np.array([to_us(each) for each in instants], dtype=np.int64),
                values=list(values),
                late=np.array(late, dtype=np.bool_),
            )


async def _read_text_page(
    connection: Connection, item: int, begin: datetime, end: datetime, limit: int
) -> list[tuple[Any, ...]]:
    return await (await connection.execute(READ_TEXTS, (item, begin, end, limit))).fetchall()
