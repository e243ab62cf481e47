"""Definitions as they are stored, and every change of them: who, when, by which way, before and after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from server.inventory.plan import StoredDefinition

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from psycopg import AsyncConnection

    from server.inventory.model import Key
    from server.inventory.plan import Action, Change, Via

CHANNEL = "definitions"
"""Every change is announced on this channel (NOTIFY) with its revision."""

_LOCK_NUMBER = 0x444546494E45  # "DEFINE"
LOCK = "SELECT pg_advisory_xact_lock(%s)"
SELECT = "SELECT kind, name, body, revision, via, changed_by, changed_at FROM definition"
SELECT_REVISION = "SELECT coalesce(max(revision), 0) FROM definition_change"
NEXT_REVISION = "SELECT nextval('definition_revision')"
INSERT_CHANGE = """
INSERT INTO definition_change (revision, action, kind, name, before, after, via, changed_by)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""
UPSERT = """
INSERT INTO definition (kind, name, body, revision, via, changed_by) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (kind, name) DO UPDATE SET body = excluded.body, revision = excluded.revision, via = excluded.via,
    changed_by = excluded.changed_by, changed_at = excluded.changed_at
"""
DELETE = "DELETE FROM definition WHERE kind = %s AND name = %s"
ENSURE_HOST = "INSERT INTO host (name) VALUES (%s) ON CONFLICT (name) DO NOTHING"
# The newest creation is the one of a definition's present life.
SELECT_FILE_MADE = """
SELECT kind, name FROM (
    SELECT DISTINCT ON (kind, name) kind, name, via FROM definition_change WHERE action = 'create'
    ORDER BY kind, name, id DESC) made
WHERE via = 'file'
"""
SELECT_CHANGES = """
SELECT id, revision, action, kind, name, before, after, via, changed_by, changed_at FROM definition_change
WHERE (%(kind)s::text IS NULL OR kind = %(kind)s) AND (%(name)s::text IS NULL OR name = %(name)s)
  AND (%(before)s::int8 IS NULL OR id < %(before)s)
ORDER BY id DESC LIMIT %(limit)s
"""
_HOSTS_ASKED_FOR = """
SELECT h.name FROM definition h WHERE h.kind = 'host' AND EXISTS (
    SELECT FROM definition t CROSS JOIN jsonb_array_elements(coalesce(t.body -> 'items', '[]')) AS i (item)
    WHERE t.kind = 'template' AND h.body -> 'templates' ? t.name AND i.item ->> 'probe' = %(probe)s)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who changes definitions, and by which way."""

    name: str
    via: Via


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedChange:
    """A change as it was made."""

    id: int
    revision: int
    action: Action
    kind: str
    name: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    via: Via
    changed_by: str
    changed_at: datetime


async def lock_definitions(connection: AsyncConnection[Any]) -> None:
    """Let nobody else change definitions until the caller's transaction ends; readers are not held up."""
    await connection.execute(LOCK, (_LOCK_NUMBER,))


async def read_definitions(connection: AsyncConnection[Any]) -> list[StoredDefinition]:
    """Return all definitions by kind and name."""
    async with connection.cursor(row_factory=class_row(StoredDefinition)) as cursor:
        return await (await cursor.execute(SELECT + " ORDER BY kind, name")).fetchall()


async def read_file_made(connection: AsyncConnection[Any]) -> frozenset[Key]:
    """Return the definitions that a file created, rather than changed: those a file may take away again."""
    rows = await (await connection.execute(SELECT_FILE_MADE)).fetchall()
    return frozenset((kind, name) for kind, name in rows)


async def read_telling(connection: AsyncConnection[Any], host: str | None) -> list[StoredDefinition]:
    """Return every receiver and escalation, and that one host."""
    wanted = " WHERE kind IN ('receiver', 'escalation') OR (kind = 'host' AND name = %s) ORDER BY kind, name"
    async with connection.cursor(row_factory=class_row(StoredDefinition)) as cursor:
        return await (await cursor.execute(SELECT + wanted, (host or "",))).fetchall()


async def read_keeping(connection: AsyncConnection[Any], host: str | None = None) -> list[StoredDefinition]:
    """Return every template and every host, or of the hosts only that one."""
    wanted = " WHERE kind = 'template' OR (kind = 'host' AND name = coalesce(%s, name)) ORDER BY kind, name"
    async with connection.cursor(row_factory=class_row(StoredDefinition)) as cursor:
        return await (await cursor.execute(SELECT + wanted, (host,))).fetchall()


async def read_protection(connection: AsyncConnection[Any]) -> list[StoredDefinition]:
    """Return every host and every waiver."""
    wanted = " WHERE kind IN ('host', 'waiver') ORDER BY kind, name"
    async with connection.cursor(row_factory=class_row(StoredDefinition)) as cursor:
        return await (await cursor.execute(SELECT + wanted)).fetchall()


async def read_limits(connection: AsyncConnection[Any]) -> list[StoredDefinition]:
    """Return every host and every limit."""
    wanted = " WHERE kind IN ('host', 'limit') ORDER BY kind, name"
    async with connection.cursor(row_factory=class_row(StoredDefinition)) as cursor:
        return await (await cursor.execute(SELECT + wanted)).fetchall()


async def read_hosts_asked_for(connection: AsyncConnection[Any], probe: str) -> frozenset[str]:
    """Return the hosts whose templates ask for a probe: what others say in its name nobody asked for."""
    cursor = await connection.execute(_HOSTS_ASKED_FOR, {"probe": probe})
    return frozenset(name for (name,) in await cursor.fetchall())


async def find_definition(connection: AsyncConnection[Any], kind: str, name: str) -> StoredDefinition | None:
    """Return one definition, or None."""
    async with connection.cursor(row_factory=class_row(StoredDefinition)) as cursor:
        return await (await cursor.execute(SELECT + " WHERE kind = %s AND name = %s", (kind, name))).fetchone()


async def read_revision(connection: AsyncConnection[Any]) -> int:
    """Return the number of the newest change; 0 before the first. What was read before it is out of date."""
    row = await (await connection.execute(SELECT_REVISION)).fetchone()
    return 0 if row is None else int(row[0])


async def write_changes(connection: AsyncConnection[Any], changes: Sequence[Change], author: Author) -> int:
    """Make the changes under one new revision and return it, within a transaction that holds the lock.

    A host that becomes defined gets its row among the hosts. One that is no longer defined keeps it, with its history.
    """
    row = await (await connection.execute(NEXT_REVISION)).fetchone()
    assert row is not None  # noqa: S101 - a sequence always answers
    revision = int(row[0])
    for change in changes:
        before, after = (None if body is None else Jsonb(body) for body in (change.before, change.after))
        key = (change.kind, change.name)
        await connection.execute(INSERT_CHANGE, (revision, change.action, *key, before, after, author.via, author.name))
        if after is None:
            await connection.execute(DELETE, key)
        else:
            await connection.execute(UPSERT, (*key, after, revision, author.via, author.name))
            if change.kind == "host":
                await connection.execute(ENSURE_HOST, (change.name,))
    await connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, str(revision)))
    return revision


async def read_changes(
    connection: AsyncConnection[Any],
    *,
    kind: str | None = None,
    name: str | None = None,
    before_id: int | None = None,
    limit: int = 100,
) -> list[RecordedChange]:
    """Return recorded changes, newest first; `before_id` goes on from a page."""
    parameters = {"kind": kind, "name": name, "before": before_id, "limit": limit}
    async with connection.cursor(row_factory=class_row(RecordedChange)) as cursor:
        return await (await cursor.execute(SELECT_CHANGES, parameters)).fetchall()
