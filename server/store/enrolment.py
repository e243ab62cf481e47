"""Tokens and requests of machines that want to be let in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID  # noqa: TC003 - class_row resolves the annotations

from psycopg.rows import class_row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from server.store.database import Connection

MAX_TOKENS = 1000
MAX_REQUESTS = 64
_LOCK_NUMBER = 0x57415443454E  # one enrolment at a time: names are judged, then taken

_COLUMNS_OF_TOKENS = (
    "id, secret, host, templates, groups, proxy_group, created_by, created_at, expires_at, revoked_at, used_at,"
    " used_by, used_address, used_key, digest, answer, expires_at <= now() AS is_expired"
)
_REQUEST_COLUMNS = (
    "id, key, digest, name, source, software, address, requested_at, seen_at, decided_at, decided_by, host,"
    " EXISTS (SELECT FROM host WHERE host.name = enrolment_request.name) AS is_known_host"
)
WIPE = """
UPDATE enrolment_token SET secret = NULL, answer = NULL
WHERE expires_at <= now() AND (secret IS NOT NULL OR answer IS NOT NULL)
"""
# What was decided, or is asked for no more, is forgotten after a day.
FORGET = "DELETE FROM enrolment_request WHERE seen_at < now() - interval '1 day'"
CREATE = """
INSERT INTO enrolment_token (id, secret, host, templates, groups, proxy_group, created_by, expires_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, now() + make_interval(secs => %s)) RETURNING expires_at
"""
FORGET_TOKENS = """
DELETE FROM enrolment_token WHERE id IN (
    SELECT id FROM enrolment_token WHERE secret IS NULL ORDER BY created_at DESC OFFSET %s
)
"""
CLAIM = """
UPDATE enrolment_token SET
    used_at = now(), used_by = %s, used_address = %s, used_key = %s, digest = %s, answer = %s, secret = NULL
WHERE id = %s AND used_at IS NULL AND revoked_at IS NULL AND expires_at > now()
"""
REVOKE = """
UPDATE enrolment_token SET revoked_at = now(), secret = NULL, answer = NULL WHERE id = %s AND revoked_at IS NULL
"""
ASK = """
INSERT INTO enrolment_request (key, digest, name, source, software, address) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (key) DO UPDATE SET seen_at = now()
WHERE enrolment_request.digest = excluded.digest
"""
DROP_OLDEST = """
DELETE FROM enrolment_request WHERE id IN (
    SELECT id FROM enrolment_request WHERE decided_at IS NULL ORDER BY seen_at DESC OFFSET %s
)
"""
DECIDE = """
UPDATE enrolment_request SET decided_at = now(), decided_by = %s, host = %s WHERE id = %s AND decided_at IS NULL
"""
OWNER = """
SELECT source.uuid, host.name FROM source LEFT JOIN host ON host.id = source.host_id WHERE source.uuid = %s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredToken:
    """A token. `secret` is there as long as it may be used; `answer` what its one use was answered with."""

    id: str
    secret: bytes | None = field(repr=False)
    host: str | None
    templates: list[str]
    groups: list[str]
    proxy_group: str
    created_by: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    used_at: datetime | None
    used_by: str | None
    used_address: str | None
    used_key: bytes | None
    digest: bytes | None
    answer: str | None
    is_expired: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRequest:
    """Somebody without a token. `host` is what it was approved as; decided without one means refused."""

    id: int
    key: bytes
    digest: bytes
    name: str
    source: UUID
    software: str
    address: str
    requested_at: datetime
    seen_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    host: str | None
    is_known_host: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenTerms:
    """What a token lets in: `host` None leaves the name to the newcomer, as long as no host is called so."""

    host: str | None
    templates: Sequence[str]
    groups: Sequence[str]
    proxy_group: str
    lifetime_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """The one use of a token."""

    name: str
    address: str
    key: bytes
    digest: bytes
    answer: str


async def lock_enrolment(connection: Connection) -> None:
    """Be the only one who lets anybody in until the transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK_NUMBER,))


async def wipe_expired(connection: Connection) -> None:
    """Forget the secrets and answers of tokens that expired, and requests nobody asks for any more."""
    await connection.execute(WIPE)
    await connection.execute(FORGET)


async def create_token(connection: Connection, token: str, secret: bytes, terms: TokenTerms, *, by: str) -> datetime:
    """Store a token and return when it expires; of those over and done with, the newest thousand are kept."""
    cursor = await connection.execute(
        CREATE,
        (
            token,
            secret,
            terms.host,
            list(terms.templates),
            list(terms.groups),
            terms.proxy_group,
            by,
            terms.lifetime_seconds,
        ),
    )
    row = await cursor.fetchone()
    await connection.execute(FORGET_TOKENS, (MAX_TOKENS,))
    assert row is not None  # noqa: S101 - an insert that returns always returns its row
    expires_at: datetime = row[0]
    return expires_at


async def find_token(connection: Connection, token: str) -> StoredToken | None:
    """Return a token by its id."""
    async with connection.cursor(row_factory=class_row(StoredToken)) as cursor:
        await cursor.execute(f"SELECT {_COLUMNS_OF_TOKENS} FROM enrolment_token WHERE id = %s", (token,))  # noqa: S608 - constants
        return await cursor.fetchone()


async def read_tokens(connection: Connection) -> list[StoredToken]:
    """Return all tokens, newest first."""
    async with connection.cursor(row_factory=class_row(StoredToken)) as cursor:
        await cursor.execute(f"SELECT {_COLUMNS_OF_TOKENS} FROM enrolment_token ORDER BY created_at DESC, id")  # noqa: S608 - constants
        return await cursor.fetchall()


async def claim_token(connection: Connection, token: str, use: Use) -> bool:
    """Use a token up and wipe its secret; False when it was used, revoked or expired before."""
    cursor = await connection.execute(CLAIM, (use.name, use.address, use.key, use.digest, use.answer, token))
    return cursor.rowcount == 1


async def revoke_token(connection: Connection, token: str) -> bool:
    """Make a token useless and wipe its secret; False when there is none, or it was revoked before."""
    return (await connection.execute(REVOKE, (token,))).rowcount == 1


async def note_request(connection: Connection, request: StoredRequest) -> bool:
    """Keep a request, or note that it was asked for again; False when its key asked for something else before."""
    cursor = await connection.execute(
        ASK, (request.key, request.digest, request.name, request.source, request.software, request.address)
    )
    return cursor.rowcount == 1


async def drop_oldest_requests(connection: Connection) -> int:
    """Drop the waiting requests that were asked for longest ago beyond MAX_REQUESTS; return how many."""
    return (await connection.execute(DROP_OLDEST, (MAX_REQUESTS,))).rowcount


async def find_request(
    connection: Connection, *, key: bytes | None = None, number: int | None = None
) -> StoredRequest | None:
    """Return a request by its key or its number."""
    async with connection.cursor(row_factory=class_row(StoredRequest)) as cursor:
        await cursor.execute(
            f"SELECT {_REQUEST_COLUMNS} FROM enrolment_request WHERE key = %s OR id = %s",  # noqa: S608 - constants
            (key, number),
        )
        return await cursor.fetchone()


async def read_requests(connection: Connection) -> list[StoredRequest]:
    """Return all requests, those not decided first, then the latest."""
    async with connection.cursor(row_factory=class_row(StoredRequest)) as cursor:
        await cursor.execute(
            f"SELECT {_REQUEST_COLUMNS} FROM enrolment_request ORDER BY decided_at IS NOT NULL, id DESC"  # noqa: S608 - constants
        )
        return await cursor.fetchall()


async def decide_request(connection: Connection, number: int, *, host: str | None, by: str) -> bool:
    """Approve a request as this host, or refuse it (None); False when it was decided before."""
    return (await connection.execute(DECIDE, (by, host, number))).rowcount == 1


async def host_of_source(connection: Connection, uuid: UUID) -> tuple[bool, str | None]:
    """Tell whether a source with this id is enrolled, and for which host."""
    row: tuple[Any, ...] | None = await (await connection.execute(OWNER, (uuid,))).fetchone()
    return (False, None) if row is None else (True, row[1])


async def has_host(connection: Connection, name: str) -> bool:
    """Tell whether a host of that name is known, by its values or by its definition."""
    row = await (
        await connection.execute(
            "SELECT EXISTS (SELECT FROM host WHERE name = %(name)s)"
            " OR EXISTS (SELECT FROM definition WHERE kind = 'host' AND name = %(name)s)",
            {"name": name},
        )
    ).fetchone()
    return row is not None and bool(row[0])
