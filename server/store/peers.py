"""Sources, keys, proxy groups and assignments: who may speak, and for whom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID  # noqa: TC003 - class_row and dataclass fields resolve it

from psycopg.rows import class_row

from core.security.poller import poller_source

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from psycopg import AsyncConnection

ENSURE_SOURCE = """
INSERT INTO source (uuid, name, host_id) VALUES (%s, %s, %s)
ON CONFLICT (uuid) DO UPDATE SET name = excluded.name, host_id = coalesce(excluded.host_id, source.host_id)
RETURNING id, uuid, name, host_id
"""
_SELECT_KEY = """
SELECT k.key, k.role, k.name, k.source_id, s.uuid AS source_uuid, k.group_id, k.revoked_at
FROM peer_key k LEFT JOIN source s ON s.id = k.source_id
"""
SELECT_KEY = _SELECT_KEY + "WHERE k.key = %s"
SELECT_KEYS = _SELECT_KEY + "ORDER BY k.created_at, k.key"
ADD_KEY = """
INSERT INTO peer_key (key, role, name, source_id, group_id) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (key) DO UPDATE SET
    role = excluded.role, name = excluded.name, source_id = excluded.source_id, group_id = excluded.group_id
WHERE peer_key.revoked_at IS NULL
"""
REVOKE = """
UPDATE peer_key SET revoked_at = now() WHERE revoked_at IS NULL AND (
    key = %s OR key = (SELECT new_key FROM key_rotation WHERE old_key = %s AND done_at IS NULL)
)
"""
ENSURE_GROUP = """
INSERT INTO proxy_group (name) VALUES (%s) ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id
"""
RELEASE = """
UPDATE source_assignment SET released_at = now() WHERE source_id = %s AND group_id <> %s AND released_at IS NULL
"""
ASSIGN = """
INSERT INTO source_assignment (source_id, group_id) VALUES (%s, %s)
ON CONFLICT (source_id, group_id) WHERE released_at IS NULL DO NOTHING
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What numbers its own records; `host_id` is its own host, None for a poller."""

    id: int
    uuid: UUID
    name: str
    host_id: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerKey:
    """A CURVE public key (32 bytes) and who speaks with it; `source_*` for an agent, `group_id` for a proxy."""

    key: bytes
    role: str
    name: str
    source_id: int | None
    source_uuid: UUID | None
    group_id: int | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A time during which a group's proxies may relay a source; `released_at` None: still."""

    source_id: int
    group_id: int
    assigned_at: datetime
    released_at: datetime | None


async def ensure_source(connection: AsyncConnection[Any], uuid: UUID, name: str, host_id: int | None) -> Source:
    """Return the source of this id, made when missing, its name and host brought up to date."""
    async with connection.cursor(row_factory=class_row(Source)) as cursor:
        await cursor.execute(ENSURE_SOURCE, (uuid, name, host_id))
        row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - an upsert that returns always returns its row
    return row


async def read_sources(connection: AsyncConnection[Any]) -> list[Source]:
    """Return all sources by id."""
    async with connection.cursor(row_factory=class_row(Source)) as cursor:
        return await (await cursor.execute("SELECT id, uuid, name, host_id FROM source ORDER BY id")).fetchall()


async def add_key(connection: AsyncConnection[Any], key: PeerKey) -> bool:
    """Accept a key, or bring it up to date. False: the key was revoked, and a revoked key never comes back.

    With a proxy's key comes the source of its poller, which the proxy's group may relay.
    """
    cursor = await connection.execute(ADD_KEY, (key.key, key.role, key.name, key.source_id, key.group_id))
    if cursor.rowcount != 1:
        return False
    if key.role == "proxy" and key.group_id is not None:
        poller = await ensure_source(connection, poller_source(key.key), key.name, None)
        await assign_source(connection, poller.id, key.group_id)
    return True


async def revoke_key(connection: AsyncConnection[Any], key: bytes) -> bool:
    """Revoke a key for ever, and one that was to replace it; False when it is unknown or was revoked before."""
    cursor = await connection.execute(REVOKE, (key, key))
    return cursor.rowcount > 0


async def find_key(connection: AsyncConnection[Any], key: bytes) -> PeerKey | None:
    """Return one key, revoked or not; None when it was never allowed."""
    async with connection.cursor(row_factory=class_row(PeerKey)) as cursor:
        await cursor.execute(SELECT_KEY, (key,))
        return await cursor.fetchone()


async def read_keys(connection: AsyncConnection[Any]) -> list[PeerKey]:
    """Return all keys, revoked ones too, oldest first."""
    async with connection.cursor(row_factory=class_row(PeerKey)) as cursor:
        return await (await cursor.execute(SELECT_KEYS)).fetchall()


async def ensure_group(connection: AsyncConnection[Any], name: str) -> int:
    """Return the id of the proxy group of this name, made when missing."""
    row = await (await connection.execute(ENSURE_GROUP, (name,))).fetchone()
    assert row is not None  # noqa: S101 - an upsert that returns always returns its row
    return int(row[0])


async def read_groups(connection: AsyncConnection[Any]) -> dict[str, int]:
    """Return the ids of all proxy groups by name."""
    return dict(await (await connection.execute("SELECT name, id FROM proxy_group")).fetchall())


async def assign_source(connection: AsyncConnection[Any], source_id: int, group_id: int) -> None:
    """Let this group, and from now on no other, relay the source; what other groups hold from before stays theirs."""
    await connection.execute(RELEASE, (source_id, group_id))
    await connection.execute(ASSIGN, (source_id, group_id))


async def read_assignments(connection: AsyncConnection[Any]) -> Sequence[Assignment]:
    """Return all assignments, past ones too, by source and time."""
    async with connection.cursor(row_factory=class_row(Assignment)) as cursor:
        return await (
            await cursor.execute(
                "SELECT source_id, group_id, assigned_at, released_at FROM source_assignment ORDER BY source_id, id"
            )
        ).fetchall()
