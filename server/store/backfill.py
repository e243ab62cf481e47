"""Backfill: samples and trends that come from a file go straight into cold history, and raise no events.

No source says them, so they have no numbers and no ranges: what makes them come once is that a sample is known by its
item and instant, a text by its value too. What is there stays; what comes is marked late. Packing and backfill both
rewrite cold rows, so one waits for the other (`lock_cold`). Each call is one short transaction: it happens whole, and
happens again without any effect. A backfill belongs to no epoch: nothing in a server's memory depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from server.store.history import read_hot
from server.store.instants import HOUR_US, to_datetime, to_us
from server.store.merging import find_cold, lock_cold, merge_cold
from server.store.samples import concatenate, cut_by_hour, in_order
from server.store.slices import HISTORY, PACKED, TRENDS, ensure_slices
from server.store.trends import ADD, UNPACKED_SINCE, columns_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from psycopg import AsyncConnection

    from server.store.database import Connection
    from server.store.samples import Samples
    from server.store.trends import Trends

# Of equal texts of one instant as many are added as are missing: a log may say the same twice.
ADD_TEXTS = """
INSERT INTO history_text (item_id, at, source_id, boot, number, value, is_late)
SELECT item_id, at, 0, 0, 0, value, true FROM (
    SELECT item_id, at, value, row_number() OVER (PARTITION BY item_id, at, value) AS nth
    FROM unnest(%s::int4[], %s::timestamptz[], %s::text[]) AS u (item_id, at, value)) n
WHERE nth > (SELECT count(*) FROM history_text t WHERE t.item_id = n.item_id AND t.at = n.at AND t.value = n.value)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfilled:
    """What became of samples or hours: `stored` anew, `known` before (or given twice)."""

    stored: int = 0
    known: int = 0

    def __add__(self, other: Backfilled) -> Backfilled:
        return Backfilled(stored=self.stored + other.stored, known=self.known + other.known)


async def backfill_samples(connection: Connection, samples: Samples) -> Backfilled:
    """Add numbers, any items and instants, and make the trends of their hours anew. Raises StoreBusy: try again."""
    ordered = in_order(samples)
    if not len(ordered):
        return Backfilled()
    await _ensure_slices(connection, ordered.at_us)
    async with connection.transaction():
        await lock_cold(connection)
        begins, hours = cut_by_hour(ordered)
        is_new = ~_are_in(ordered, await _read_there(connection, ordered, begins, hours))
        added = ordered.where(is_new)
        if len(added):
            await merge_cold(connection, replace(added, late=np.ones(len(added), np.bool_)))
    return Backfilled(stored=len(added), known=len(samples) - len(added))


async def backfill_texts(
    connection: AsyncConnection[Any], items: Sequence[int], at_us: Sequence[int], values: Sequence[str]
) -> Backfilled:
    """Add texts, columns of one length; equal texts of one item and instant have to come in one call."""
    async with connection.transaction():
        await lock_cold(connection)
        columns = (list(items), [to_datetime(at) for at in at_us], [v.replace("\0", "\u2400") for v in values])
        stored = (await connection.execute(ADD_TEXTS, columns)).rowcount
    return Backfilled(stored=stored, known=len(values) - stored)


async def backfill_trends(connection: Connection, trends: Trends) -> Backfilled:
    """Add hours, each item and hour at most once; one that is there stays unless it is of fewer samples."""
    if not len(trends.items):
        return Backfilled()
    await _ensure_slices(connection, trends.at_us)
    async with connection.transaction():
        await lock_cold(connection)
        stored = (await connection.execute(ADD, columns_of(trends))).rowcount
    return Backfilled(stored=stored, known=len(trends.items) - stored)


async def _ensure_slices(connection: Connection, at_us: NDArray[np.int64]) -> None:
    days = [to_datetime(day * 24 * HOUR_US).astimezone(UTC) for day in np.unique(at_us // (24 * HOUR_US)).tolist()]
    instants = [day + part for day in days for part in (timedelta(0), timedelta(days=1))]
    for table in (HISTORY, PACKED, TRENDS):
        await ensure_slices(connection, table, instants)


async def _read_there(
    connection: Connection, ordered: Samples, begins: NDArray[np.int64], hours: NDArray[np.int64]
) -> Samples:
    """Return what is stored of these items and hours, packed or not."""
    items = ordered.items[begins[:-1]]
    parts = [await find_cold(connection, items, hours)]
    distinct = np.unique(items).tolist()
    row = await (await connection.execute(UNPACKED_SINCE, (distinct,))).fetchone()
    if row is not None and row[0] is not None:
        begin_us = max(to_us(row[0]), int(hours.min()))
        end_us = int(hours.max()) + HOUR_US
        if begin_us < end_us:
            parts.append(await read_hot(connection, distinct, to_datetime(begin_us), to_datetime(end_us)))
    return in_order(concatenate(parts))


def _are_in(samples: Samples, there: Samples) -> NDArray[np.bool_]:
    """Tell of each sample, ordered, whether its item and instant are among `there`, ordered."""
    both_items = np.concatenate([samples.items, there.items])
    both_at = np.concatenate([samples.at_us, there.at_us])
    order = np.lexsort((both_at, both_items))
    is_same = np.zeros(len(order), dtype=np.bool_)
    is_same[:-1] = (both_items[order][1:] == both_items[order][:-1]) & (both_at[order][1:] == both_at[order][:-1])
    found = np.zeros(len(order), dtype=np.bool_)
    found[order] = is_same  # stable: of an equal pair the one of `samples` comes first
    return found[: len(samples)]
