"""Tokens of programs: made, found, listed, ended. A token leaves here once; what is kept is its hash."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from server.store.accounts import Visitor, as_groups, hash_token
from server.store.audit import write_audit
from server.store.roles import common_groups, lesser_role

if TYPE_CHECKING:
    from datetime import datetime

    from server.store.database import Database
    from server.store.roles import Groups

PREFIX: Final = "wk_"
MAX_TOKENS: Final = 100
"""Of one account."""
# How stale last_used_at may be: one write a minute at most, however fast a program asks.
_USED_EVERY_SECONDS: Final = 60
_SELECT = """
SELECT t.id, t.name, a.name, t.role, t.groups, t.created_at, t.expires_at, t.last_used_at, t.last_address,
       t.expires_at <= now(), a.role, a.groups
FROM api_token t JOIN account a ON a.id = t.account_id
"""


class TokenRefused(Exception):
    """The token cannot be made as asked; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token that shall be; without `expires_at` it holds until it is revoked."""

    name: str
    role: str
    groups: Groups
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token as it is kept; `role` and `groups` are what it may do now: its own, cut to its owner's."""

    id: int
    name: str
    owner: str
    role: str
    groups: Groups
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    last_address: str | None
    is_expired: bool

    def to_json(self) -> dict[str, Any]:
        """Return what the audit log keeps of it."""
        groups = None if self.groups is None else sorted(self.groups)
        expires_at = None if self.expires_at is None else self.expires_at.isoformat()
        return {"name": self.name, "owner": self.owner, "role": self.role, "groups": groups, "expires_at": expires_at}


class Tokens:
    """Reads and writes tokens, with the audit log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, owner: str, wanted: NewToken, *, by: str, address: str) -> tuple[str, Token]:
        """Make a token of an account and return it, which is not kept here, and what is kept.

        Whether it is within the owner's role and groups is the caller's to judge; it can never do more than the owner
        anyway. Raises TokenRefused when the account is gone, has a token of that name, or has too many.
        """
        secret = PREFIX + secrets.token_urlsafe(32)
        async with self._database.connection() as connection, connection.transaction():
            row = await (
                await connection.execute("SELECT id FROM account WHERE name = %s FOR UPDATE", (owner,))
            ).fetchone()
            if row is None:
                raise TokenRefused(f"there is no user {owner!r}")
            cursor = await connection.execute("SELECT name FROM api_token WHERE account_id = %s", (row[0],))
            names = {name for (name,) in await cursor.fetchall()}
            if wanted.name in names:
                raise TokenRefused(f"{owner} has a token {wanted.name!r} already: choose another name, or revoke it")
            if len(names) >= MAX_TOKENS:
                raise TokenRefused(f"{owner} has {MAX_TOKENS} tokens already: revoke some")
            groups = None if wanted.groups is None else sorted(wanted.groups)
            cursor = await connection.execute(
                "INSERT INTO api_token (account_id, name, token_hash, role, groups, expires_at)"
                " VALUES (%s, %s, %s, %s, %s, %s) RETURNING id",
                (row[0], wanted.name, hash_token(secret), wanted.role, groups, wanted.expires_at),
            )
            (token_id,) = await cursor.fetchone() or (0,)
            found = _read(await (await connection.execute(_SELECT + " WHERE t.id = %s", (token_id,))).fetchone())
            await write_audit(
                connection,
                actor=by,
                action="token.create",
                object_=f"{owner}/{wanted.name}",
                address=address,
                detail={"id": token_id, "before": None, "after": found.to_json()},
            )
        return secret, found

    async def list(self, owner: str | None = None) -> list[Token]:
        """Return an account's tokens, or all, by owner and name; those whose time is over too."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                _SELECT + " WHERE %(owner)s::text IS NULL OR a.name = %(owner)s ORDER BY a.name, t.name",
                {"owner": owner},
            )
            return [_read(row) for row in await cursor.fetchall()]

    async def revoke(self, token_id: int, *, owner: str | None = None, by: str, address: str) -> bool:
        """End a token at once; with `owner` only one of that account's. False when there is none."""
        async with self._database.connection() as connection, connection.transaction():
            cursor = await connection.execute(
                _SELECT + " WHERE t.id = %(id)s AND (%(owner)s::text IS NULL OR a.name = %(owner)s) FOR UPDATE OF t",
                {"id": token_id, "owner": owner},
            )
            row = await cursor.fetchone()
            if row is None:
                return False
            token = _read(row)
            await connection.execute("DELETE FROM api_token WHERE id = %s", (token_id,))
            await write_audit(
                connection,
                actor=by,
                action="token.revoke",
                object_=f"{token.owner}/{token.name}",
                address=address,
                detail={"id": token_id, "before": token.to_json(), "after": None},
            )
            return True

    async def find_visitor(self, secret: str, *, address: str) -> Visitor | None:
        """Return for whom the token speaks and what it may do now; None when it is unknown, expired or revoked."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                "SELECT t.id, t.role, t.groups, t.expires_at, a.id, a.name, a.full_name, a.role, a.groups,"
                " coalesce(now() - last_used_at > make_interval(secs => %s), true)"
                " FROM api_token t JOIN account a ON a.id = t.account_id"
                " WHERE token_hash = %s AND (expires_at IS NULL OR expires_at > now())",
                (_USED_EVERY_SECONDS, hash_token(secret)),
            )
            row = await cursor.fetchone()
            if row is None:
                return None
            if row[9]:
                await connection.execute(
                    "UPDATE api_token SET last_used_at = now(), last_address = %s WHERE id = %s", (address, row[0])
                )
        return Visitor(
            user=row[5],
            role=lesser_role(row[1], row[7]),
            expires_at=row[3],
            account_id=row[4],
            groups=common_groups(as_groups(row[2]), as_groups(row[8])),
            full_name=row[6],
            token_id=row[0],
        )


def _read(row: tuple[Any, ...] | None) -> Token:
    if row is None:
        raise LookupError("the database returned no row")
    return Token(
        id=row[0],
        name=row[1],
        owner=row[2],
        role=lesser_role(row[3], row[10]),
        groups=common_groups(as_groups(row[4]), as_groups(row[11])),
        created_at=row[5],
        expires_at=row[6],
        last_used_at=row[7],
        last_address=row[8],
        is_expired=bool(row[9]),
    )
