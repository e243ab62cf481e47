"""What the store knows of hosts and of the ages of their backup sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from psycopg.rows import class_row

from server.store.latest import read_fresh, read_older

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from psycopg import AsyncConnection

    from server.store.latest import Latest

AGE: Final = "backup.age_seconds"
PERIOD: Final = "backup.period_seconds"
# Host by host: the index of (host, key) finds the few among all its items, where the database sorts by the byte.
_SETS = """
SELECT i.id, h.name AS host, split_part(i.key, '[', 1) AS name,
       substr(i.key, strpos(i.key, '[') + 1, length(i.key) - strpos(i.key, '[') - 1) AS set
FROM host h CROSS JOIN LATERAL (
    SELECT id, key FROM item WHERE host_id = h.id AND key ^@ 'backup.' AND type = 'number' OFFSET 0) i
WHERE right(i.key, 1) = ']'
  AND split_part(i.key, '[', 1) IN ('backup.age_seconds', 'backup.period_seconds', 'backup.status')
"""


# The newest document of each, and of what hosts hold also the newest of a time ago: what both name is not new.
_DOCUMENTS = """
SELECT h.name AS host, i.key, t.value AS text, coalesce(b.value, '') AS before
FROM host h CROSS JOIN LATERAL (
    SELECT id, key FROM item WHERE host_id = h.id AND key ^@ 'backup.covers[' AND type = 'structured'
    UNION ALL
    SELECT id, key FROM item WHERE host_id = h.id AND key ^@ 'inventory.' AND type = 'structured' OFFSET 0) i
CROSS JOIN LATERAL (
    SELECT value FROM history_text WHERE item_id = i.id AND stored_at > now() - interval '30 days'
    ORDER BY at DESC LIMIT 1) t
LEFT JOIN LATERAL (
    SELECT value FROM history_text WHERE item_id = i.id AND i.key ^@ 'inventory.'
        AND stored_at > now() - interval '30 days' AND at <= %s ORDER BY at DESC LIMIT 1) b ON true
"""
_SAID = """
SELECT h.name, substr(i.key, length(%(prefix)s) + 1, length(i.key) - length(%(prefix)s) - 1)
FROM host h CROSS JOIN LATERAL (
    SELECT key FROM item WHERE host_id = h.id AND key ^@ %(prefix)s AND right(key, 1) = ']' OFFSET 0) i
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a host says of what it holds or a set saves: the newest text, and that of a time ago where there is one."""

    host: str
    key: str
    text: str
    before: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SetItem:
    """An item about a set; `name` is the key without its parameter."""

    id: int
    host: str
    name: str
    set: str


async def read_known_since(connection: AsyncConnection[Any], hosts: Collection[str]) -> dict[str, datetime]:
    """Return since when each of these hosts is known."""
    cursor = await connection.execute("SELECT name, created_at FROM host WHERE name = ANY (%s)", (list(hosts),))
    return dict(await cursor.fetchall())


async def read_set_items(connection: AsyncConnection[Any]) -> list[tuple[SetItem, Latest]]:
    """Return every set's status, age and period with their newest values, as their hosts said them last."""
    async with connection.cursor(row_factory=class_row(SetItem)) as cursor:
        items = await (await cursor.execute(_SETS)).fetchall()
    latest = await read_fresh(connection, [item.id for item in items])
    latest |= await read_older(connection, [item.id for item in items if item.id not in latest])
    return [(item, latest[item.id]) for item in items if item.id in latest]


async def read_documents(connection: AsyncConnection[Any], before: datetime) -> list[Document]:
    """Return what every host said last of what it holds (`inventory.`) and of what its sets save (`backup.covers`)."""
    async with connection.cursor(row_factory=class_row(Document)) as cursor:
        return await (await cursor.execute(_DOCUMENTS, (before,))).fetchall()


async def read_parameters(connection: AsyncConnection[Any], item: str) -> list[tuple[str, str]]:
    """Return every host and parameter for which there is an item of this name, said ever."""
    cursor = await connection.execute(_SAID, {"prefix": f"{item}["})
    return [(host, parameter) for host, parameter in await cursor.fetchall()]
