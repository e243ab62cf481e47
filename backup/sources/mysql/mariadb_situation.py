"""What has to be known of a MariaDB server before its files are copied: where they are, how many, what cannot be saved.

What would come back wrong is refused here with its reason: a server of another version than mariadb-backup, encrypted
tables (their keys are not in the backup), files outside of the data directory (a copy would open the original's).
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backup.errors import SourceFailed
from backup.sources.mysql.client import ask, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backup.settings.source import MariadbSettings

PAGE_SIZE, CASE, DATA_FILES = "innodb_page_size", "lower_case_table_names", "innodb_data_file_path"
"""Settings a copy has to be started with as the original was; Debian's own are the server's defaults."""

DEFAULTS: Final = {PAGE_SIZE: "16384", CASE: "0", DATA_FILES: "ibdata1:12M:autoextend"}

_ASKING_SECONDS: Final = 60.0
_MOST_NAMED: Final = 5
_SITUATION: Final = f"""
SELECT VERSION(), HEX(@@datadir), @@{PAGE_SIZE}, @@{CASE}, @@{DATA_FILES}, @@innodb_encrypt_log, @@aria_encrypt_tables,
       @@port;
SELECT HEX(name) FROM information_schema.innodb_tablespaces_encryption
 WHERE min_key_version > 0 OR current_key_version > 0 ORDER BY name;
"""  # noqa: S608 - names of this file
_LSN: Final = "SHOW GLOBAL STATUS LIKE 'Innodb_lsn_current';"
_SAVED_ENGINES: Final = ("InnoDB", "Aria", "MyISAM", "MRG_MyISAM", "CSV", "SEQUENCE")
_SEES_TABLES: Final = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'mysql';"
_OTHERS: Final = f"""
SELECT COALESCE(engine, 'one that is not loaded'), HEX(CONCAT(table_schema, '.', table_name))
  FROM information_schema.tables
 WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
   AND NOT COALESCE(engine, '') IN ({", ".join(f"'{engine}'" for engine in _SAVED_ENGINES)})
   AND table_schema NOT IN ('information_schema', 'performance_schema')
 ORDER BY 1, 2;
"""  # noqa: S608 - names of this file
_COPIED: Final = frozenset(
    (".ibd", ".frm", ".MYD", ".MYI", ".MAD", ".MAI", ".MRG", ".TRG", ".TRN", ".CSM", ".CSV", ".opt", ".par")
)
_COPIED_AT_THE_TOP: Final = re.compile(r"ibdata|undo\d|ib_logfile|aria_log|ib_buffer_pool")


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """A server whose files can be copied. settings: those a copy is started with, by name."""

    version: str
    port: int
    data: Path
    settings: dict[str, str]


def look(client: MariadbSettings, backup_version: str) -> Situation:
    """Ask the server about itself. `backup_version`: what mariadb-backup says of its own. Raises SourceFailed."""
    rows = ask(client, _SITUATION, _ASKING_SECONDS)
    if not rows or len(rows[0]) != 8:
        raise SourceFailed("the server's answer about itself cannot be understood")
    version, folder, page_size, case, data_files, log_encrypted, aria_encrypted, port = rows[0]
    demand_same_series(version, backup_version)
    encrypted = [text_of(row[0]) for row in rows[1:]]
    encrypted += [
        name for name, value in (("the redo log", log_encrypted), ("Aria's tables", aria_encrypted)) if value == "1"
    ]
    if encrypted:
        raise SourceFailed(
            f"{named(encrypted)}: encrypted by the server, whose keys no backup holds, so that it could not come back"
            " from one; save these databases by [sets.mariadb]"
        )
    if "/" in data_files:
        raise SourceFailed(
            f"{DATA_FILES} names files outside of the data directory ({data_files}): they cannot be saved yet"
        )
    return Situation(
        version=version,
        port=int(port),
        data=Path(text_of(folder)),
        settings={PAGE_SIZE: page_size, CASE: case, DATA_FILES: data_files},
    )


def demand_same_series(server: str, program: str) -> None:
    """Raise SourceFailed unless mariadb-backup is of the server's own series: others misread its files."""
    if "MariaDB" not in server:
        raise SourceFailed(f"the server is {server}, not a MariaDB: mariadb-backup cannot copy its files")
    own, theirs = (series_of(version) for version in (program, server))
    if own is None or own != theirs:
        raise SourceFailed(
            f"the server is MariaDB {theirs or server}, mariadb-backup of {own or program}: install that of the"
            " server's version, or name its folder as `binaries`"
        )


def series_of(version: str) -> str | None:
    """Return the first two numbers of a version in `version`: those of a series, whose files are alike."""
    found = re.search(r"\b(\d+\.\d+)\.\d+", version)
    return None if found is None else found[1]


def other_engines(client: MariadbSettings) -> dict[str, list[str]]:
    """Return the tables whose rows copied files do not or may not hold, by engine. Raises SourceFailed."""
    if ask(client, _SEES_TABLES, _ASKING_SECONDS) == [["0"]]:
        raise SourceFailed(
            f"{client.user} cannot see which tables there are: grant it SHOW VIEW ON *.*"
            " (docs/backup-databases.md lists all)"
        )
    found: dict[str, list[str]] = {}
    for engine, name in ask(client, _OTHERS, _ASKING_SECONDS):
        found.setdefault(engine, []).append(text_of(name))
    return found


def current_lsn(client: MariadbSettings) -> int:
    """Return how far the server's redo log goes. Raises SourceFailed."""
    rows = ask(client, _LSN, _ASKING_SECONDS)
    try:
        return int(rows[0][1])
    except (IndexError, ValueError) as error:
        raise SourceFailed("the server does not say where its redo log ends") from error


def bytes_to_copy(data: Path) -> int:
    """Return the bytes of the files mariadb-backup copies. Raises SourceFailed: unreadable, or some lie elsewhere."""
    size, elsewhere = 0, []
    try:
        for entry in _entries(data):
            if entry.name.endswith(".isl") or (entry.is_symlink() and (entry.is_dir() or _is_copied(entry, data))):
                elsewhere.append(os.path.relpath(entry.path, data))
            elif _is_copied(entry, data):
                with suppress(FileNotFoundError):  # a table that was dropped meanwhile
                    size += entry.stat().st_size
    except OSError as error:
        raise SourceFailed(
            f"the server's data directory cannot be read ({error.filename}: {error.strerror}): run this on the server's"
            " own machine, as root or as the server's user"
        ) from error
    if elsewhere:
        raise SourceFailed(
            "tables outside of the data directory (DATA DIRECTORY, symbolic links) cannot be saved yet:"
            f" {named(elsewhere)}"
        )
    return size


def _entries(data: Path) -> Iterator[os.DirEntry[str]]:
    """Yield what lies in the data directory, and in the folder of each database."""
    with os.scandir(data) as top:
        for entry in top:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                try:
                    with os.scandir(entry) as tables:
                        yield from tables
                except FileNotFoundError:  # a database that was dropped meanwhile
                    continue


def _is_copied(entry: os.DirEntry[str], data: Path) -> bool:
    if os.path.dirname(entry.path) == str(data):  # noqa: PTH120 - the entry's path is text
        return _COPIED_AT_THE_TOP.match(entry.name) is not None
    return os.path.splitext(entry.name)[1] in _COPIED  # noqa: PTH122 - as above


def named(names: Sequence[str]) -> str:
    """Return the first of some names, and how many more there are."""
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
