"""What a graph is drawn from: values or the hours' trends, whichever the range and the wanted points ask for."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from server.store.history import read_samples
from server.store.instants import HOUR_US, to_datetime, to_us
from server.store.samples import items_of
from server.store.thinning import of_trends, of_values, thin
from server.store.trends import read_trends

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from server.store.database import Connection
    from server.store.samples import Samples
    from server.store.thinning import Series

MAX_VALUES_RANGE: Final = timedelta(days=31)
"""A longer range is drawn from trends however many points are wanted: so many values are not read at once."""
_HOUR: Final = timedelta(hours=1)
_SHORT: Final = timedelta(hours=6)


async def read_series(
    connection: Connection, items: Sequence[int], begin: datetime, end: datetime, points: int
) -> dict[int, Series]:
    """Return each item's numbers in [begin, end), as at most `points` points with their peaks kept.

    Values where a point stands for less than an hour, the range is one of which all values may be read, and values
    reach as far back as trends do; else trends. An item that has neither is left out.
    """
    length = end - begin
    found: dict[int, Series] = {}
    if length / points < _HOUR and length <= MAX_VALUES_RANGE:
        found = await _read_values(connection, items, begin, end, points)
    if length >= _HOUR:
        by_trends = [item for item in items if item not in found]
        by_trends += await _reach_further_back(connection, found, begin)
        if by_trends:
            trends = await read_trends(connection, by_trends, begin, end)
            hours = {item: trends.of_item(item) for item in by_trends}
            found |= {item: thin(of_trends(own), points) for item, own in hours.items() if len(own.at_us)}
    return found


async def _read_values(
    connection: Connection, items: Sequence[int], begin: datetime, end: datetime, points: int
) -> dict[int, Series]:
    """Return the thinned values of those items that have some.

    A long range is read an item at a time, so that memory holds one item's values; a short one lies mostly in the hot
    batches, which hold all items of a source, and is read at once.
    """
    is_short = end - begin <= _SHORT
    found: dict[int, Series] = {}
    for group in [list(items)] if is_short else [[item] for item in items]:
        samples = await read_samples(connection, group, begin, end)
        found |= await asyncio.to_thread(_thin_each, samples, points)
    return found


def _thin_each(samples: Samples, points: int) -> dict[int, Series]:
    """Thin each item of samples ordered by item; an item whose values are none of them numbers is left out."""
    thinned = {item: thin(of_values(own), points) for item, own in items_of(samples)}
    return {item: series for item, series in thinned.items() if len(series.at_us)}


async def _reach_further_back(connection: Connection, found: dict[int, Series], begin: datetime) -> Collection[int]:
    """Return the items of which trends are kept for hours of the range that lie before the first value."""
    firsts = {item: int(series.at_us[0]) // HOUR_US * HOUR_US for item, series in found.items()}
    late = {item: hour for item, hour in firsts.items() if hour > to_us(begin)}
    if not late:
        return ()
    rows = await connection.execute(
        """SELECT u.item_id FROM unnest(%s::int4[], %s::timestamptz[]) AS u (item_id, first_at)
        WHERE EXISTS (SELECT FROM trends t WHERE t.item_id = u.item_id AND t.at >= %s AND t.at < u.first_at)""",
        (list(late), [to_datetime(hour) for hour in late.values()], begin),
    )
    return [item for (item,) in await rows.fetchall()]
