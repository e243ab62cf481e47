"""Loads single tables of a restored PostgreSQL dump into a database that has none of that name."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any

from backup.child import Program, run
from backup.errors import DestinationInUse, NotInBackup
from backup.loading.rows import compare_rows
from backup.loading.table_of_contents import find_table, part_of, read_contents, split_name
from backup.sources.postgresql import count_rows
from backup.sources.psql import client_environment, client_program, session

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from backup.loading.table_of_contents import Item, Part
    from backup.model import Manifest
    from backup.settings.source import PostgresqlSettings
    from backup.sources.psql import Psql

_WORDS = 1000
_LIST_BYTES = 64 << 20


def load_tables(
    manifest: Manifest, dump: Path, settings: PostgresqlSettings, tables: Sequence[str], time_limit_seconds: float
) -> dict[str, Any]:
    """Load these tables in one transaction, with rows, indexes and sequences; return what came, compared by rows.

    Their schemas are made where they are missing; types and functions they use have to be there. Raises NotInBackup,
    DestinationInUse (a table is there already, or the database refuses), BackupDamaged.
    """
    items = read_contents(_ask(settings, ["--list", "--verbose", str(dump)], "reading the dump", time_limit_seconds))
    part = part_of(items, tables)
    names = {name: manifest.consistency["rows"][name] for name in _counted(manifest, items, part)}
    with session(settings, time_limit_seconds) as psql:
        for name in tables:
            _make_way(psql, *split_name(name))
        with tempfile.NamedTemporaryFile("w", prefix="bkp-", suffix=".list") as chosen:
            chosen.write("\n".join(part.lines) + "\n")
            chosen.flush()
            database = settings.database.replace("\\", "\\\\").replace("'", "\\'")
            arguments = ["--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges", "--no-password",
                         f"--use-list={chosen.name}", f"--dbname=dbname='{database}'", str(dump)]  # fmt: skip
            _ask(settings, arguments, f"loading into {settings.database!r}", time_limit_seconds)
        found = {name: count for name, count in count_rows(psql).items() if name in names}
    compare_rows(names, found)
    return {
        "database": settings.database,
        "tables": len(found) or len(tables),
        "rows": sum(found.values()),
        "is_compared": bool(names),
        "taken_at": manifest.consistency.get("taken_at"),
        "left_out": list(part.left_out),
    }


def _counted(manifest: Manifest, items: Sequence[Item], part: Part) -> list[str]:
    """Return the tables that come and whose rows were counted when they were saved."""
    rows = manifest.consistency.get("rows")
    named = {name: find_table(items, *split_name(name)) for name in rows} if isinstance(rows, dict) else {}
    return [name for name, item in named.items() if item is not None and item.number in part.numbers]


def _make_way(psql: Psql, schema: str, name: str) -> None:
    """Make a table's schema where it is missing. Raises DestinationInUse when the table is there."""
    quoted = f"{_identifier(schema)}.{_identifier(name)}"
    literal = quoted.replace("'", "''")
    if psql.ask(f"SELECT to_regclass('{literal}') IS NULL;") != [["t"]]:
        raise DestinationInUse(f"there is a table {quoted} already: rename or drop it, or load into another database")
    psql.ask(f"CREATE SCHEMA IF NOT EXISTS {_identifier(schema)};")


def _identifier(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _ask(settings: PostgresqlSettings, arguments: Sequence[str], doing: str, time_limit_seconds: float) -> str:
    """Run pg_restore; return what it wrote. Raises NotInBackup, DestinationInUse with its words, TimedOut."""
    program = Program(
        arguments=[client_program(settings, "pg_restore"), *arguments],
        environment=client_environment(settings),
        doing=doing,
    )
    ended = run(program, time_limit_seconds=time_limit_seconds, output_limit_bytes=_LIST_BYTES)
    if ended.exit_code == 0 and not ended.output_was_cut:
        return ended.output
    words = " ".join(ended.words.split())[:_WORDS]
    kind = NotInBackup if arguments[0] == "--list" else DestinationInUse
    raise kind(f"pg_restore ended with exit code {ended.exit_code}: {words or 'without a word'}")
