"""Loads a restored PostgreSQL dump into an empty database, and compares the rows."""

from __future__ import annotations

import shlex
import tempfile
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from backup.child import Program, run
from backup.errors import DestinationInUse, NotInBackup
from backup.loading.postgresql_tables import load_tables
from backup.loading.rows import judged
from backup.settings.source import PostgresqlSettings
from backup.sources.postgresql import DUMP_FOLDER, count_rows
from backup.sources.psql import client_environment, client_program, session

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backup.model import Manifest

_WORDS = 1000
_HAS_TABLES = (
    "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r'"
    " AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_';"
)


def load_dump(
    manifest: Manifest, restored: Path, dsn: str, time_limit_seconds: float, tables: Sequence[str] = ()
) -> dict[str, Any]:
    """Load the dump in `restored` into the empty database of `dsn`, or these tables of it. Raises as the registry's."""
    if tables:
        with _logged_in(dsn) as settings:
            return load_tables(manifest, demand_dump(restored), settings, tables, time_limit_seconds)
    found = load_restored(restored, dsn, time_limit_seconds)
    return judged(manifest, read_dsn(dsn)[0].database, found)


def demand_dump(restored: Path) -> Path:
    """Return the dump's folder in what was restored. Raises NotInBackup."""
    dump = restored / DUMP_FOLDER
    if not dump.is_dir():
        raise NotInBackup(f"{restored} holds no database dump")
    return dump


def load_restored(restored: Path, dsn: str, time_limit_seconds: float) -> dict[str, int]:
    """Load the dump in `restored` into the empty database of `dsn`; return the rows of each table.

    Raises NotInBackup, DestinationInUse, TimedOut.
    """
    dump = demand_dump(restored)
    with _logged_in(dsn) as settings:
        with session(settings, time_limit_seconds) as psql:
            tables = int(psql.ask(_HAS_TABLES)[0][0])
        if tables:
            raise DestinationInUse(
                f"the database {settings.database!r} has {tables} tables already: make an empty one (createdb)"
            )
        load(settings, dump, time_limit_seconds)
        with session(settings, time_limit_seconds) as psql:
            return count_rows(psql)


def load(settings: PostgresqlSettings, dump: Path, time_limit_seconds: float) -> None:
    """Load a dump into a database, all of it. Raises DestinationInUse with pg_restore's words, TimedOut."""
    arguments = [
        client_program(settings, "pg_restore"),
        "--exit-on-error",
        "--no-owner",
        "--no-privileges",
        "--no-password",
        f"--dbname={_quoted(settings.database)}",
        str(dump),
    ]
    program = Program(
        arguments=arguments, environment=client_environment(settings), doing=f"loading into {settings.database!r}"
    )
    ended = run(program, time_limit_seconds=time_limit_seconds)
    if ended.exit_code != 0:
        words = " ".join(ended.words.split())[:_WORDS]
        raise DestinationInUse(f"pg_restore ended with exit code {ended.exit_code}: {words or 'without a word'}")


def _quoted(database: str) -> str:
    """Return a connection string that names a database, whatever its name looks like."""
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"


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
    with tempfile.NamedTemporaryFile("w", prefix="bkp-", suffix=".pgpass") as file:  # private: mode 600
        escaped = password.replace("\\", "\\\\").replace(":", "\\:")
        file.write(f"*:*:*:*:{escaped}\n")
        file.flush()
        yield replace(settings, passfile=Path(file.name))
