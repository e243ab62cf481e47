"""A MariaDB database as a source: a dump of one snapshot, with its place in the binary log and its rows counted.

mariadb-dump reads in one transaction with a consistent snapshot, and MariaDB tells the snapshot's place in the binary
log without the global lock that others need for it: writers never wait. What a snapshot cannot hold (tables of engines
without transactions) is named.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from backup.child import Program, run
from backup.errors import SourceFailed
from backup.sources.contract import Prepared
from backup.sources.mariadb_client import (
    ask,
    client_program,
    demand_log_in_only,
    environment,
    last_words,
    login,
    text_of,
)
from backup.sources.mariadb_dump import DumpParts
from core.model.things import readable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backup.settings.source import MariadbSettings

DUMP_FOLDER: Final = "database"
RECORD_FILE: Final = "consistency.json"
_ASKING_SECONDS: Final = 60.0
_MOST_NAMED: Final = 5

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


class MariadbSource:
    """Dumps one database: tables, views, triggers, routines, events. Accounts and other databases are not in it."""

    kind = "mariadb"

    def __init__(self, settings: MariadbSettings, time_limit_seconds: float) -> None:
        self._settings = settings
        self._time_limit_seconds = time_limit_seconds

    @contextmanager
    def prepare(self, scratch: Path) -> Iterator[Prepared]:
        """Dump into `scratch`; the snapshot is gone when duplicity begins to read."""
        record: dict[str, Any] = {"database": self._settings.database, "taken_at": datetime.now(UTC).isoformat()}
        has_positions = self._describe(record)
        remarks = self._name_outside(record)
        began = time.monotonic()
        parts = self._dump(scratch / DUMP_FOLDER, has_positions=has_positions)
        record["snapshot_held_seconds"] = round(time.monotonic() - began, 3)
        # The place in the binary log comes with the snapshot, so that nothing is locked for it. A table cannot be
        # altered while it is read; mariadb-dump lets each go before the next.
        record["commits_blocked_seconds"] = 0.0
        record["changes_of_tables_blocked_seconds"] = round(parts.longest_seconds, 3)
        if parts.binlog is not None:
            record |= {"binlog_file": parts.binlog[0], "binlog_position": parts.binlog[1], "gtid": parts.gtid}
        if self._settings.count_rows:
            record["rows"] = parts.rows
        (scratch / RECORD_FILE).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        covers = {"engine": "mariadb", "port": record["server_port"], "databases": [readable(self._settings.database)]}
        yield Prepared(root=scratch, consistency=record, covers=covers, remarks=remarks)

    def _describe(self, record: dict[str, Any]) -> bool:
        """Put into `record` what the server says of itself; return whether it tells positions without a lock."""
        rows = ask(self._settings, _SITUATION, _ASKING_SECONDS, database=self._settings.database)
        if len(rows) != 1 or len(rows[0]) != 6:
            raise SourceFailed("the database's answer about itself cannot be understood")
        version, port, has_binlog, charset, collation, size = rows[0]
        record |= {
            "server_version": version,
            "server_port": int(port),
            "character_set": charset,
            "collation": collation,
            "database_bytes": int(size),
        }
        return has_binlog == "1" and "MariaDB" in version

    def _name_outside(self, record: dict[str, Any]) -> tuple[str, ...]:
        """Put into `record` which tables the snapshot does not hold as they are; return what to tell of them."""
        rows = ask(self._settings, _OUTSIDE, _ASKING_SECONDS, database=self._settings.database)
        loose = [text_of(name) for name, is_safe, _ in rows if is_safe != "1"]
        versioned = [text_of(name) for name, _, has_history in rows if has_history == "1"]
        record |= {"not_in_snapshot": loose, "history_not_saved": versioned}
        remarks = []
        if loose:
            remarks.append(
                f"{_named(loose)} of {self._settings.database} have no transactions: they are saved as they were read,"
                " one after the other, not as of one moment; convert them to InnoDB"
            )
        if versioned:
            remarks.append(
                f"the history of {_named(versioned)} of {self._settings.database} is not saved, its rows are"
            )
        return tuple(remarks)

    def _dump(self, folder: Path, *, has_positions: bool) -> DumpParts:
        folder.mkdir(mode=0o700)
        dump = client_program(self._settings, "mariadb-dump")
        demand_log_in_only(self._settings, dump, _ASKING_SECONDS)
        arguments = [
            dump,
            *login(self._settings),
            "--single-transaction", "--skip-lock-tables", "--quick", "--order-by-primary", "--hex-blob",
            "--routines", "--events", "--triggers", "--comments", "--skip-dump-date", "--skip-add-locks",
            "--skip-disable-keys", "--default-character-set=utf8mb4", "--max-allowed-packet=1G",
            *(["--master-data=2", "--gtid"] if has_positions else []),
            "--", self._settings.database,
        ]  # fmt: skip
        doing = f"dumping database {self._settings.database!r}"
        program = Program(arguments=arguments, environment=environment(), doing=doing)
        with DumpParts(folder, counts=self._settings.count_rows) as parts:
            ended = run(program, time_limit_seconds=self._time_limit_seconds, take_output=parts.take)
        if ended.exit_code != 0:
            raise SourceFailed(f"mariadb-dump ended with exit code {ended.exit_code}: {last_words(ended.words)}")
        return parts


def _named(tables: list[str]) -> str:
    shown = ", ".join(tables[:_MOST_NAMED])
    more = len(tables) - _MOST_NAMED
    return f"tables {shown} and {more} more" if more > 0 else f"tables {shown}"
