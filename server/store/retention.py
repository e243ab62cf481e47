"""Retention: slices are dropped whole when nothing in them is kept; an item's own rule works on its rows of an hour."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from psycopg import sql

from server.store.slices import HISTORY, PACKED, TEXTS, TRENDS, drop_slice, read_slices

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from server.store.slices import SlicedTable
    from server.store.transaction import Writer

ITEMS_AT_ONCE: Final = 500
"""With a slice of seven days these are at most 84,000 rows of an item and hour in one transaction."""

# The newest rows that together hold `keep_count` values stay, and with them the row that reaches the count.
FIND_BEYOND_COUNT = """
WITH rule AS (
    SELECT * FROM unnest(%s::int4[], %s::int8[]) AS u (item_id, keep_count)
), hours AS (
    SELECT h.item_id, h.at, cardinality(h.offsets) AS count FROM history h JOIN rule r USING (item_id)
    UNION ALL
    SELECT h.item_id, h.at, h.count FROM history_packed h JOIN rule r USING (item_id)
), judged AS (
    SELECT h.item_id, h.at, r.keep_count,
           coalesce(sum(h.count) OVER (
               PARTITION BY h.item_id ORDER BY h.at DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS newer
    FROM hours h JOIN rule r USING (item_id)
)
SELECT item_id, max(at) + interval '30 minutes' FROM judged WHERE newer >= keep_count GROUP BY item_id
"""
FIND_TEXTS_BEYOND_COUNT = """
SELECT r.item_id, t.at FROM unnest(%s::int4[], %s::int8[]) AS r (item_id, keep_count)
CROSS JOIN LATERAL (
    SELECT at FROM history_text WHERE item_id = r.item_id ORDER BY at DESC OFFSET r.keep_count - 1 LIMIT 1) t
"""
# A row goes when all it may hold lies before `since`: `length` is from its instant to its end.
DELETE_FROM_SLICE = """
DELETE FROM ONLY {slice} h USING unnest(%(items)s::int4[], %(since)s::timestamptz[]) AS u (item_id, since)
WHERE h.item_id = u.item_id AND h.at <= u.since - {length}
"""
DELETE_PROBLEMS = "DELETE FROM problem WHERE resolved_at < %s"
DELETE_QUARANTINE = "DELETE FROM quarantine WHERE stored_at < %s"
# Samples of such a life are older than history is kept, so they are refused by their instants if they come again. Not
# so the life a source was last heard of: it may still go on, cut off from here, and would not say its dictionary again.
DELETE_LIVES = """
WITH gone AS (
    DELETE FROM received r WHERE heard_at < %s
      AND EXISTS (SELECT FROM received newer WHERE newer.source_id = r.source_id AND newer.heard_at > r.heard_at)
    RETURNING source_id, boot
)
DELETE FROM dictionary d USING gone WHERE d.source_id = gone.source_id AND d.boot = gone.boot
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """How long anything of each kind is kept at most. `history` also bounds how old a late sample may be."""

    history: timedelta = timedelta(days=31)
    trends: timedelta = timedelta(days=2 * 366)
    problems: timedelta = timedelta(days=366)
    quarantine: timedelta = timedelta(days=31)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRetention:
    """What of an item stays: numbers and texts for `history`, of them the newest `samples`; its hours for `trends`.

    Whole hours go, so up to an hour more than asked for stays. None: any number.
    """

    item_id: int
    history: timedelta
    trends: timedelta
    samples: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """What retention removed."""

    slices: list[str] = field(default_factory=list)
    problems: int = 0
    quarantined: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiredRows:
    """What items' own retention removed: cold rows (of an item and hour), trends (the same), texts."""

    item_hours: int = 0
    trends: int = 0
    texts: int = 0


async def expire(writer: Writer, policy: RetentionPolicy, now: datetime) -> Expired:
    """Remove what is kept for nobody any more.

    Slices go one by one in short transactions; StoreBusy when one is being read: call again later.
    """
    dropped: list[str] = []
    async with writer.database.connection(60.0) as connection:
        kept = [(table, policy.history) for table in (HISTORY, PACKED, TEXTS)]
        for table, keep_for in (*kept, (TRENDS, policy.trends)):
            for each in await read_slices(connection, table):
                if each.end is not None and each.end <= now - keep_for:
                    await drop_slice(connection, each)
                    dropped.append(each.relation)
    async with writer.transaction(60.0) as transaction:
        problems = (await transaction.execute(DELETE_PROBLEMS, (now - policy.problems,))).rowcount
        quarantined = (await transaction.execute(DELETE_QUARANTINE, (now - policy.quarantine,))).rowcount
        await transaction.execute(DELETE_LIVES, (now - policy.history - timedelta(days=1),))
    return Expired(slices=dropped, problems=problems, quarantined=quarantined)


async def expire_items(writer: Writer, rules: Sequence[ItemRetention], now: datetime) -> ExpiredRows:
    """Remove what these items' own rules do not keep any more: packed rows and texts, a slice at a time.

    Each slice and some hundred items are a fenced transaction of their own, so none holds the lease's row for long.
    What is not packed yet is looked at once it is. Raises Fenced, StoreAway: call again later.
    """
    item_hours = trends = texts = 0
    for begin in range(0, len(rules), ITEMS_AT_ONCE):
        some = rules[begin : begin + ITEMS_AT_ONCE]
        counted = ([r.item_id for r in some if r.samples is not None], [r.samples for r in some if r.samples])
        beyond: dict[int, datetime] = {}
        beyond_texts: dict[int, datetime] = {}
        if counted[0]:
            async with writer.database.connection(60.0) as connection:
                beyond = dict(await (await connection.execute(FIND_BEYOND_COUNT, counted)).fetchall())
                beyond_texts = dict(await (await connection.execute(FIND_TEXTS_BEYOND_COUNT, counted)).fetchall())
        aged = {rule.item_id: now - rule.history for rule in some}
        since = {item: max(at, beyond.get(item, at)) for item, at in aged.items()}
        since_texts = {item: max(at, beyond_texts.get(item, at)) for item, at in aged.items()}
        for table in (HISTORY, PACKED):
            item_hours += await _delete_before(writer, table, since, timedelta(minutes=30))
        trends += await _delete_before(
            writer, TRENDS, {rule.item_id: now - rule.trends for rule in some}, timedelta(hours=1)
        )
        texts += await _delete_before(writer, TEXTS, since_texts, timedelta(microseconds=1))
    return ExpiredRows(item_hours=item_hours, trends=trends, texts=texts)


async def _delete_before(writer: Writer, table: SlicedTable, since: Mapping[int, datetime], length: timedelta) -> int:
    """Delete each item's rows that end before its instant, slice by slice; return how many."""
    deleted = 0
    async with writer.database.connection() as connection:
        slices = await read_slices(connection, table)
    columns = {"items": list(since), "since": list(since.values())}
    newest = max(since.values())
    for each in slices:
        # Texts are sliced by when they came, which says nothing of their instants.
        if table is not TEXTS and each.begin is not None and each.begin > newest:
            continue
        statement = sql.SQL(DELETE_FROM_SLICE).format(slice=each.identifier, length=sql.Literal(length))
        async with writer.transaction(60.0) as transaction:
            deleted += (await transaction.execute(statement, columns)).rowcount
    return deleted
