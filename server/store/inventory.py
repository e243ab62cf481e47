"""Hosts and items: what is watched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from psycopg import AsyncConnection

ENSURE_HOSTS = """
WITH wanted AS (SELECT DISTINCT name FROM unnest(%(names)s::text[]) AS u (name)),
made AS (INSERT INTO host (name) SELECT name FROM wanted ORDER BY name ON CONFLICT (name) DO NOTHING RETURNING id, name)
SELECT id, name FROM made UNION SELECT id, name FROM host JOIN wanted USING (name)
"""
# The row is rewritten only where the declaration changed.
ENSURE_ITEMS = """
INSERT INTO item AS i (host_id, key, type, unit, description)
SELECT DISTINCT ON (host_id, key) host_id, key, type, unit, description
FROM unnest(%s::int4[], %s::text[], %s::text[], %s::text[], %s::text[]) AS u (host_id, key, type, unit, description)
ORDER BY host_id, key
ON CONFLICT (host_id, key) DO UPDATE SET type = excluded.type, unit = excluded.unit, description = excluded.description
WHERE (i.type, i.unit, i.description) IS DISTINCT FROM (excluded.type, excluded.unit, excluded.description)
"""
SELECT_ITEMS = """
SELECT i.id, i.host_id, h.name AS host, i.key, i.type, i.unit, i.description
FROM item i JOIN host h ON h.id = i.host_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A watched host."""

    id: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemDeclaration:
    """An item as a source declares it; `type` is "number" or "text"."""

    host_id: int
    key: str
    type: str = "number"
    unit: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An item as it is stored, with its host's name."""

    id: int
    host_id: int
    host: str
    key: str
    type: str
    unit: str
    description: str


async def ensure_hosts(connection: AsyncConnection[Any], names: Collection[str]) -> dict[str, int]:
    """Return the ids of the named hosts, made where they are missing, within the caller's transaction."""
    if not names:
        return {}
    rows = await (await connection.execute(ENSURE_HOSTS, {"names": list(names)})).fetchall()
    return {name: host_id for host_id, name in rows}


async def read_hosts(connection: AsyncConnection[Any]) -> list[Host]:
    """Return all hosts by name."""
    async with connection.cursor(row_factory=class_row(Host)) as cursor:
        return await (await cursor.execute("SELECT id, name FROM host ORDER BY name")).fetchall()


async def ensure_items(
    connection: AsyncConnection[Any], declarations: Sequence[ItemDeclaration]
) -> dict[tuple[int, str], int]:
    """Return the item ids by (host id, key), made or brought up to date, within the caller's transaction."""
    if not declarations:
        return {}
    columns = (
        [d.host_id for d in declarations],
        [d.key for d in declarations],
        [d.type for d in declarations],
        [d.unit for d in declarations],
        [d.description for d in declarations],
    )
    await connection.execute(ENSURE_ITEMS, columns)
    cursor = await connection.execute(
        """SELECT i.host_id, i.key, i.id FROM item i
        WHERE (i.host_id, i.key) IN (SELECT host_id, key FROM unnest(%s::int4[], %s::text[]) AS u (host_id, key))""",
        columns[:2],
    )
    return {(host_id, key): item_id for host_id, key, item_id in await cursor.fetchall()}


async def read_items(connection: AsyncConnection[Any], item_ids: Collection[int] | None = None) -> list[Item]:
    """Return all items, or those asked for, by id."""
    where = "" if item_ids is None else " WHERE i.id = ANY (%s)"
    async with connection.cursor(row_factory=class_row(Item)) as cursor:
        await cursor.execute(SELECT_ITEMS + where + " ORDER BY i.id", None if item_ids is None else (list(item_ids),))
        return await cursor.fetchall()


async def read_births(connection: AsyncConnection[Any], item_ids: Collection[int]) -> dict[int, datetime]:
    """Return since when these items have been known, by id."""
    cursor = await connection.execute("SELECT id, created_at FROM item WHERE id = ANY (%s)", (list(item_ids),))
    return dict(await cursor.fetchall())


async def search_items(
    connection: AsyncConnection[Any],
    *,
    host: str | None,
    search: str,
    after_id: int,
    limit: int,
    only_hosts: Collection[str] | None = None,
) -> list[Item]:
    """Return at most `limit` items with an id above `after_id`, of one host or all, whose key contains `search`.

    Of those only the ones on hosts whose names are in `only_hosts`.
    """
    async with connection.cursor(row_factory=class_row(Item)) as cursor:
        await cursor.execute(
            SELECT_ITEMS
            + """ WHERE i.id > %(after)s AND (%(host)s::text IS NULL OR h.name = %(host)s)
            AND (%(only_hosts)s::text[] IS NULL OR h.name = ANY (%(only_hosts)s::text[]))
            AND strpos(lower(i.key), lower(%(search)s)) > 0 ORDER BY i.id LIMIT %(limit)s""",
            {
                "after": after_id,
                "host": host,
                "search": search,
                "limit": limit,
                "only_hosts": None if only_hosts is None else list(only_hosts),
            },
        )
        return await cursor.fetchall()
