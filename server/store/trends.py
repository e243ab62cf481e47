"""Trends: minimum, average, maximum and count of an item's numbers by hour, kept longer than history.

They are made when an hour's slice is packed, from the whole hour as it then stands: so they are exact, need no state in
the server that a kill could lose, and are made anew when late values are merged. Hours not packed yet are summed up
from their samples when they are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from server.store.history import read_samples
from server.store.instants import HOUR_US, to_datetime, to_us
from server.store.samples import cut_by_hour, no_samples, reduce_runs

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from numpy.typing import NDArray

    from server.store.database import Connection
    from server.store.samples import Samples

# An hour of which some samples are not kept any more has a trend of more samples than are there: that one stays.
WRITE = """
INSERT INTO trends AS t (item_id, at, minimum, average, maximum, count)
SELECT * FROM unnest(%s::int4[], %s::timestamptz[], %s::float8[], %s::float8[], %s::float8[], %s::int4[])
ON CONFLICT (item_id, at) DO UPDATE SET
    minimum = excluded.minimum, average = excluded.average, maximum = excluded.maximum, count = excluded.count
WHERE excluded.count >= t.count
"""
# What a file says of an hour: nothing new where it is known from as many samples.
ADD = WRITE.replace(">=", ">")
READ = """
SELECT item_id, array_agg((extract(epoch FROM at) * 1000000)::int8 ORDER BY at), array_agg(minimum ORDER BY at),
       array_agg(average ORDER BY at), array_agg(maximum ORDER BY at), array_agg(count::int8 ORDER BY at)
FROM trends WHERE item_id = ANY (%s::int4[]) AND at >= %s AND at < %s GROUP BY item_id ORDER BY item_id
"""
# A record spans half an hour at most, and the index is by its last instant.
UNPACKED_SINCE = """
SELECT min(last_at) - interval '30 minutes' FROM history_batch
WHERE source_id IN (SELECT source_id FROM item_source WHERE item_id = ANY (%s::int4[]))
"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trends:
    """Parallel columns ordered by item and hour: `at_us` int64[n] is the hour's begin, `count` int64[n] of numbers."""

    items: NDArray[np.int32]
    at_us: NDArray[np.int64]
    minimum: NDArray[np.float64]
    average: NDArray[np.float64]
    maximum: NDArray[np.float64]
    count: NDArray[np.int64]

    def of_item(self, item_id: int) -> Trends:
        """Return one item's hours."""
        begin, end = np.searchsorted(self.items, [item_id, item_id + 1])
        return Trends(**{name: getattr(self, name)[begin:end] for name in self.__slots__})


def summarise(ordered: Samples, begins: NDArray[np.int64], hours: NDArray[np.int64]) -> Trends:
    """Sum the runs of one item and hour up (see `cut_by_hour`); hours without any number are left out."""
    reduced = reduce_runs(ordered, begins)
    kept = reduced.count > 0
    return Trends(
        items=ordered.items[begins[:-1]][kept], at_us=hours[kept], minimum=reduced.minimum[kept],
        average=reduced.average[kept], maximum=reduced.maximum[kept], count=reduced.count[kept],
    )  # fmt: skip


async def write_trends(
    transaction: Connection, ordered: Samples, begins: NDArray[np.int64], hours: NDArray[np.int64]
) -> None:
    """Write the trends of whole hours within the caller's transaction, in place of what was there."""
    await transaction.execute(WRITE, columns_of(summarise(ordered, begins, hours)))


def columns_of(trends: Trends) -> tuple[list[Any], ...]:
    """Return the parameters of WRITE and ADD."""
    return (
        trends.items.tolist(),
        [to_datetime(hour) for hour in trends.at_us.tolist()],
        trends.minimum.tolist(),
        trends.average.tolist(),
        trends.maximum.tolist(),
        trends.count.tolist(),
    )


async def read_trends(connection: Connection, items: Collection[int], begin: datetime, end: datetime) -> Trends:
    """Return the items' hours that begin in [begin, end), packed or not, ordered by item and hour."""
    wanted = sorted(set(items))
    fresh = await _fresh_trends(connection, wanted, begin, end)
    async with connection.cursor(binary=True) as cursor:
        rows = await (await cursor.execute(READ, (wanted, begin, end))).fetchall()
    if not rows:
        return fresh
    ids, *parts = zip(*rows, strict=True)
    items = np.repeat(np.array(ids, dtype=np.int32), [len(each) for each in parts[0]])
    columns = [items, *(np.concatenate(part) for part in parts)]
    packed = Trends(**dict(zip(Trends.__slots__, columns, strict=True)))
    return _overlay(packed, fresh)


async def _fresh_trends(connection: Connection, items: list[int], begin: datetime, end: datetime) -> Trends:
    """Sum up the hours that have samples which are not packed yet; read before the packed ones, as history is."""
    row = await (await connection.execute(UNPACKED_SINCE, (items,))).fetchone()
    first_us, end_us = -(-to_us(begin) // HOUR_US) * HOUR_US, -(-to_us(end) // HOUR_US) * HOUR_US
    first_us = end_us if row is None or row[0] is None else max(to_us(row[0]) // HOUR_US * HOUR_US, first_us)
    samples = no_samples()
    if first_us < end_us:
        samples = await read_samples(connection, items, to_datetime(first_us), to_datetime(end_us))
    begins, hours = cut_by_hour(samples)
    return summarise(samples, begins, hours)


def _overlay(packed: Trends, fresh: Trends) -> Trends:
    """Return both ordered; where both have an hour, the fresh one, which knows all samples of it."""
    items = np.concatenate([packed.items, fresh.items])
    at_us = np.concatenate([packed.at_us, fresh.at_us])
    order = np.lexsort((at_us, items))
    is_last = np.ones(len(order), dtype=np.bool_)
    is_last[:-1] = (items[order][1:] != items[order][:-1]) | (at_us[order][1:] != at_us[order][:-1])
    chosen = order[is_last]
    columns = {name: np.concatenate([getattr(packed, name), getattr(fresh, name)])[chosen] for name in Trends.__slots__}
    return Trends(**columns)
