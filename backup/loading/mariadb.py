"""Loads a restored dump of a MariaDB or a MySQL into a database it makes there, and compares the rows."""

from __future__ import annotations

import os
import tempfile
import threading
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from backup.child import Program, run
from backup.errors import BackupDamaged, DestinationInUse, NotInBackup, SourceFailed
from backup.loading.rows import compare_rows, judged
from backup.settings.source import MariadbSettings, MysqlSettings
from backup.sources.dumped_database import DUMP_FOLDER
from backup.sources.mariadb_client import (
    MYSQL,
    ask,
    base_tables,
    client_program,
    count_rows,
    demand_family,
    demand_own_programs,
    environment,
    family_of,
    last_words,
    login,
    quoted,
)
from backup.sources.mariadb_dump import file_name, read_parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backup.model import Manifest
    from backup.settings.source import MysqlLogin

_ASKING_SECONDS: Final = 60.0
_PIECE_BYTES: Final = 1 << 20
_MORE: Final = frozenset({"socket", "option_file", "binaries"})
# What a server may demand or add of its own, and a table that was saved without need not have.
_IN_THE_WAY: Final = "sql_require_primary_key", "sql_generate_invisible_primary_key"


def load_dump(manifest: Manifest, restored: Path, dsn: str, time_limit_seconds: float) -> dict[str, Any]:
    """Make the database of `dsn`, with the character set of the one that was saved, and load the dump into it.

    What was made goes again when loading fails. Raises as `registry.load_dump`; DestinationInUse when it is there.
    """
    with _logged_in(dsn, manifest.source) as settings:
        _demand_fitting(settings)
        load(settings, manifest, restored, time_limit_seconds)
        return judged(manifest, settings.database, count_rows(settings, time_limit_seconds))


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
    with _logged_in(dsn, manifest.source) as settings:
        _demand_fitting(settings)
        there = set(base_tables(settings, time_limit_seconds)) & files.keys()
        if there:
            raise DestinationInUse(
                f"there is a table {min(there)!r} already: rename or drop it, or load into another database"
            )
        _load(settings, [parts[0], *files.values()], time_limit_seconds)
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
    try:
        _load(settings, parts, time_limit_seconds)
    except BaseException:
        with suppress(SourceFailed):
            ask(settings, f"DROP DATABASE {quoted(settings.database)};", _ASKING_SECONDS)
        raise


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


def _load(settings: MysqlLogin, parts: Sequence[Path], time_limit_seconds: float) -> None:
    """Load the parts in one session. `--comments`: without it the client drops comments out of routines."""
    family = family_of(settings)
    in_the_way = _in_the_way(settings) if family is MYSQL else []
    arguments = [
        client_program(settings, family.client),
        *login(settings),
        "--batch", "--comments", "--binary-mode", "--default-character-set=utf8mb4", "--max-allowed-packet=1G",
        *([f"--init-command=SET SESSION {', '.join(f'{name} = OFF' for name in in_the_way)}"] if in_the_way else []),
        f"--database={settings.database}",
    ]  # fmt: skip
    doing = f"loading into {settings.database!r}"
    with _concatenated(parts) as stream:
        ended = run(
            Program(arguments=arguments, environment=environment(settings), doing=doing, stdin=stream),
            time_limit_seconds=time_limit_seconds,
        )
    if ended.exit_code != 0:
        raise DestinationInUse(f"{family.client} ended with exit code {ended.exit_code}: {last_words(ended.words)}")


def _in_the_way(settings: MysqlLogin) -> list[str]:
    """Return which settings are on that would refuse or change a table as it was saved. Older servers know neither."""
    names = ", ".join(f"'{name}'" for name in _IN_THE_WAY)
    rows = ask(settings, f"SHOW VARIABLES WHERE variable_name IN ({names}) AND value = 'ON';", _ASKING_SECONDS)
    return [row[0] for row in rows if row[0] in _IN_THE_WAY]


@contextmanager
def _concatenated(parts: Sequence[Path]) -> Iterator[IO[bytes]]:
    """Yield a pipe that brings the files one after the other. Raises OSError when one could not be read to its end."""
    reading, writing = os.pipe()
    failures: list[OSError] = []

    def feed() -> None:
        try:
            with os.fdopen(writing, "wb") as pipe:
                for part in parts:
                    with part.open("rb") as file:
                        while piece := file.read(_PIECE_BYTES):
                            pipe.write(piece)
        except BrokenPipeError:
            return  # the program has ended; its exit code says how
        except OSError as error:
            failures.append(error)

    feeder = threading.Thread(target=feed, name="dump-feeder")
    with os.fdopen(reading, "rb") as stream:
        feeder.start()
        yield stream
    feeder.join()
    if failures:
        raise BackupDamaged(f"the restored dump cannot be read: {failures[0]}") from failures[0]


def read_dsn(dsn: str, kind: str) -> tuple[MysqlLogin, str]:
    """Return settings and password of mariadb://USER:PASSWORD@HOST:PORT/DATABASE?socket=PATH. Raises DestinationInUse.

    kind: of what was saved, `mariadb` or `mysql`, whose programs are used. `option_file=PATH` names a file that has the
    password; without either the client's own (~/.my.cnf) counts. `binaries=PATH`: the folder of the programs.
    """
    expected = (
        f"the connection string cannot be read: expected {kind}://USER:PASSWORD@HOST:PORT/DATABASE, with ?socket=PATH,"
        " ?option_file=PATH or ?binaries=PATH if need be"
    )
    try:
        found = urlsplit(dsn)
        port = found.port or 3306
        more = {name: Path(value) for name, value in parse_qsl(found.query, strict_parsing=bool(found.query))}
    except ValueError as error:
        raise DestinationInUse(expected) from error
    database = unquote(found.path.removeprefix("/"))
    if found.scheme not in ("mariadb", "mysql") or not database or not more.keys() <= _MORE:
        raise DestinationInUse(expected)
    settings = (MysqlSettings if kind == MYSQL.kind else MariadbSettings)(
        database=database,
        host=found.hostname or "localhost",
        port=port,
        user=unquote(found.username or "root"),
        socket=more.get("socket"),
        option_file=more.get("option_file"),
        binaries=more.get("binaries"),
    )
    return settings, unquote(found.password or "")


@contextmanager
def _logged_in(dsn: str, kind: str) -> Iterator[MysqlLogin]:
    """Yield settings whose password, if there is one, lies in a private file for as long as this lasts."""
    settings, password = read_dsn(dsn, kind)
    if not password:
        yield settings
        return
    with tempfile.NamedTemporaryFile("w", prefix="bkp-", suffix=".cnf") as file:  # private: mode 600
        escaped = password.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        file.write(f'[client]\npassword="{escaped}"\n')
        file.flush()
        yield replace(settings, option_file=Path(file.name))
