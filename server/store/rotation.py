"""Keys that are being replaced by new ones of the same holder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from uuid import UUID  # noqa: TC003 - class_row resolves the annotations

from psycopg.rows import class_row

from core.security.enrolment import fingerprint
from server.store.audit import write_audit
from server.store.peers import find_key

if TYPE_CHECKING:
    from server.store.database import Connection

MAX_OFFERS = 20
"""New keys a holder may offer for one old key: a holder gone mad fills no table."""

ASK = """
INSERT INTO key_rotation (old_key, asked_by) VALUES (%s, %s) ON CONFLICT (old_key) DO NOTHING
"""
SELECT_OPEN = """
SELECT r.old_key, n.key AS new_key, CASE WHEN n.key IS NULL THEN r.new_key END AS refused_key, s.uuid AS source
FROM key_rotation r
JOIN peer_key o ON o.key = r.old_key AND o.revoked_at IS NULL
JOIN source s ON s.id = o.source_id
LEFT JOIN peer_key n ON n.key = r.new_key AND n.revoked_at IS NULL
WHERE r.done_at IS NULL
"""
LOCK_OPEN = "SELECT new_key, offers FROM key_rotation WHERE old_key = %s AND done_at IS NULL FOR UPDATE"
REVOKE = "UPDATE peer_key SET revoked_at = now() WHERE key = %s AND revoked_at IS NULL"
SUCCEED = """
INSERT INTO peer_key (key, role, name, source_id, group_id)
SELECT %s, role, name, source_id, group_id FROM peer_key WHERE key = %s
"""
NOTE_OFFER = "UPDATE key_rotation SET new_key = %s, offered_at = now(), offers = offers + 1 WHERE old_key = %s"
FINISH = "UPDATE key_rotation SET done_at = now() WHERE old_key = %s AND new_key = %s AND done_at IS NULL"

Asked = Literal["asked", "asked_before", "unknown", "revoked", "no_agent"]
Offered = Literal["accepted", "accepted_before", "not_asked", "too_many", "known"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """A key to be replaced. `new_key` is accepted beside the old one, `refused_key` was offered and revoked since."""

    old_key: bytes
    new_key: bytes | None
    refused_key: bytes | None
    source: UUID


async def ask_rotation(connection: Connection, key: bytes, *, by: str, address: str = "") -> Asked:
    """Ask that an agent's key be replaced, within the caller's transaction; say what came of it."""
    known = await find_key(connection, key)
    if known is None:
        return "unknown"
    if known.revoked_at is not None:
        return "revoked"
    if known.role != "agent" or known.source_id is None:
        return "no_agent"
    if (await connection.execute(ASK, (key, by))).rowcount == 0:
        return "asked_before"
    await write_audit(
        connection, actor=by, action="key.rotate", object_=known.name, address=address, detail={"key": fingerprint(key)}
    )
    return "asked"


async def read_rotations(connection: Connection) -> list[Rotation]:
    """Return the replacements under way, of keys that are not revoked."""
    async with connection.cursor(row_factory=class_row(Rotation)) as cursor:
        return await (await cursor.execute(SELECT_OPEN)).fetchall()


async def accept_offer(connection: Connection, old: bytes, new: bytes) -> Offered:
    """Accept a holder's new key beside the old one, within the caller's transaction; an earlier offer is revoked."""
    row = await (await connection.execute(LOCK_OPEN, (old,))).fetchone()
    holder = await find_key(connection, old)
    if row is None or holder is None or holder.revoked_at is not None:
        return "not_asked"
    before, offers = row
    known = await find_key(connection, new)
    if known is not None:
        return "accepted_before" if before == new and known.revoked_at is None else "known"
    if offers >= MAX_OFFERS:
        return "too_many"
    if before is not None:
        await connection.execute(REVOKE, (before,))
    await connection.execute(SUCCEED, (new, old))
    await connection.execute(NOTE_OFFER, (new, old))
    await write_audit(
        connection, actor=holder.name, action="key.offer", object_=holder.name,
        detail={"old": fingerprint(old), "new": fingerprint(new)},
    )  # fmt: skip
    return "accepted"


async def finish_rotation(connection: Connection, old: bytes, new: bytes) -> bool:
    """Revoke the old key, since its holder uses the new one; False when that was done before."""
    if (await connection.execute(FINISH, (old, new))).rowcount == 0:
        return False
    await connection.execute(REVOKE, (old,))
    holder = await find_key(connection, new)
    await write_audit(
        connection, actor="watchkeep", action="key.rotated", object_="" if holder is None else holder.name,
        detail={"old": fingerprint(old), "new": fingerprint(new)},
    )  # fmt: skip
    return True
