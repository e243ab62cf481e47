"""Migrations: numbered SQL files, each run once, in order, in a transaction of its own, under one advisory lock.

Each file is safe beside the previous version's code, so a standby of the old version may go on reading.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from server.store.database import Database, watchdog
from server.store.errors import StoreError, translated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.store.database import Connection, DatabaseOptions

FOLDER = Path(__file__).parent / "migrations"
_LOCK_NUMBER = 0x57415443484B  # "WATCHK"
_log = logging.getLogger(__name__)

CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS migration (
    number     integer PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""
# Its setting shows that the server has loaded it; shared_preload_libraries is hidden from normal roles.
CAN_HAVE_TIMESCALE = """
SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')
   AND EXISTS (SELECT FROM pg_settings WHERE name = 'timescaledb.max_background_workers')
"""
MINIMUM_SERVER_VERSION = 150000


class MigrationError(StoreError):
    """The database and this version's migrations do not fit together; the message says how and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One numbered file; the checksum notices a file that was changed after it had been applied."""

    number: int
    name: str
    statements: str

    @property
    def checksum(self) -> str:
        """SHA-256 of the statements."""
        return hashlib.sha256(self.statements.encode()).hexdigest()


def read_migrations(folder: Path = FOLDER) -> list[Migration]:
    """Return the folder's migrations in order. Raises MigrationError when two have the same number."""
    found = [
        Migration(number=int(path.name[:4]), name=path.stem, statements=path.read_text(encoding="utf-8"))
        for path in sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    ]
    if len({each.number for each in found}) != len(found):
        raise MigrationError(f"two migrations in {folder} have the same number: {[each.name for each in found]}")
    return found


async def migrate(
    options: DatabaseOptions, migrations: Sequence[Migration] | None = None, timeout_seconds: float = 120.0
) -> list[str]:
    """Bring the database up to this version and return the names of what was applied.

    Several servers may call this at once: one works, the others wait and find it done. Uses TimescaleDB when the
    server has it loaded. Raises MigrationError, StoreAway.
    """
    wanted = read_migrations() if migrations is None else list(migrations)
    connection = await Database(options, purpose="migrate").dedicated()
    try:
        with translated(), watchdog(connection, timeout_seconds):
            if connection.info.server_version < MINIMUM_SERVER_VERSION:
                raise MigrationError(
                    f"the database is PostgreSQL {connection.info.server_version // 10000}; at least 15 is needed"
                )
            limit = f"{timeout_seconds * 1000:.0f}"
            await connection.execute("SELECT set_config('statement_timeout', %s, false)", (limit,))
            await connection.execute("SELECT set_config('lock_timeout', %s, false)", (limit,))
            await connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK_NUMBER,))
            return await _apply(connection, wanted)
    finally:
        await connection.close()


async def missing_migrations(connection: Connection, migrations: Sequence[Migration] | None = None) -> list[str]:
    """Return the names of what `migrate` would apply; changes nothing. Raises MigrationError as `migrate` would."""
    wanted = read_migrations() if migrations is None else list(migrations)
    row = await (await connection.execute("SELECT to_regclass('migration') IS NOT NULL")).fetchone()
    applied: list[tuple[Any, ...]] = []
    if row is not None and row[0]:
        applied = await (await connection.execute("SELECT number, name, checksum FROM migration")).fetchall()
    _check(applied, wanted)
    return [each.name for each in wanted if each.number not in {row[0] for row in applied}]


async def _apply(connection: Connection, wanted: Sequence[Migration]) -> list[str]:
    await connection.execute(CREATE_TABLE)
    cursor = await connection.execute("SELECT number, name, checksum FROM migration ORDER BY number")
    applied = await cursor.fetchall()
    _check(applied, wanted)
    if not applied:
        await _load_timescale(connection)
    fresh = [each for each in wanted if each.number not in {row[0] for row in applied}]
    for each in fresh:
        async with connection.transaction():
            await connection.execute(each.statements)
            await connection.execute(
                "INSERT INTO migration (number, name, checksum) VALUES (%s, %s, %s)",
                (each.number, each.name, each.checksum),
            )
        _log.info("a migration was applied", extra={"migration": each.name})
    return [each.name for each in fresh]


def _check(applied: Sequence[tuple[Any, ...]], wanted: Sequence[Migration]) -> None:
    known = {each.number: each for each in wanted}
    for number, name, checksum in applied:
        if number not in known:
            raise MigrationError(
                f"the database has migration {name}, which this version does not know: start the newer version"
            )
        if known[number].checksum != checksum:
            raise MigrationError(
                f"migration {name} was changed after it had been applied: restore the file; changes are new migrations"
            )
    numbers = {row[0] for row in applied}
    late = [each.name for each in wanted if numbers and each.number < max(numbers) and each.number not in numbers]
    if late:
        raise MigrationError(f"the database is past {late[0]} without having it: give that migration a new number")


async def _load_timescale(connection: Connection) -> None:
    row = await (await connection.execute(CAN_HAVE_TIMESCALE)).fetchone()
    if row is None or not row[0]:
        return
    try:
        await connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    except psycopg.errors.InsufficientPrivilege:
        _log.warning("TimescaleDB is loaded but this role may not create the extension; using plain partitions")
