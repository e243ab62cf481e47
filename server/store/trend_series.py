"""Trends as columns: what a graph of a long range is drawn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    import numpy as np
    from numpy.typing import NDArray

    from server.store.database import Connection

READ_TRENDS = """
SELECT coalesce(array_agg((extract(epoch FROM at) * 1000000)::int8 ORDER BY at), '{}'),
       coalesce(array_agg(minimum ORDER BY at), '{}'),
       coalesce(array_agg(average ORDER BY at), '{}'),
       coalesce(array_agg(maximum ORDER BY at), '{}')
FROM trends WHERE item_id = %s AND at >= %s AND at < %s
"""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrendSeries:
    """An item's hours in order, columns of one length: `at_us` int64, the hour's begin; the others float64."""

    at_us: NDArray[np.int64]
    minimum: NDArray[np.float64]
    average: NDArray[np.float64]
    maximum: NDArray[np.float64]


async def read_trend_series(connection: Connection, item: int, begin: datetime, end: datetime) -> TrendSeries:
    """Return the item's hours that begin in [begin, end)."""
    async with connection.cursor(binary=True) as cursor:
        row = await (await cursor.execute(READ_TRENDS, (item, begin, end))).fetchone()
    if row is None:
        raise LookupError("the database returned no row")
    return TrendSeries(at_us=row[0], minimum=row[1], average=row[2], maximum=row[3])
