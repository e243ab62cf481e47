"""The audit log: who did what to what, each row vouching for the one before it; only ever added to."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from psycopg import AsyncConnection

_AT_ONCE = 5000
_BEGINNING: Final = bytes(32)
# What the migration's trigger hashed, in its order; instants in microseconds, since text forms follow a session's zone.
_ROWS = """
SELECT id, link, hash, (extract(epoch FROM at) * 1000000)::bigint, actor, action, object, address, detail::text
FROM audit WHERE link > %s ORDER BY link LIMIT %s
"""
_LIST = """
SELECT id, at, actor, action, object, address, detail FROM audit
WHERE (%(before)s::int8 IS NULL OR id < %(before)s) AND (%(actor)s::text IS NULL OR actor = %(actor)s)
  AND (%(action)s::text IS NULL OR action = %(action)s OR starts_with(action, %(action)s || '.'))
  AND (%(object)s::text IS NULL OR strpos(lower(object), lower(%(object)s)) > 0)
ORDER BY id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One deed or refusal; `detail` may hold `before` and `after`."""

    id: int
    at: datetime
    actor: str
    action: str
    object: str
    address: str
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which entries, newest first. `action` "account" finds "account.create" too; `object` is a part of the text."""

    before_id: int | None = None
    actor: str | None = None
    action: str | None = None
    object: str | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainVerdict:
    """What a walk along the chain found. `broken_id` is the first row that does not fit, `reason` why.

    `head` is the hash of the last row that was right: kept elsewhere, it shows later whether the log was written anew.
    """

    rows: int
    head: str
    broken_id: int | None = None
    reason: str = ""


async def write_audit(
    connection: AsyncConnection[Any],
    *,
    actor: str,
    action: str,
    object_: str,
    address: str = "",
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Write down who did what to what, from where, within the caller's transaction if there is one.

    Write it last: until the transaction ends nobody else can write to the audit log.
    """
    await connection.execute(
        "INSERT INTO audit (actor, action, object, address, detail) VALUES (%s, %s, %s, %s, %s)",
        (actor, action, object_, address, Jsonb(dict(detail or {}))),
    )


async def read_audit(connection: AsyncConnection[Any], wanted: AuditFilter) -> list[AuditEntry]:
    """Return entries, newest first."""
    async with connection.cursor(row_factory=class_row(AuditEntry)) as cursor:
        await cursor.execute(
            _LIST,
            {
                "before": wanted.before_id,
                "actor": wanted.actor,
                "action": wanted.action,
                "object": wanted.object,
                "limit": wanted.limit,
            },
        )
        return await cursor.fetchall()


async def verify_audit(connection: AsyncConnection[Any], known_head: str = "") -> ChainVerdict:
    """Walk along the whole chain, within one transaction of the caller's, and compute every hash anew.

    `known_head`, kept from an earlier walk, has to be on the way: else the chain was written anew. The hashing is done
    here and not by the database's own function, which whoever changed the rows may have changed.
    """
    walked, before = 0, _BEGINNING
    is_known_passed = known_head in {"", before.hex()}
    while True:
        rows = await (await connection.execute(_ROWS, (walked, _AT_ONCE))).fetchall()
        for row_id, link, stored, *content in rows:
            if link != walked + 1:
                reason = f"the {link - walked - 1} rows before it are missing"
                return ChainVerdict(rows=walked, head=before.hex(), broken_id=row_id, reason=reason)
            expected = chained(before, [link, *content])
            if bytes(stored) != expected:
                reason = "its content, or that of the row before it, is not what was written"
                return ChainVerdict(rows=walked, head=before.hex(), broken_id=row_id, reason=reason)
            walked, before = link, expected
            is_known_passed = is_known_passed or expected.hex() == known_head
        if len(rows) < _AT_ONCE:
            break
    head = await (await connection.execute("SELECT link, hash FROM audit_head")).fetchone()
    if head is None or head[0] != walked or bytes(head[1]) != before:
        reason = f"rows are missing at the end: {walked} are there, {'?' if head is None else head[0]} were written"
        return ChainVerdict(rows=walked, head=before.hex(), broken_id=walked + 1, reason=reason)
    if not is_known_passed:
        return ChainVerdict(rows=walked, head=before.hex(), broken_id=0, reason="the known head is not in this log")
    return ChainVerdict(rows=walked, head=before.hex())


def chained(before: bytes, content: Iterable[object]) -> bytes:
    """Return the hash of a row's content over the hash of the row before it."""
    parts = [str(part) for part in content]
    text = ",".join(f"{len(part.encode())}:{part}" for part in parts)
    return hashlib.sha256(before + text.encode()).digest()
