"""Users as administrators see them; each change stands in the audit log with before and after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row

from server.store.audit import write_audit

if TYPE_CHECKING:
    from datetime import datetime

    from server.store.database import Connection, Database

_SELECT = """
SELECT a.id, a.name, a.full_name, a.role, a.groups, a.created_at,
       (SELECT max(seen_at) FROM session s WHERE s.account_id = a.id) AS seen_at,
       (SELECT count(*) FROM session s WHERE s.account_id = a.id AND expires_at > now() AND seen_at + idle > now())
           AS sessions,
       (SELECT count(*) FROM api_token t WHERE t.account_id = a.id AND (expires_at IS NULL OR expires_at > now()))
           AS tokens
FROM account a
"""
# Whoever changes who is an administrator does it after everybody else who does: otherwise two at once could each leave
# the other as the last, and remove both.
_LOCK = "LOCK TABLE account IN SHARE ROW EXCLUSIVE MODE"


class UserExists(Exception):
    """The name is taken."""


class LastAdministrator(Exception):
    """Without this user nobody could administer any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class By:
    """Who changes users, and from where."""

    name: str
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What an administrator says about a user; `groups` None: every host."""

    role: str
    groups: tuple[str, ...] | None = None
    full_name: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return what the audit log keeps."""
        groups = None if self.groups is None else sorted(self.groups)
        return {"role": self.role, "groups": groups, "full_name": self.full_name}


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user as stored, with how many sessions and tokens are live, and when a live session was last used."""

    id: int
    name: str
    full_name: str
    role: str
    groups: list[str] | None
    created_at: datetime
    seen_at: datetime | None
    sessions: int
    tokens: int

    @property
    def terms(self) -> Terms:
        """What an administrator said about him."""
        groups = None if self.groups is None else tuple(self.groups)
        return Terms(role=self.role, groups=groups, full_name=self.full_name)


class Users:
    """Reads and changes users; sessions and tokens follow what is changed from their next request on."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self) -> list[User]:
        """Return all users by name."""
        async with self._database.connection() as connection, connection.cursor(row_factory=class_row(User)) as cursor:
            return await (await cursor.execute(_SELECT + " ORDER BY a.name")).fetchall()

    async def find(self, name: str) -> User | None:
        """Return the user of that exact name, or None."""
        async with self._database.connection() as connection:
            return await _find(connection, name)

    async def create(self, name: str, terms: Terms, password_hash: str, *, by: By) -> User:
        """Make a user. Raises UserExists."""
        async with self._database.connection() as connection, connection.transaction():
            cursor = await connection.execute(
                "INSERT INTO account (name, full_name, role, groups, password_hash) VALUES (%s, %s, %s, %s, %s)"
                " ON CONFLICT (name) DO NOTHING",
                (name, terms.full_name, terms.role, _column(terms), password_hash),
            )
            if cursor.rowcount == 0:
                raise UserExists(f"there is a user {name!r} already")
            detail = {"before": None, "after": terms.to_json()}
            await _note(connection, by, "account.create", name, detail)
            return _there(await _find(connection, name))

    async def change(self, name: str, terms: Terms, *, by: By) -> User | None:
        """Make a user's role, groups and full name be these; None when there is no such user.

        Nothing is written when they are already. Raises LastAdministrator.
        """
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute(_LOCK)
            found = await _find(connection, name)
            if found is None:
                return None
            if found.terms.to_json() == terms.to_json():
                return found
            if terms.role != "administrator":
                await _keep_an_administrator(connection, found)
            await connection.execute(
                "UPDATE account SET role = %s, groups = %s, full_name = %s, changed_at = now() WHERE id = %s",
                (terms.role, _column(terms), terms.full_name, found.id),
            )
            detail = {"before": found.terms.to_json(), "after": terms.to_json()}
            await _note(connection, by, "account.change", name, detail)
            return await _find(connection, name)

    async def remove(self, name: str, *, by: By) -> bool:
        """Remove a user with his sessions and tokens; False when there is none. Raises LastAdministrator."""
        async with self._database.connection() as connection, connection.transaction():
            await connection.execute(_LOCK)
            found = await _find(connection, name)
            if found is None:
                return False
            await _keep_an_administrator(connection, found)
            await connection.execute("DELETE FROM account WHERE id = %s", (found.id,))
            detail = {"before": found.terms.to_json(), "after": None}
            await _note(connection, by, "account.remove", name, detail)
            return True


async def _keep_an_administrator(connection: Connection, going: User) -> None:
    if going.role != "administrator":
        return
    cursor = await connection.execute(
        "SELECT EXISTS (SELECT FROM account WHERE role = 'administrator' AND id <> %s)", (going.id,)
    )
    if await cursor.fetchone() != (True,):
        raise LastAdministrator(f"{going.name!r} is the last administrator: make another one first")


async def _find(connection: Connection, name: str) -> User | None:
    async with connection.cursor(row_factory=class_row(User)) as cursor:
        return await (await cursor.execute(_SELECT + " WHERE a.name = %s", (name,))).fetchone()


async def _note(connection: Connection, by: By, action: str, name: str, detail: dict[str, Any]) -> None:
    await write_audit(connection, actor=by.name, action=action, object_=name, address=by.address, detail=detail)


def _column(terms: Terms) -> list[str] | None:
    return None if terms.groups is None else sorted(set(terms.groups))


def _there(found: User | None) -> User:
    if found is None:
        raise LookupError("the database returned no row")
    return found
