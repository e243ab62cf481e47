"""Loads a restored PostgreSQL dump into an empty database, and compares the rows."""

from __future__ import annotations

import shlex
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from backup.errors import DestinationInUse, NotInBackup
from backup.loading.archive import load_archive
from backup.loading.postgresql_tables import demand_no_table, load_tables
from backup.loading.rows import judged
from backup.loading.table_of_contents import split_name
from backup.runtime.private_folder import temporary_file
from backup.settings.source import PostgresqlSettings
from backup.sources.postgresql.dump import DUMP_FOLDER, count_rows
from backup.sources.postgresql.psql import session
from core.model.counting import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from backup.model import Manifest
    from backup.sources.postgresql.psql import Psql

_HAS_TABLES = (
    "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r'"
    " AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_';"
)


def demand_room_for(dsn: str, tables: Sequence[str], time_limit_seconds: float) -> None:
    """Return when the database of `dsn` answers and is empty, or has none of these tables. Raises as the registry's."""
    with _logged_in(dsn) as settings, session(settings, time_limit_seconds) as psql:
        if not tables:
            _demand_empty(psql, settings.database)
        for name in tables:
            demand_no_table(psql, *split_name(name))


def load_dump(
    manifest: Manifest, restored: Path, dsn: str, time_limit_seconds: float, tables: Sequence[str] = ()
) -> dict[str, Any]:
    """Load the dump in `restored` into the empty database of `dsn`, or these tables of it. Raises as the registry's."""
    if tables:
        with _logged_in(dsn) as settings:
            return load_tables(manifest, _dump(restored), settings, tables, time_limit_seconds)
    found = load_restored(restored, dsn, time_limit_seconds)
    return judged(manifest, read_dsn(dsn)[0].database, found)


def load_restored(restored: Path, dsn: str, time_limit_seconds: float) -> dict[str, int]:
    """Load the dump in `restored` into the empty database of `dsn`; return the rows of each table.

    Raises NotInBackup, DestinationInUse, SourceFailed (the database does not answer), TimedOut.
    """
    dump = _dump(restored)
    with _logged_in(dsn) as settings:
        with session(settings, time_limit_seconds) as psql:
            _demand_empty(psql, settings.database)
        load_archive(settings, dump, (), time_limit_seconds=time_limit_seconds)
        with session(settings, time_limit_seconds) as psql:
            return count_rows(psql)


def _dump(restored: Path) -> Path:
    dump = restored / DUMP_FOLDER
    if not dump.is_dir():
        raise NotInBackup(f"{restored} holds no database dump")
    return dump


def _demand_empty(psql: Psql, database: str) -> None:
    tables = int(psql.ask(_HAS_TABLES)[0][0])
    if tables:
        raise DestinationInUse(
            f"the database {database!r} has {counted(tables, 'table')} already: make an empty one (createdb)"
        )


def read_dsn(dsn: str) -> tuple[PostgresqlSettings, str]:
    """Return settings and password of a connection string, a URL or "key=value …". Raises DestinationInUse."""
    try:
        if dsn.startswith(("postgresql://", "postgres://")):
            found = urlsplit(dsn)
            parts = {
                "host": found.hostname,
                "port": str(found.port) if found.port else None,
                "user": found.username,
                "password": found.password,
                "dbname": found.path.removeprefix("/"),
            }
            named = {name: unquote(value) for name, value in parts.items() if value}
        else:
            named = dict(part.split("=", 1) for part in shlex.split(dsn))
        settings = PostgresqlSettings(
            database=named["dbname"],
            host=named.get("host", "localhost"),
            port=int(named.get("port", "5432")),
            user=named.get("user", "postgres"),
        )
    except (ValueError, KeyError) as error:
        raise DestinationInUse(
            "the connection string cannot be read: expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        ) from error
    return settings, named.get("password", "")


@contextmanager
def _logged_in(dsn: str) -> Iterator[PostgresqlSettings]:
    """Yield settings whose password, if there is one, lies in a private file for as long as this lasts."""
    settings, password = read_dsn(dsn)
    if not password:
        yield settings
        return
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    with temporary_file(f"*:*:*:*:{escaped}\n") as file:
        yield replace(settings, passfile=file)
