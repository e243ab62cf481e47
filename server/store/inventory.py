"""Hosts and items: what is watched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

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
# What is there as declared is only read: ON CONFLICT alone would lock, and so write, every row an agent declares anew.
# Of several declarations of one item the last one counts.
ENSURE_ITEMS = """
WITH declared AS MATERIALIZED (
    SELECT DISTINCT ON (host_id, key) host_id, key, type, unit, description
    FROM unnest(%s::int4[], %s::text[], %s::text[], %s::text[], %s::text[]) WITH ORDINALITY
        AS u (host_id, key, type, unit, description, place)
    ORDER BY host_id, key, place DESC
), same AS MATERIALIZED (
    SELECT i.id, d.host_id, d.key FROM declared d JOIN item i USING (host_id, key)
    WHERE (i.type, i.unit, i.description) = (d.type, d.unit, d.description)
), made AS (
    INSERT INTO item AS i (host_id, key, type, unit, description)
    SELECT d.host_id, d.key, d.type, d.unit, d.description
    FROM declared d LEFT JOIN same USING (host_id, key) WHERE same.id IS NULL
    ON CONFLICT (host_id, key) DO UPDATE
    SET type = excluded.type, unit = excluded.unit, description = excluded.description
    RETURNING id, host_id, key
)
SELECT host_id, key, id, true FROM made UNION ALL SELECT host_id, key, id, false FROM same
"""
NUMERIC_ITEMS = """
SELECT id, host_id, key, unit, (extract(epoch FROM created_at) * 1000000)::int8
FROM item WHERE host_id = ANY (%s) AND type = 'number' ORDER BY id
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
    """An item as a source declares it; `type` is "number", "text" or "structured"."""

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


class EnsuredItems(NamedTuple):
    """The ids of declared items by (host id, key), and which of them are new or were declared otherwise before."""

    ids: dict[tuple[int, str], int]
    changed: list[int]


class NumericItem(NamedTuple):
    """What evaluation has to know of an item; `born_us`: since when it is known, µs since 1970 UTC."""

    id: int
    host_id: int
    key: str
    unit: str
    born_us: int


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


async def read_host_ids(connection: AsyncConnection[Any], names: Collection[str]) -> dict[str, int]:
    """Return the ids of those of the named hosts that there are."""
    cursor = await connection.execute("SELECT name, id FROM host WHERE name = ANY (%s)", (list(names),))
    return dict(await cursor.fetchall())


async def read_names_of_hosts(connection: AsyncConnection[Any], items: Collection[int]) -> list[str]:
    """Return the names of the hosts these items are of."""
    cursor = await connection.execute(
        "SELECT name FROM host WHERE id IN (SELECT host_id FROM item WHERE id = ANY (%s))", (list(items),)
    )
    return [name for (name,) in await cursor.fetchall()]


async def ensure_items(connection: AsyncConnection[Any], declarations: Sequence[ItemDeclaration]) -> EnsuredItems:
    """Make the declared items, or bring them up to date, within the caller's transaction."""
    ensured = EnsuredItems({}, [])
    if not declarations:
        return ensured
    columns = (
        [d.host_id for d in declarations],
        [d.key for d in declarations],
        [d.type for d in declarations],
        [d.unit for d in declarations],
        [d.description for d in declarations],
    )
    cursor = await connection.execute(ENSURE_ITEMS, columns)
    for host_id, key, item_id, is_changed in await cursor.fetchall():
        ensured.ids[host_id, key] = item_id
        if is_changed:
            ensured.changed.append(item_id)
    return ensured


async def read_numeric_items(connection: AsyncConnection[Any], host_ids: Collection[int]) -> list[NumericItem]:
    """Return the items of these hosts whose values are numbers, by id."""
    async with connection.cursor(binary=True) as cursor:
        await cursor.execute(NUMERIC_ITEMS, (list(host_ids),))
        return [NumericItem(*row) for row in await cursor.fetchall()]


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
