"""Host groups: which hosts are in them, by the hosts' definitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

    from psycopg import AsyncConnection

_HOSTS_IN = "SELECT name FROM definition WHERE kind = 'host' AND body -> 'groups' ?| %s::text[]"
_GROUPS = """
SELECT g.name, array_agg(d.name ORDER BY d.name)
FROM definition d CROSS JOIN LATERAL jsonb_array_elements_text(d.body -> 'groups') AS g (name)
WHERE d.kind = 'host' AND (%(only)s::text[] IS NULL OR g.name = ANY (%(only)s::text[]))
GROUP BY g.name ORDER BY g.name
"""


async def read_hosts_in(connection: AsyncConnection[Any], groups: Collection[str]) -> frozenset[str]:
    """Return the names of the hosts that are in at least one of the groups; undefined hosts are in none."""
    rows = await (await connection.execute(_HOSTS_IN, (list(groups),))).fetchall()
    return frozenset(name for (name,) in rows)


async def read_groups(
    connection: AsyncConnection[Any], only: Collection[str] | None = None
) -> list[tuple[str, list[str]]]:
    """Return groups by name, each with its hosts' names: all groups that have hosts, or those of `only` that have."""
    parameters = {"only": None if only is None else list(only)}
    return await (await connection.execute(_GROUPS, parameters)).fetchall()
