"""One database of a MariaDB or a MySQL as a source: a dump of one snapshot, with its rows counted and a record.

What both have in common. What a snapshot cannot hold (tables of engines without transactions) is named. How the dump is
made, and how its place in the binary log is known, differs: `mariadb.py`, `mysql.py`.
"""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from backup.errors import SourceFailed
from backup.sources.contract import Prepared
from backup.sources.mysql.client import (
    MYSQL,
    ask,
    client_program,
    demand_family,
    demand_log_in_only,
    demand_own_programs,
    family_of,
    text_of,
)
from core.model.things import readable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backup.settings.source import MariadbSettings, MysqlSettings
    from backup.sources.mysql.dump_parts import DumpParts

DUMP_FOLDER: Final = "database"
RECORD_FILE: Final = "consistency.json"
ASKING_SECONDS: Final = 60.0
DUMPED: Final = (
    "--single-transaction", "--skip-lock-tables", "--quick", "--order-by-primary", "--hex-blob", "--routines",
    "--events", "--triggers", "--comments", "--skip-dump-date", "--skip-add-locks", "--skip-disable-keys",
    "--default-character-set=utf8mb4", "--max-allowed-packet=1G",
)  # fmt: skip
"""Options of mariadb-dump and mysqldump alike."""

_MOST_NAMED: Final = 5
_MARIADBS_PLUGIN: Final = "mysql_native_password"
_SITUATION: Final = """
SELECT VERSION(), @@port, @@log_bin, @@character_set_database, @@collation_database,
       (SELECT COALESCE(SUM(data_length + index_length), 0) FROM information_schema.tables
         WHERE table_schema = DATABASE());
"""
_OUTSIDE: Final = """
SELECT HEX(t.table_name), e.transactions = 'YES', t.table_type = 'SYSTEM VERSIONED'
  FROM information_schema.tables t LEFT JOIN information_schema.engines e ON e.engine = t.engine
 WHERE t.table_schema = DATABASE() AND t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
   AND (t.table_type = 'SYSTEM VERSIONED' OR NOT e.transactions <=> 'YES')
 ORDER BY t.table_name;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What a server says of itself and of the database."""

    version: str
    port: int
    has_binlog: bool
    character_set: str
    collation: str
    size_bytes: int


class DumpedDatabase(ABC):
    """Dumps one database: tables, views, triggers, routines, events. Accounts and other databases are not in it."""

    def __init__(self, settings: MariadbSettings | MysqlSettings, time_limit_seconds: float) -> None:
        self._login = settings
        self._time_limit_seconds = time_limit_seconds

    @abstractmethod
    def dump(self, server: Server, folder: Path) -> tuple[DumpParts, float]:
        """Dump into `folder`, which is empty; also return for how many seconds commits were blocked at most."""

    @abstractmethod
    def missing_rights(self, server: Server) -> list[str]:
        """Return the GRANTs without which something would not be in the dump, and nobody would say so."""

    def examine(self) -> str:
        """Return in words what would be saved. Raises SourceFailed when something a run needs is missing."""
        server = self._look()
        whose = f"{family_of(self._login).title} {server.version}"
        return f"{whose} answers, {self._login.user} may read all of {self._login.database}"

    @contextmanager
    def prepare(self, scratch: Path) -> Iterator[Prepared]:
        """Dump into `scratch`; the snapshot is gone when duplicity begins to read."""
        settings = self._login
        record: dict[str, Any] = {"database": settings.database, "taken_at": datetime.now(UTC).isoformat()}
        server = self._look()
        record |= {
            "server_version": server.version,
            "server_port": server.port,
            "character_set": server.character_set,
            "collation": server.collation,
            "database_bytes": server.size_bytes,
        }
        remarks = self._name_outside(record)
        folder = scratch / DUMP_FOLDER
        folder.mkdir(mode=0o700)
        began = time.monotonic()
        parts, blocked_seconds = self.dump(server, folder)
        record["snapshot_held_seconds"] = round(time.monotonic() - began, 3)
        record["commits_blocked_seconds"] = round(blocked_seconds, 3)
        # A table cannot be altered while it is read; the dump lets each go before the next.
        record["changes_of_tables_blocked_seconds"] = round(parts.longest_seconds, 3)
        if parts.binlog is not None:
            record |= {"binlog_file": parts.binlog[0], "binlog_position": parts.binlog[1], "gtid": parts.gtid}
        if settings.count_rows:
            record["rows"] = parts.rows
        (scratch / RECORD_FILE).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        engine = family_of(settings).kind
        covers = {"engine": engine, "port": server.port, "databases": [readable(settings.database)]}
        yield Prepared(root=scratch, consistency=record, covers=covers, remarks=remarks)

    def _look(self) -> Server:
        """Ask the server about itself, and whether it and the programs are those this set needs."""
        family = family_of(self._login)
        demand_own_programs(self._login, (family.client, family.dump), ASKING_SECONDS)
        try:
            rows = ask(self._login, _SITUATION, ASKING_SECONDS, database=self._login.database)
        except SourceFailed as error:
            if family is MYSQL and _MARIADBS_PLUGIN in str(error):  # which MySQL 9 has no more
                raise SourceFailed(f"{error}; is it a MariaDB? Save that by [sets.mariadb]") from error
            raise
        if len(rows) != 1 or len(rows[0]) != 6:
            raise SourceFailed("the database's answer about itself cannot be understood")
        version, port, has_binlog, charset, collation, size = rows[0]
        demand_family(self._login, version)
        server = Server(
            version=version,
            port=int(port),
            has_binlog=has_binlog == "1",
            character_set=charset,
            collation=collation,
            size_bytes=int(size),
        )
        demand_log_in_only(self._login, client_program(self._login, family.dump), ASKING_SECONDS)
        if missing := self.missing_rights(server):
            raise SourceFailed(
                f"{self._login.user} may not see all of {self._login.database}, and a dump leaves out what it may not"
                f" see: {'; '.join(missing)}"
            )
        return server

    def _name_outside(self, record: dict[str, Any]) -> tuple[str, ...]:
        """Put into `record` which tables the snapshot does not hold as they are; return what to tell of them."""
        database = self._login.database
        rows = ask(self._login, _OUTSIDE, ASKING_SECONDS, database=database)
        loose = [text_of(name) for name, is_safe, _ in rows if is_safe != "1"]
        versioned = [text_of(name) for name, _, has_history in rows if has_history == "1"]
        record |= {"not_in_snapshot": loose, "history_not_saved": versioned}
        remarks = []
        if loose:
            remarks.append(
                f"{_named(loose)} of {database} have no transactions: they are saved as they were read,"
                " one after the other, not as of one moment; convert them to InnoDB"
            )
        if versioned:
            remarks.append(f"the history of {_named(versioned)} of {database} is not saved, its rows are")
        return tuple(remarks)


def _named(tables: list[str]) -> str:
    shown = ", ".join(tables[:_MOST_NAMED])
    more = len(tables) - _MOST_NAMED
    return f"tables {shown} and {more} more" if more > 0 else f"tables {shown}"
