"""Named settings that servers, page and commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.store.database import Connection

WRITE = """
INSERT INTO setting (name, value, changed_by, changed_at) VALUES (%s, %s, %s, now())
ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_by = excluded.changed_by, changed_at = now()
"""


async def write_setting(connection: Connection, name: str, value: Mapping[str, Any], *, by: str) -> None:
    """Make a setting say this."""
    await connection.execute(WRITE, (name, Jsonb(dict(value)), by))


async def read_setting(connection: Connection, name: str) -> Any:
    """Return a setting; None when there is none."""
    row = await (await connection.execute("SELECT value FROM setting WHERE name = %s", (name,))).fetchone()
    return None if row is None else row[0]


async def remove_setting(connection: Connection, name: str) -> None:
    """Forget a setting."""
    await connection.execute("DELETE FROM setting WHERE name = %s", (name,))
