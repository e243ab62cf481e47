"""The newest value of items, and what came since one looked last: read from the hot batches, a source at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from server.store.cold import ColdRow, are_whole
from server.store.history import unpack_packed
from server.store.instants import to_datetime, to_us

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from numpy.typing import NDArray
    from psycopg import AsyncConnection

FRESH_SECONDS: Final = 90.0
_FRESH_BATCHES: Final = 32  # of one source; with the seconds this bounds what a look may read
_SINCE_BATCHES: Final = 256

# Slices are by the hour of storing: the bound on stored_at keeps closed ones out of the plan.
_FRESH = """
SELECT b.first_at, b.items, b.offsets, b."values"
FROM (SELECT DISTINCT source_id FROM item_source WHERE item_id = ANY (%(items)s::int4[])) s
CROSS JOIN LATERAL (
    SELECT first_at, items, offsets, "values" FROM history_batch
    WHERE source_id = s.source_id AND last_at > now() - make_interval(secs => %(seconds)s)
      AND stored_at > now() - interval '1 hour'
    ORDER BY last_at DESC LIMIT %(batches)s) b
"""
# For items sampled rarely, or not any more: what fresh batches did not hold.
_HOT = """
SELECT DISTINCT ON (v.item_id) v.item_id, b.first_at + v.offset_us * interval '1 microsecond' AS at, v.value
FROM (SELECT DISTINCT source_id FROM item_source WHERE item_id = ANY (%(items)s::int4[])) s
JOIN history_batch b ON b.source_id = s.source_id AND b.last_at > now() - interval '3 hours'
    AND b.stored_at > now() - interval '4 hours' AND b.items && %(items)s::int4[]
CROSS JOIN LATERAL unnest(b.items, b.offsets, b."values") AS v (item_id, offset_us, value)
WHERE v.item_id = ANY (%(items)s::int4[])
ORDER BY v.item_id, at DESC
"""
_COLD = """
SELECT i.id, h.at, h.offsets, h."values" FROM unnest(%(items)s::int4[]) AS i (id)
CROSS JOIN LATERAL (
    SELECT at, offsets, "values" FROM history WHERE item_id = i.id AND at > now() - interval '30 days'
    ORDER BY at DESC LIMIT 1) h
"""
_PACKED = """
SELECT i.id, h.at, h.packed, h.late FROM unnest(%(items)s::int4[]) AS i (id)
CROSS JOIN LATERAL (
    SELECT at, packed, late FROM history_packed WHERE item_id = i.id AND at > now() - interval '30 days'
    ORDER BY at DESC LIMIT 1) h
"""
_TEXT = """
SELECT i.id, t.at, t.value FROM unnest(%(items)s::int4[]) AS i (id)
CROSS JOIN LATERAL (
    SELECT at, value FROM history_text WHERE item_id = i.id AND stored_at > now() - interval '30 days'
    ORDER BY at DESC LIMIT 1) t
"""
# The source heard last comes first: who polls a host now, of those who ever did.
_SOURCES = """
SELECT i.item_id, i.source_id FROM item_source i
LEFT JOIN (SELECT source_id, max(heard_at) AS heard_at FROM received GROUP BY source_id) r USING (source_id)
WHERE i.item_id = ANY (%s::int4[]) ORDER BY r.heard_at DESC NULLS LAST
"""
_SINCE = """
SELECT s.source_id, b.first_at, b.last_at, b.items, b.offsets, b."values"
FROM unnest(%(sources)s::int4[], %(after)s::timestamptz[]) AS s (source_id, after)
CROSS JOIN LATERAL (
    SELECT first_at, last_at, items, offsets, "values" FROM history_batch
    WHERE source_id = s.source_id AND last_at > s.after AND stored_at > now() - interval '1 hour'
    ORDER BY last_at LIMIT %(batches)s) b
"""
_NEWEST = """
SELECT s.id, b.last_at FROM unnest(%s::int4[]) AS s (id) CROSS JOIN LATERAL (
    SELECT last_at FROM history_batch
    WHERE source_id = s.id AND stored_at > now() - interval '1 hour' ORDER BY last_at DESC LIMIT 1) b
"""
_TEXT_SINCE = """
SELECT item_id, at, value FROM history_text
WHERE item_id = ANY (%(items)s::int4[]) AND at > %(after)s AND stored_at > now() - interval '1 hour'
ORDER BY at LIMIT 1000
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latest:
    """An item's newest sample; `at_us` is µs since 1970 UTC."""

    at_us: int
    value: float | str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Points:
    """Samples of several items by instant, columns of one length: `items` int32, `at_us` int64, `values` float64."""

    items: NDArray[np.int32]
    at_us: NDArray[np.int64]
    values: NDArray[np.float64]


async def read_fresh(connection: AsyncConnection[Any], items: Collection[int]) -> dict[int, Latest]:
    """Return the newest number of items that had one within FRESH_SECONDS and the newest 32 batches of a source."""
    if not items:
        return {}
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(
            _FRESH, {"items": _column(items), "seconds": FRESH_SECONDS, "batches": _FRESH_BATCHES}, prepare=True
        )
        points = _gather(await cursor.fetchall(), items)
    # The points are in the order of their instants: of each item the last one wins.
    found, last = np.unique(points.items[::-1], return_index=True)
    at_us, values = points.at_us[::-1][last].tolist(), points.values[::-1][last].tolist()
    return {item: Latest(at_us=at, value=value) for item, at, value in zip(found.tolist(), at_us, values, strict=True)}


async def read_older(connection: AsyncConnection[Any], items: Collection[int]) -> dict[int, Latest]:
    """Return the newest number of items however old (30 days at most): slower than `read_fresh`, for what that left."""
    if not items:
        return {}
    found: dict[int, Latest] = {}
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(_COLD, {"items": list(items)})
        for item, at, offsets, values in await cursor.fetchall():
            newest = int(offsets.argmax())
            found[item] = Latest(at_us=to_us(at) + int(offsets[newest]), value=float(values[newest]))
        await cursor.execute(_PACKED, {"items": list(items)})
        rows = await cursor.fetchall()
        cold = [ColdRow(item, to_us(at), bits) for item, at, bits, _ in rows]
        whole = [place for place, is_whole in enumerate(are_whole(cold)) if is_whole]
        packed = unpack_packed([cold[place] for place in whole], [rows[place][3] for place in whole])
        for place in np.flatnonzero(np.diff(packed.items, append=-1)).tolist():  # each row's last sample is its newest
            item, at_us = int(packed.items[place]), int(packed.at_us[place])
            if item not in found or at_us >= found[item].at_us:
                found[item] = Latest(at_us=at_us, value=float(packed.values[place]))
        await cursor.execute(_HOT, {"items": list(items)})
        for item, at, value in await cursor.fetchall():
            if item not in found or to_us(at) >= found[item].at_us:
                found[item] = Latest(at_us=to_us(at), value=value)
    return found


async def read_latest_texts(connection: AsyncConnection[Any], items: Collection[int]) -> dict[int, Latest]:
    """Return the newest text of text items (30 days at most)."""
    if not items:
        return {}
    cursor = await connection.execute(_TEXT, {"items": list(items)})
    return {item: Latest(at_us=to_us(at), value=value) for item, at, value in await cursor.fetchall()}


async def read_item_sources(connection: AsyncConnection[Any], items: Collection[int]) -> dict[int, set[int]]:
    """Return which items each source declares, of those asked for."""
    cursor = await connection.execute(_SOURCES, (list(items),))
    found: dict[int, set[int]] = {}
    for item, source in await cursor.fetchall():
        found.setdefault(source, set()).add(item)
    return found


async def read_newest_instants(connection: AsyncConnection[Any], sources: Collection[int]) -> dict[int, datetime]:
    """Return the last instant of each source's newest batch; sources that sent nothing within the hour are left out."""
    return dict(await (await connection.execute(_NEWEST, (list(sources),))).fetchall())


async def read_since(
    connection: AsyncConnection[Any], after: Mapping[int, datetime], items: Collection[int]
) -> tuple[Points, dict[int, datetime]]:
    """Return the items' numbers in batches whose last instant is after each source's mark, and the moved marks.

    What arrives late, behind the mark, is left out: this is for watching the present.
    """
    marks = dict(after)
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(
            _SINCE,
            {"sources": list(after), "after": list(after.values()), "batches": _SINCE_BATCHES},
            prepare=True,
        )
        rows = await cursor.fetchall()
    for source, _, last_at, *_ in rows:
        marks[source] = max(marks[source], last_at)
    return _gather((row[1:2] + row[3:] for row in rows), items), marks


async def read_texts_since(
    connection: AsyncConnection[Any], after_us: int, items: Collection[int]
) -> list[tuple[int, int, str]]:
    """Return (item, µs, text) of text items newer than the instant, oldest first, at most 1000."""
    cursor = await connection.execute(_TEXT_SINCE, {"items": list(items), "after": to_datetime(after_us)})
    return [(item, to_us(at), value) for item, at, value in await cursor.fetchall()]


def _column(items: Collection[int]) -> NDArray[np.int32]:
    return np.fromiter(items, dtype=np.int32, count=len(items))


def _gather(rows: Iterable[Sequence[Any]], wanted: Collection[int]) -> Points:
    """Join batches given as (first_at, items, offsets, values) and keep the wanted items, by instant.

    Joined first and chosen from once: numpy's price of a call, times a hundred small batches, was most of it.
    """
    batches = list(rows)
    if not batches:
        return Points(items=np.empty(0, np.int32), at_us=np.empty(0, np.int64), values=np.empty(0))
    items = np.concatenate([batch[1] for batch in batches])
    counts = [len(batch[1]) for batch in batches]
    at_us = np.concatenate([batch[2] for batch in batches]) + np.repeat([to_us(batch[0]) for batch in batches], counts)
    values = np.concatenate([batch[3] for batch in batches])
    chosen = np.flatnonzero(np.isin(items, _column(wanted)))
    chosen = chosen[np.argsort(at_us[chosen], kind="stable")]
    return Points(items=items[chosen], at_us=at_us[chosen], values=values[chosen])
