"""Loads single tables of a restored PostgreSQL dump into a database that has none of that name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from backup.errors import DestinationInUse, NotInBackup
from backup.loading.archive import load_archive
from backup.loading.rows import compare_rows
from backup.loading.table_of_contents import find_table, part_of, read_contents, split_name
from backup.runtime.child import Program, run
from backup.runtime.private_folder import temporary_file
from backup.sources.postgresql.dump import count_rows
from backup.sources.postgresql.psql import client_environment, client_program, session

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from backup.loading.table_of_contents import Item, Part
    from backup.model import Manifest
    from backup.settings.source import PostgresqlSettings
    from backup.sources.postgresql.psql import Psql

_WORDS = 1000
_LIST_BYTES = 64 << 20


def load_tables(
    manifest: Manifest, dump: Path, settings: PostgresqlSettings, tables: Sequence[str], time_limit_seconds: float
) -> dict[str, Any]:
    """Load these tables in one transaction, with rows, indexes and sequences; return what came, compared by rows.

    Their schemas are made where they are missing; types and functions they use have to be there. Raises NotInBackup,
    DestinationInUse (a table is there already, or the database refuses), BackupDamaged.
    """
    items = read_contents(_list(settings, dump, time_limit_seconds))
    part = part_of(items, tables)
    names = {name: manifest.consistency["rows"][name] for name in _counted(manifest, items, part)}
    with session(settings, time_limit_seconds) as psql:
        for name in tables:
            schema, table = split_name(name)
            demand_no_table(psql, schema, table)
            psql.ask(f"CREATE SCHEMA IF NOT EXISTS {_identifier(schema)};")
        with temporary_file("\n".join(part.lines) + "\n") as chosen:
            options = ["--single-transaction", f"--use-list={chosen}"]
            load_archive(settings, dump, options, time_limit_seconds=time_limit_seconds)
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


def demand_no_table(psql: Psql, schema: str, name: str) -> None:
    """Return when there is no such table. Raises DestinationInUse."""
    quoted = f"{_identifier(schema)}.{_identifier(name)}"
    literal = quoted.replace("'", "''")
    if psql.ask(f"SELECT to_regclass('{literal}') IS NULL;") != [["t"]]:
        raise DestinationInUse(f"there is a table {quoted} already: rename or drop it, or load into another database")


def _identifier(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _list(settings: PostgresqlSettings, dump: Path, time_limit_seconds: float) -> str:
    """Return the table of contents of a dump. Raises NotInBackup with pg_restore's words, TimedOut."""
    program = Program(
        arguments=[client_program(settings, "pg_restore"), "--list", "--verbose", str(dump)],
        environment=client_environment(settings),
        doing="reading the dump",
    )
    ended = run(program, time_limit_seconds=time_limit_seconds, output_limit_bytes=_LIST_BYTES)
    if ended.exit_code == 0 and not ended.output_was_cut:
        return ended.output
    words = " ".join(ended.words.split())[:_WORDS]
    raise NotInBackup(f"pg_restore ended with exit code {ended.exit_code}: {words or 'without a word'}")
