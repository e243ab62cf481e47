"""Places under limits: what hosts claim, who had a turn when, and the orders that give a place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from psycopg.errors import UniqueViolation

from server.store.backup_orders import UNANSWERED

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from psycopg import AsyncConnection

_KEY: Final = "backup.claim["
_MOST_SETS: Final = 200  # of a host: one that names ever more costs no more
# Texts come again with every sample, so what is an hour old is claimed by nobody any more.
_ITEMS = """
SELECT i.id, h.name, i.key FROM host h CROSS JOIN LATERAL (
    SELECT id, key FROM item WHERE host_id = h.id AND type = 'text' AND key LIKE 'backup.claim[%%'
    ORDER BY id LIMIT %s) i
WHERE h.name = ANY (%s)
"""
_TEXTS = """
SELECT i.id, t.value FROM unnest(%s::int4[]) AS i (id)
CROSS JOIN LATERAL (
    SELECT value FROM history_text WHERE item_id = i.id AND stored_at > now() - interval '1 hour'
    ORDER BY at DESC LIMIT 1) t
WHERE t.value <> ''
"""
_HEARD = """
SELECT h.name, extract(epoch FROM clock_timestamp() - max(r.heard_at))::float8
FROM host h JOIN source s ON s.host_id = h.id JOIN received r ON r.source_id = s.id
WHERE h.name = ANY (%s) GROUP BY h.name
"""
_TURNS = """
SELECT host, set_name, max(ordered_at), max(coalesce(answered_at, ordered_at)) FROM backup_order
WHERE host = ANY (%s) AND limits <> '{}' GROUP BY host, set_name
"""
# One that its host was not there to hear is given again; any other that was ordered is never ordered twice.
_GIVE = """
INSERT INTO backup_order AS o (host, set_name, due_at, ordered_by, expires_at, limits)
VALUES (%(host)s, %(set)s, %(due_at)s, %(by)s, %(expires_at)s, %(limits)s)
ON CONFLICT (host, set_name, due_at) DO UPDATE SET state = 'ordered', note = '', answered_at = NULL, ordered_at = now(),
    expires_at = excluded.expires_at, limits = excluded.limits, claimed_epoch = NULL, cancelled_by = NULL
WHERE o.state = 'expired' AND o.note = %(unanswered)s AND o.limits <> '{}'
RETURNING id
"""
_SPENT = """
SELECT o.host, o.set_name, o.due_at FROM backup_order o
JOIN unnest(%s::text[], %s::text[], %s::timestamptz[]) AS c (host, set_name, due_at) USING (host, set_name, due_at)
WHERE NOT (o.state = 'expired' AND o.note = %s AND o.limits <> '{}')
"""
_FORGET = """
DELETE FROM backup_order WHERE limits <> '{}' AND state NOT IN ('ordered', 'started')
    AND answered_at < now() - interval '30 days'
"""


Run = tuple[str, str, "datetime"]
"""The id of a run: host, set, due instant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """When a set got a place last, and when that was over, as far as is known."""

    host: str
    set: str
    given_at: datetime
    ended_at: datetime


async def read_claim_items(connection: AsyncConnection[Any], hosts: Collection[str]) -> dict[int, tuple[str, str]]:
    """Return the items by which hosts claim places: (host, set) by id; of each host the first 200."""
    rows = await (await connection.execute(_ITEMS, (_MOST_SETS, list(hosts)))).fetchall()
    return {item: (host, key.removeprefix(_KEY).removesuffix("]")) for item, host, key in rows}


async def read_claim_texts(connection: AsyncConnection[Any], items: Collection[int]) -> dict[int, str]:
    """Return what is claimed now, by item; nothing of those that claim nothing."""
    return dict(await (await connection.execute(_TEXTS, (list(items),))).fetchall()) if items else {}


async def read_silence(connection: AsyncConnection[Any], hosts: Collection[str]) -> dict[str, float]:
    """Return for how many seconds nothing was stored of each host's own agent; hosts without one are left out."""
    return dict(await (await connection.execute(_HEARD, (list(hosts),))).fetchall()) if hosts else {}


async def read_turns(connection: AsyncConnection[Any], hosts: Collection[str]) -> list[Turn]:
    """Return the last turns of the hosts' sets."""
    rows = await (await connection.execute(_TURNS, (list(hosts),))).fetchall() if hosts else []
    return [Turn(host=host, set=name, given_at=given, ended_at=ended) for host, name, given, ended in rows]


async def read_spent(connection: AsyncConnection[Any], runs: Collection[Run]) -> set[Run]:
    """Return those of the runs that were ordered before, and so get no place any more."""
    columns = [list(column) for column in zip(*runs, strict=True)] or [[], [], []]
    return set(await (await connection.execute(_SPENT, (*columns, UNANSWERED))).fetchall()) if runs else set()


async def give_place(  # noqa: PLR0913 - the run's id and its terms, by name
    connection: AsyncConnection[Any],
    *,
    host: str,
    name: str,
    due_at: datetime,
    limits: Sequence[str],
    by: str,
    expires_at: datetime,
) -> bool:
    """Order the run in the caller's transaction; False when it was ordered before, or another of the set is open."""
    terms = {
        "host": host, "set": name, "due_at": due_at, "by": by, "expires_at": expires_at, "limits": list(limits),
        "unanswered": UNANSWERED,
    }  # fmt: skip
    try:
        async with connection.transaction():
            return await (await connection.execute(_GIVE, terms)).fetchone() is not None
    except UniqueViolation:  # somebody ordered another run of the set in the meantime
        return False


async def forget_old_places(connection: AsyncConnection[Any]) -> int:
    """Delete what became of runs that got a place a month ago; return how many. Hosts know their runs themselves."""
    return (await connection.execute(_FORGET)).rowcount
