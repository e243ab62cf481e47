"""Whether samples are stored already, whatever number they came under: by host item, instant and value.

A record under a stored number is a repeat only when this says so; see server/ingest/repeats.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from server.store.instants import HOUR_US, to_datetime, to_us
from server.store.merging import find_cold
from server.store.samples import Samples, in_order

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from server.store.batches import Batches, TextSample
    from server.store.database import Connection

# OFFSET 0 keeps the planner from reading a whole slice: a few rows are found by the index of source and last instant.
FIND_HOT = """
SELECT u.place, b.first_at, b.items, b.offsets, b."values"
FROM unnest(%s::int4[], %s::int4[], %s::int8[], %s::int8[], %s::timestamptz[])
     AS u (place, source_id, boot, number, last_at)
CROSS JOIN LATERAL (
    SELECT first_at, items, offsets, "values" FROM history_batch h
    WHERE h.source_id = u.source_id AND h.last_at = u.last_at AND h.boot = u.boot AND h.number = u.number OFFSET 0) b
"""
FIND_TEXTS = """
SELECT u.place
FROM unnest(%s::int4[], %s::int4[], %s::timestamptz[], %s::int4[], %s::int8[], %s::int8[], %s::text[])
     AS u (place, item_id, at, source_id, boot, number, value)
CROSS JOIN LATERAL (
    SELECT FROM history_text t
    WHERE t.item_id = u.item_id AND t.at = u.at AND t.source_id = u.source_id AND t.boot = u.boot
      AND t.number = u.number AND t.value = u.value LIMIT 1) t
"""


async def find_held(connection: Connection, batches: Batches) -> NDArray[np.bool_]:
    """Return of each record, bool[r], whether every sample of it is stored; hot as that very record, or cold.

    Hot rows are read before cold ones: what is packed in between is found twice, never not at all. Samples that their
    retention has deleted are not found: stored once more they are deleted once more.
    """
    held = await _find_hot(connection, batches)
    if not held.all():
        missing = np.flatnonzero(~held)
        held[missing] = await _find_cold(connection, batches.of(missing))
    return held


async def find_held_texts(connection: Connection, texts: Sequence[TextSample]) -> NDArray[np.bool_]:
    """Return of each text, bool[n], whether it is stored under its record's name."""
    held = np.zeros(len(texts), np.bool_)
    if texts:
        columns = (
            list(range(len(texts))),
            [text.item_id for text in texts],
            [to_datetime(text.at_us) for text in texts],
            [text.source_id for text in texts],
            [text.boot for text in texts],
            [text.number for text in texts],
            [text.stored_value for text in texts],
        )
        for (place,) in await (await connection.execute(FIND_TEXTS, columns)).fetchall():
            held[place] = True
    return held


async def _find_hot(connection: Connection, batches: Batches) -> NDArray[np.bool_]:
    held = np.zeros(len(batches.counts), np.bool_)
    begins = np.cumsum(batches.counts) - batches.counts
    last_at_us = batches.first_at_us + np.maximum.reduceat(batches.offsets, begins)
    columns = (
        list(range(len(held))),
        batches.source_ids.tolist(),
        batches.boots.tolist(),
        batches.numbers.tolist(),
        [to_datetime(at_us) for at_us in last_at_us.tolist()],
    )
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(FIND_HOT, columns)
        async for place, first_at, items, offsets, values in cursor:
            span = slice(int(begins[place]), int(begins[place] + batches.counts[place]))
            held[place] |= (
                to_us(first_at) == int(batches.first_at_us[place])
                and np.array_equal(items, batches.items[span])
                and np.array_equal(offsets, batches.offsets[span])
                and np.array_equal(_bits(values), _bits(batches.values[span]))
            )
    return held


async def _find_cold(connection: Connection, batches: Batches) -> NDArray[np.bool_]:
    begins = np.cumsum(batches.counts) - batches.counts
    wanted = Samples(
        items=batches.items,
        at_us=batches.instants(),
        values=batches.values,
        late=np.zeros(len(batches.items), np.bool_),
    )
    places = np.unique(np.stack([wanted.items.astype(np.int64), wanted.at_us - wanted.at_us % HOUR_US]), axis=1)
    cold = in_order(await find_cold(connection, places[0].astype(np.int32), places[1]))
    return np.logical_and.reduceat(are_among(cold, wanted), begins)


def are_among(known: Samples, wanted: Samples) -> NDArray[np.bool_]:
    """Return of each wanted sample, bool[n], whether it is known, value and all; none of `known` is there twice."""
    if not len(known):
        return np.zeros(len(wanted), np.bool_)
    _, items = np.unique(np.concatenate([known.items, wanted.items]), return_inverse=True)
    instants, places = np.unique(np.concatenate([known.at_us, wanted.at_us]), return_inverse=True)
    names = items.astype(np.int64) * len(instants) + places
    there, asked = names[: len(known)], names[len(known) :]
    order = np.argsort(there)
    found = order[np.minimum(np.searchsorted(there, asked, sorter=order), len(known) - 1)]
    are_in: NDArray[np.bool_] = (there[found] == asked) & (_bits(known.values[found]) == _bits(wanted.values))
    return are_in


def _bits(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return floats as integers, so that what is no number equals itself."""
    return np.ascontiguousarray(values, np.float64).view(np.int64)
