"""A PostgreSQL database as a source: a dump of one snapshot, and what the database said of that snapshot.

The dump is pg_dump's directory format without compression, so that a file that did not change stays the same and what
changed makes a small delta; duplicity compresses. Rows are counted in the very snapshot the dump is of: a restore can
be held against them.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from backup.errors import SourceFailed
from backup.runtime.child import Program, run
from backup.sources.contract import Prepared
from backup.sources.postgresql.psql import client_environment, client_program, program_major, session
from core.model.things import readable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backup.settings.source import PostgresqlSettings
    from backup.sources.postgresql.psql import Psql

DUMP_FOLDER: Final = "database"
RECORD_FILE: Final = "consistency.json"
_LOCK_WAIT: Final = "60s"
_WORDS: Final = 600

_BEGIN: Final = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;"
_SITUATION: Final = """
SELECT pg_export_snapshot(), current_setting('server_version'), current_setting('server_version_num')::int / 10000,
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
       pg_current_snapshot(), pg_database_size(current_database()), current_setting('port')::int;
"""
# Tables of extensions are left out: pg_dump writes "CREATE EXTENSION" for them, not their rows.
_COUNTS: Final = r"""
SELECT format('SELECT %L, count(*) FROM ONLY %I.%I;', quote_ident(n.nspname) || '.' || quote_ident(c.relname),
              n.nspname, c.relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND c.relpersistence <> 't'
   AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
   AND NOT EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
 ORDER BY n.nspname, c.relname
\gexec
"""


class PostgresqlSource:
    """Dumps one database. It takes no lock but those of reading, and holds one snapshot as long as the dump takes."""

    kind = "postgresql"

    def __init__(self, settings: PostgresqlSettings, time_limit_seconds: float) -> None:
        self._settings = settings
        self._time_limit_seconds = time_limit_seconds

    @contextmanager
    def prepare(self, scratch: Path) -> Iterator[Prepared]:
        """Dump into `scratch`; the session and its snapshot are gone when duplicity begins to read."""
        deadline = time.monotonic() + self._time_limit_seconds
        record: dict[str, Any] = {"database": self._settings.database}
        with session(self._settings, self._time_limit_seconds) as psql:
            began = time.monotonic()
            record["taken_at"] = datetime.now(UTC).isoformat()
            psql.ask(_BEGIN)
            snapshot = _describe(psql, record)
            self._demand_new_enough(record["server_major"])
            locking = time.monotonic()
            self._dump(scratch / DUMP_FOLDER, snapshot, record["server_major"], deadline)
            if self._settings.count_rows:
                record["rows"] = count_rows(psql)
            record["snapshot_held_seconds"] = round(time.monotonic() - began, 3)
        # pg_dump's locks, and those of counting, are the lightest there are: they keep no row from being written, only
        # tables from being altered or emptied, from the first one's to the end of the session.
        record["commits_blocked_seconds"] = 0.0
        record["changes_of_tables_blocked_seconds"] = round(time.monotonic() - locking, 3)
        (scratch / RECORD_FILE).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        covers = {
            "engine": "postgresql",
            "port": record["server_port"],
            "databases": [readable(self._settings.database)],
        }
        yield Prepared(root=scratch, consistency=record, covers=covers)

    def _demand_new_enough(self, server_major: int) -> None:
        own = program_major(self._settings, "pg_dump", server_major)
        if own < server_major:
            raise SourceFailed(
                f"the server is PostgreSQL {server_major}, pg_dump is {own} and cannot read it; set `binaries` to a"
                f" folder with client programs of version {server_major} or newer"
            )

    def _dump(self, folder: Path, snapshot: str, server_major: int, deadline: float) -> None:
        # An archive is read by a pg_restore as new as the pg_dump that made it: of the server's own version where it is
        # here, so that those of the server's machine read it, without us too.
        arguments = [
            client_program(self._settings, "pg_dump", server_major),
            "--format=directory",
            "--compress=0",
            f"--file={folder}",
            f"--snapshot={snapshot}",
            f"--lock-wait-timeout={_LOCK_WAIT}",
            "--no-password",
        ]
        program = Program(
            arguments=arguments,
            environment=client_environment(self._settings),
            doing=f"dumping database {self._settings.database!r}",
        )
        try:
            ended = run(program, time_limit_seconds=max(1.0, deadline - time.monotonic()))
        except OSError as error:
            raise SourceFailed(f"pg_dump cannot be started: {error.strerror}") from error
        if ended.exit_code != 0:
            words = " ".join(ended.words.split())[-_WORDS:]
            raise SourceFailed(f"pg_dump ended with exit code {ended.exit_code}: {words or 'without a word'}")


def count_rows(psql: Psql) -> dict[str, int]:
    """Return how many rows each table has as the session sees it, by its quoted name. Raises SourceFailed."""
    try:
        return {name: int(count) for name, count in psql.ask(_COUNTS)}
    except ValueError as error:
        raise SourceFailed("a table has a tab or a line break in its name; set count_rows = false") from error


def _describe(psql: Psql, record: dict[str, Any]) -> str:
    """Put what the database says of the snapshot into `record`; return the snapshot's name."""
    rows = psql.ask(_SITUATION)
    if len(rows) != 1 or len(rows[0]) != 7:
        raise SourceFailed("the database's answer about its snapshot cannot be understood")
    name, version, major, lsn, transactions, size, port = rows[0]
    record |= {
        "server_version": version,
        "server_major": int(major),
        "server_port": int(port),
        "wal_lsn": lsn,
        "snapshot": transactions,
        "database_bytes": int(size),
    }
    return name
