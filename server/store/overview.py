"""What the pages show about hosts as a whole, and about the store itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row

from server.own.identity import OWN_SOURCE

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from psycopg import AsyncConnection

# Of the hot batches only each source's newest is looked at, by the index; a host silent for hours was last heard when
# something of it was stored.
_HOSTS = """
SELECT h.id, h.name, coalesce(i.items, 0) AS items, coalesce(p.problems, '{}') AS problems,
       ARRAY(SELECT jsonb_array_elements_text(d.body -> 'templates')) AS templates,
       ARRAY(SELECT jsonb_array_elements_text(d.body -> 'groups')) AS groups,
       coalesce(
           (SELECT max(b.last_at) FROM source s CROSS JOIN LATERAL (
                SELECT last_at FROM history_batch
                WHERE source_id = s.id AND stored_at > now() - interval '4 hours' ORDER BY last_at DESC LIMIT 1) b
            WHERE s.host_id = h.id),
           (SELECT max(r.heard_at) FROM source s JOIN received r ON r.source_id = s.id WHERE s.host_id = h.id)
       ) AS last_at
FROM host h
LEFT JOIN definition d ON d.kind = 'host' AND d.name = h.name
LEFT JOIN (SELECT host_id, count(*) AS items FROM item GROUP BY host_id) i ON i.host_id = h.id
LEFT JOIN (
    SELECT host_id, jsonb_object_agg(severity, n) AS problems
    FROM (SELECT host_id, severity, count(*) AS n FROM problem WHERE resolved_at IS NULL GROUP BY host_id, severity) c
    GROUP BY host_id) p ON p.host_id = h.id
WHERE (%(name)s::text IS NULL OR h.name = %(name)s) AND (%(only)s::text[] IS NULL OR h.name = ANY (%(only)s::text[]))
ORDER BY h.name LIMIT %(limit)s
"""
_HEARD = """
SELECT extract(epoch FROM now() - max(b.last_at))::float8
FROM (SELECT id FROM source WHERE uuid <> %(own)s) s CROSS JOIN LATERAL (
    SELECT last_at FROM history_batch
    WHERE source_id = s.id AND stored_at > now() - interval '1 hour' ORDER BY last_at DESC LIMIT 1) b
"""
_SUMMARY_ITEMS = r"""
SELECT id, host_id, key FROM item
WHERE type = 'number' AND host_id = ANY (%(hosts)s::int4[])
  AND (key IN ('cpu.busy', 'memory.used_percent') OR key LIKE 'filesystem.used\_percent[%%')
"""
# What the proxy says of its own polling (poll.available = 0), and the server of a host, is no sign of life; but what
# it says of Watchkeep's own parts is one of theirs.
_POLLED = """
SELECT i.host_id, array_agg(DISTINCT i.id ORDER BY i.id DESC) AS items,
       extract(epoch FROM now() - max(r.heard_at))::float8 AS heard_seconds_ago
FROM item i JOIN item_source s ON s.item_id = i.id
JOIN (SELECT source_id, max(heard_at) AS heard_at FROM received GROUP BY source_id) r ON r.source_id = s.source_id
WHERE i.type = 'number' AND i.host_id = ANY (%(hosts)s::int4[]) AND i.key NOT LIKE 'poll.%%'
  AND (s.source_id <> ALL (ARRAY(SELECT id FROM source WHERE uuid = %(own)s)) OR i.key LIKE 'watchkeep.part%%')
GROUP BY i.host_id
"""
_BOOT = """
SELECT r.boot FROM received r JOIN source s ON s.id = r.source_id
WHERE s.host_id = %s ORDER BY r.first_at DESC LIMIT 1
"""
_STORE = """
SELECT pg_database_size(current_database()) AS size_bytes,
       current_setting('server_version') AS database_version,
       EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') AS has_timescale,
       (SELECT coalesce(sum(cardinality(b.items)), 0) / %(seconds)s::float8
        FROM source s JOIN history_batch b ON b.source_id = s.id
        WHERE b.last_at > now() - make_interval(secs => %(seconds)s + 2)
          AND b.last_at <= now() - interval '2 seconds' AND b.stored_at > now() - interval '1 hour'
       )::float8 AS values_per_second,
       least(
           (SELECT min(x.at) FROM (SELECT id FROM item ORDER BY id LIMIT 100) i CROSS JOIN LATERAL (
                SELECT at FROM history WHERE item_id = i.id ORDER BY at LIMIT 1) x),
           (SELECT min(x.at) FROM (SELECT id FROM item ORDER BY id LIMIT 100) i CROSS JOIN LATERAL (
                SELECT at FROM history_packed WHERE item_id = i.id ORDER BY at LIMIT 1) x),
           (SELECT min(x.last_at) FROM (SELECT id FROM source ORDER BY id LIMIT 100) s CROSS JOIN LATERAL (
                SELECT last_at FROM history_batch WHERE source_id = s.id ORDER BY last_at LIMIT 1) x)
       ) AS oldest_at
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRow:
    """A host with counts; `problems` counts open ones by severity, `last_at` is its newest sample's instant."""

    id: int
    name: str
    items: int
    problems: dict[str, int]
    templates: list[str]
    groups: list[str]
    last_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolledHost:
    """A host that others measure: its numeric items, those declared last first, and when the others were heard."""

    host_id: int
    items: list[int]
    heard_seconds_ago: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFacts:
    """The store by figures. `oldest_at` looks at the hundred oldest items and sources, `values_per_second` at 10 s."""

    size_bytes: int
    database_version: str
    has_timescale: bool
    values_per_second: float
    oldest_at: datetime | None


async def read_host_rows(
    connection: AsyncConnection[Any],
    *,
    name: str | None = None,
    only: Collection[str] | None = None,
    limit: int = 10_000,
) -> list[HostRow]:
    """Return hosts by name: all, or the one called `name`; of those only the ones whose names are in `only`."""
    parameters = {"name": name, "only": None if only is None else list(only), "limit": limit}
    async with connection.cursor(row_factory=class_row(HostRow)) as cursor:
        return await (await cursor.execute(_HOSTS, parameters)).fetchall()


async def read_seconds_since_heard(connection: AsyncConnection[Any]) -> float | None:
    """Return the age of the newest sample of any source but the server itself; None when none came within the hour."""
    row = await (await connection.execute(_HEARD, {"own": OWN_SOURCE})).fetchone()
    return None if row is None else row[0]


async def read_summary_items(connection: AsyncConnection[Any], host_ids: list[int]) -> list[tuple[int, int, str]]:
    """Return (item, host, key) of the items a host is summed up by: processor, memory, filesystems."""
    return await (await connection.execute(_SUMMARY_ITEMS, {"hosts": host_ids})).fetchall()


async def read_polled_hosts(connection: AsyncConnection[Any], host_ids: list[int]) -> list[PolledHost]:
    """Return, of hosts whose own source never spoke, those of which another one did: a proxy that polls them."""
    if not host_ids:
        return []
    async with connection.cursor(row_factory=class_row(PolledHost)) as cursor:
        return await (await cursor.execute(_POLLED, {"hosts": host_ids, "own": OWN_SOURCE})).fetchall()


async def read_current_boot(connection: AsyncConnection[Any], host_id: int) -> int | None:
    """Return the newest life of the host's own source that was received."""
    row = await (await connection.execute(_BOOT, (host_id,))).fetchone()
    return None if row is None else row[0]


async def read_store_facts(connection: AsyncConnection[Any]) -> StoreFacts:
    """Return the store's figures; some tens of milliseconds with many sources, so ask seldom."""
    async with connection.cursor(row_factory=class_row(StoreFacts)) as cursor:
        found = await (await cursor.execute(_STORE, {"seconds": 10})).fetchone()
    if found is None:
        raise LookupError("the database returned no row")
    return found
