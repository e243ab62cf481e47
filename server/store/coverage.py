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
