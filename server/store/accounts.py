"""Signing in: accounts and their sessions. Passwords arrive here hashed, session tokens leave here once."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from server.store.audit import write_audit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from server.store.database import Database
    from server.store.roles import Groups

# How stale session.seen_at may be: one write a minute at most, however fast the page asks.
_SEEN_EVERY_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Somebody who may sign in."""

    id: int
    name: str
    role: str
    groups: Groups
    full_name: str
    password_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Whose live session or token a request carries, and what it may do now.

    `groups` are the host groups he is restricted to, None for every host. `token_id` is None for a session.
    """

    user: str
    role: str
    expires_at: datetime | None
    account_id: int
    groups: Groups = None
    full_name: str = ""
    token_id: int | None = None


class Accounts:
    """Reads and writes accounts, sessions and the audit log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def has_accounts(self) -> bool:
        """Tell whether anybody may sign in at all."""
        async with self._database.connection() as connection:
            cursor = await connection.execute("SELECT EXISTS (SELECT FROM account)")
            return bool(_only(await cursor.fetchone())[0])

    async def create_first(self, name: str, password_hash: str, *, role: str) -> bool:
        """Create the first account; False when there is one already, also when another server is creating it now."""
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute("LOCK TABLE account IN SHARE ROW EXCLUSIVE MODE")
            cursor = await connection.execute(
                "INSERT INTO account (name, role, password_hash) SELECT %s, %s, %s"
                " WHERE NOT EXISTS (SELECT FROM account) RETURNING id",
                (name, role, password_hash),
            )
            is_created = await cursor.fetchone() is not None
            if is_created:
                await write_audit(
                    connection,
                    actor="watchkeep",
                    action="account.create",
                    object_=name,
                    address="",
                    detail={"role": role},
                )
            return is_created

    async def find_account(self, name: str) -> Account | None:
        """Return the account of that exact name, or None."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                "SELECT id, name, role, groups, full_name, password_hash FROM account WHERE name = %s", (name,)
            )
            row = await cursor.fetchone()
        if row is None:
            return None
        return Account(
            id=row[0],
            name=row[1],
            role=row[2],
            groups=as_groups(row[3]),
            full_name=row[4],
            password_hash=row[5],
        )

    async def renew_hash(self, account_id: int, before: str, after: str) -> None:
        """Replace a hash by one of the same password under newer parameters, unless it changed meanwhile."""
        async with self._database.connection() as connection:
            await connection.execute(
                "UPDATE account SET password_hash = %s WHERE id = %s AND password_hash = %s",
                (after, account_id, before),
            )

    async def set_password(
        self, name: str, password_hash: str, *, by: str, address: str = "", keep_session: str = ""
    ) -> int:
        """Set the password and end the account's sessions, in one transaction; return how many ended.

        The session whose token is `keep_session` goes on. Tokens of programs have no password and go on too. Raises
        LookupError when there is no such account.
        """
        async with self._database.connection() as connection, connection.transaction():
            cursor = await connection.execute(
                "UPDATE account SET password_hash = %s, changed_at = now() WHERE name = %s RETURNING id",
                (password_hash, name),
            )
            row = await cursor.fetchone()
            if row is None:
                raise LookupError(f"there is no user {name!r}")
            cursor = await connection.execute(
                "DELETE FROM session WHERE account_id = %s AND token_hash <> %s", (row[0], hash_token(keep_session))
            )
            await write_audit(
                connection,
                actor=by,
                action="account.password",
                object_=name,
                address=address,
                detail={"sessions_ended": cursor.rowcount},
            )
            return cursor.rowcount

    async def open_session(
        self, account: Account, *, address: str, program: str, seconds: int, idle_seconds: int
    ) -> tuple[str, Visitor]:
        """Open a session and return its token, which is not kept here, and the visitor; sweep expired sessions."""
        token = secrets.token_urlsafe(32)
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute("DELETE FROM session WHERE expires_at < now() OR seen_at + idle < now()")
            cursor = await connection.execute(
                "INSERT INTO session (token_hash, account_id, idle, expires_at, address, program)"
                " VALUES (%s, %s, make_interval(secs => %s), now() + make_interval(secs => %s), %s, %s)"
                " RETURNING expires_at",
                (hash_token(token), account.id, idle_seconds, seconds, address, program),
            )
            expires_at = _only(await cursor.fetchone())[0]
            await write_audit(
                connection,
                actor=account.name,
                action="session.open",
                object_=account.name,
                address=address,
                detail={"program": program},
            )
        return token, Visitor(
            user=account.name,
            role=account.role,
            expires_at=expires_at,
            account_id=account.id,
            groups=account.groups,
            full_name=account.full_name,
        )

    async def find_visitor(self, token: str) -> Visitor | None:
        """Return whose session the token opens, or None when it is unknown, expired, idle too long or revoked."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                "SELECT account.name, account.role, expires_at, account.id, account.groups, account.full_name,"
                " now() - seen_at > make_interval(secs => %s)"
                " FROM session JOIN account ON account.id = account_id"
                " WHERE token_hash = %s AND expires_at > now() AND seen_at + idle > now()",
                (_SEEN_EVERY_SECONDS, hash_token(token)),
            )
            row = await cursor.fetchone()
            if row is None:
                return None
            if row[6]:
                await connection.execute(
                    "UPDATE session SET seen_at = now() WHERE token_hash = %s", (hash_token(token),)
                )
        return Visitor(
            user=row[0],
            role=row[1],
            expires_at=row[2],
            account_id=row[3],
            groups=as_groups(row[4]),
            full_name=row[5],
        )

    async def close_session(self, token: str, *, address: str) -> None:
        """End a session; nothing happens when it is over already."""
        async with self._database.connection() as connection, connection.transaction():
            cursor = await connection.execute(
                "DELETE FROM session USING account WHERE token_hash = %s AND account.id = account_id"
                " RETURNING account.name",
                (hash_token(token),),
            )
            row = await cursor.fetchone()
            if row is not None:
                await write_audit(
                    connection, actor=row[0], action="session.close", object_=row[0], address=address, detail={}
                )

    async def audit(
        self, *, actor: str, action: str, object_: str, address: str, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Write down who did what to what, from where."""
        async with self._database.connection() as connection:
            await write_audit(connection, actor=actor, action=action, object_=object_, address=address, detail=detail)


def as_groups(column: list[str] | None) -> Groups:
    """Read a column of groups; NULL is no restriction."""
    return None if column is None else frozenset(column)


def hash_token(token: str) -> bytes:
    """Return what is stored of a token. SHA-256 is enough: nobody guesses its 256 random bits from the hash."""
    return hashlib.sha256(token.encode()).digest()


def _only(row: tuple[Any, ...] | None) -> tuple[Any, ...]:
    if row is None:
        raise LookupError("the database returned no row")
    return row
