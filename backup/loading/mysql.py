"""Loads a restored dump of a MariaDB or a MySQL into a database it makes there, and compares the rows."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from backup.binlog.replaying import replay
from backup.binlog.statements import Names, demand_replayable
from backup.errors import BackupDamaged, DestinationInUse, NotInBackup, SourceFailed
from backup.loading.mysql_dsn import logged_in
from backup.loading.rows import compare_rows, judged
from backup.sources.mysql.client import (
    ask,
    base_tables,
    count_rows,
    demand_family,
    demand_own_programs,
    family_of,
    quoted,
    text_of,
)
from backup.sources.mysql.dump_parts import file_name, read_parts
from backup.sources.mysql.dumped_database import DUMP_FOLDER
from backup.sources.mysql.session import load_files

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from backup.binlog.recovery import Way
    from backup.model import Manifest
    from backup.settings.source import MysqlLogin

_ASKING_SECONDS: Final = 60.0
_NAMES: Final = "SELECT HEX(schema_name) FROM information_schema.schemata;"
_HARMLESS: Final = ("information_schema", "performance_schema", "sys")


def demand_room_for(manifest: Manifest, dsn: str, tables: Sequence[str]) -> None:
    """Return when the server of `dsn` answers and has no such database; with `tables`, when it has one without them.

    Raises as `registry.load_dump`.
    """
    with logged_in(dsn, manifest.source) as settings:
        _demand_fitting(settings)
        if tables:
            _demand_no_tables(settings, tables, _ASKING_SECONDS)
            return
        if settings.database in _databases(settings):
            raise DestinationInUse(
                f"the database {settings.database!r} is there already, and a dump makes its own: name another one"
            )


def load_dump(
    manifest: Manifest, restored: Path, dsn: str, time_limit_seconds: float, way: Way | None = None
) -> dict[str, Any]:
    """Make the database of `dsn`, with the character set of the one that was saved, and load the dump into it.

    way: binary logs to replay after that. What was made goes again when loading or replaying fails. Raises as
    `registry.load_dump`; DestinationInUse when it is there, or a statement of the logs cannot be replayed into it.
    """
    with logged_in(dsn, manifest.source) as settings:
        _demand_fitting(settings)
        names = None if way is None else _names(settings, manifest)
        if way is not None and names is not None:
            demand_replayable(way, names)
        load(settings, manifest, restored, time_limit_seconds)
        loaded = judged(manifest, settings.database, count_rows(settings, time_limit_seconds))
        if way is None or names is None:
            return loaded
        with _taken_back(settings):
            left_out = replay(settings, way, names, time_limit_seconds)
            rows = count_rows(settings, time_limit_seconds)
        return loaded | {"left_out_of_logs": left_out, "tables_then": len(rows), "rows_then": sum(rows.values())}


def load_tables(
    manifest: Manifest, restored: Path, dsn: str, tables: Sequence[str], time_limit_seconds: float
) -> dict[str, Any]:
    """Load these tables, with their triggers, into a database that is there and has none of them; compare their rows.

    Views and routines they use have to be there. What was loaded before one of them failed stays. Raises as
    `registry.load_dump`; DestinationInUse when one is there.
    """
    parts = _parts(restored)
    files = {name: restored / DUMP_FOLDER / "tables" / file_name(name) for name in tables}
    lost = [name for name, file in files.items() if file not in parts]
    if lost:
        raise NotInBackup(f"there is no table {lost[0]!r} in this restore point: bkp ls SET database/tables shows them")
    saved = manifest.consistency.get("rows") or {}
    with logged_in(dsn, manifest.source) as settings:
        _demand_fitting(settings)
        _demand_no_tables(settings, tables, time_limit_seconds)
        load_files(settings, [parts[0], *files.values()], time_limit_seconds)
        counted = count_rows(settings, time_limit_seconds)
        found = {name: counted[name] for name in tables if name in counted}
        if saved:
            compare_rows({name: saved.get(name) for name in tables}, found)
        return {
            "database": settings.database,
            "tables": len(found),
            "rows": sum(found.values()),
            "is_compared": bool(saved),
            "taken_at": manifest.consistency.get("taken_at"),
            "left_out": [],
        }


def load(settings: MysqlLogin, manifest: Manifest, restored: Path, time_limit_seconds: float) -> None:
    """Make a database and load the dump into it, all of it or nothing. Raises as `load_dump`."""
    parts = _parts(restored)
    _make(settings, manifest)
    with _taken_back(settings):
        load_files(settings, parts, time_limit_seconds)


@contextmanager
def _taken_back(settings: MysqlLogin) -> Iterator[None]:
    """Drop the database that was made, when this is not left well."""
    try:
        yield
    except BaseException:
        with suppress(SourceFailed):
            ask(settings, f"DROP DATABASE {quoted(settings.database)};", _ASKING_SECONDS)
        raise


def _demand_no_tables(settings: MysqlLogin, tables: Sequence[str], time_limit_seconds: float) -> None:
    there = set(base_tables(settings, time_limit_seconds)) & set(tables)
    if there:
        raise DestinationInUse(
            f"there is a table {min(there)!r} already: rename or drop it, or load into another database"
        )


def _databases(settings: MysqlLogin) -> set[str]:
    return {text_of(row[0]) for row in ask(settings, _NAMES, _ASKING_SECONDS)}


def _names(settings: MysqlLogin, manifest: Manifest) -> Names:
    """Return which database of the logs is meant, and which of the server's must stay as they are."""
    others = frozenset(_databases(settings) - {settings.database, *_HARMLESS})
    return Names(saved=str(manifest.consistency.get("database")), restored=settings.database, others=others)


def _demand_fitting(settings: MysqlLogin) -> None:
    """Return when the server is of the family the dump is of. Raises DestinationInUse."""
    try:
        demand_own_programs(settings, (family_of(settings).client,), _ASKING_SECONDS)
        version = " ".join(row[0] for row in ask(settings, "SELECT VERSION();", _ASKING_SECONDS))
    except SourceFailed as error:
        raise DestinationInUse(str(error)) from error
    try:
        demand_family(settings, version)
    except SourceFailed as error:
        meant = family_of(settings).title
        raise DestinationInUse(
            f"the dump is of a {meant}, the server is {version}, and neither reads all that the other writes: name a"
            f" {meant}"
        ) from error


def _parts(restored: Path) -> list[Path]:
    folder = restored / DUMP_FOLDER
    try:
        return read_parts(folder)
    except (OSError, ValueError) as error:
        raise NotInBackup(f"{folder} holds no whole database dump: {error}") from error


def _make(settings: MysqlLogin, manifest: Manifest) -> None:
    words = [str(manifest.consistency.get(each, "")) for each in ("character_set", "collation")]
    if not all(word.replace("_", "").isalnum() for word in words):
        raise BackupDamaged(f"the manifest names no character set and collation: {words}")
    charset, collation = words
    try:
        ask(
            settings,
            f"CREATE DATABASE {quoted(settings.database)} CHARACTER SET {charset} COLLATE {collation};",
            _ASKING_SECONDS,
        )
    except SourceFailed as error:
        raise DestinationInUse(
            f"the database {settings.database!r} cannot be made: {error}. It must not be there yet: name another one"
        ) from error
