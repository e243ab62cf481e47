"""Retention: slices of history are dropped whole; an item's own rule works on its cold rows, one row an hour."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from server.store.slices import HISTORY, PACKED, TEXTS, TRENDS, drop_slice, read_slices

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from server.store.database import Connection
    from server.store.transaction import Writer

# The newest rows that together hold `keep_count` values stay, and with them the row that reaches the count.
DELETE_BY_ITEM = """
WITH rule AS (
    SELECT * FROM unnest(%s::int4[], %s::timestamptz[], %s::int8[]) AS u (item_id, keep_since, keep_count)
), hours AS (
    SELECT h.item_id, h.at, cardinality(h.offsets) AS count FROM history h JOIN rule r USING (item_id)
    UNION ALL
    SELECT h.item_id, h.at, h.count FROM history_packed h JOIN rule r USING (item_id)
), judged AS (
    SELECT h.item_id, h.at, r.keep_since, r.keep_count,
           coalesce(sum(h.count) OVER (
               PARTITION BY h.item_id ORDER BY h.at DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS newer
    FROM hours h JOIN rule r USING (item_id)
), gone AS (
    SELECT item_id, at FROM judged WHERE at + interval '30 minutes' <= keep_since OR newer >= keep_count
), arrays AS (
    DELETE FROM history h USING gone g WHERE h.item_id = g.item_id AND h.at = g.at RETURNING 1
), packed AS (
    DELETE FROM history_packed h USING gone g WHERE h.item_id = g.item_id AND h.at = g.at RETURNING 1
)
SELECT (SELECT count(*) FROM arrays) + (SELECT count(*) FROM packed)
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
    """How long each kind of data is kept. `history` also bounds how old a late sample may be."""

    history: timedelta = timedelta(days=31)
    trends: timedelta = timedelta(days=2 * 366)
    texts: timedelta = timedelta(days=31)
    problems: timedelta = timedelta(days=366)
    quarantine: timedelta = timedelta(days=31)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRetention:
    """An item's own rule: what is older than `keep_for`, or beyond the newest `keep_count` values, goes. None: no rule.

    Whole hours go, so up to an hour more than asked for stays.
    """

    item_id: int
    keep_for: timedelta | None = None
    keep_count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """What retention removed."""

    slices: list[str] = field(default_factory=list)
    item_hours: int = 0
    problems: int = 0
    quarantined: int = 0


async def expire(
    writer: Writer, policy: RetentionPolicy, now: datetime, rules: Sequence[ItemRetention] = ()
) -> Expired:
    """Remove what the policy and the items' rules do not keep any more.

    Slices go one by one in short transactions; StoreBusy when one is being read: call again later.
    """
    dropped: list[str] = []
    async with writer.database.connection(60.0) as connection:
        kept = (
            (HISTORY, policy.history), (PACKED, policy.history), (TEXTS, policy.texts), (TRENDS, policy.trends),
        )  # fmt: skip
        for table, keep_for in kept:
            for each in await read_slices(connection, table):
                if each.end is not None and each.end <= now - keep_for:
                    await drop_slice(connection, each)
                    dropped.append(each.relation)
    async with writer.transaction(60.0) as transaction:
        item_hours = await _expire_items(transaction, now, rules)
        problems = (await transaction.execute(DELETE_PROBLEMS, (now - policy.problems,))).rowcount
        quarantined = (await transaction.execute(DELETE_QUARANTINE, (now - policy.quarantine,))).rowcount
        await transaction.execute(DELETE_LIVES, (now - policy.history - timedelta(days=1),))
    return Expired(slices=dropped, item_hours=item_hours, problems=problems, quarantined=quarantined)


async def _expire_items(transaction: Connection, now: datetime, rules: Sequence[ItemRetention]) -> int:
    if not rules:
        return 0
    columns = (
        [rule.item_id for rule in rules],
        [None if rule.keep_for is None else now - rule.keep_for for rule in rules],
        [rule.keep_count for rule in rules],
    )
    row = await (await transaction.execute(DELETE_BY_ITEM, columns)).fetchone()
    return 0 if row is None else int(row[0])
