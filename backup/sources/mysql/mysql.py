"""A database of MySQL's own server as a source.

mysqldump reads in one transaction with a consistent snapshot. MySQL has no way to ask a snapshot for its place in the
binary log: mysqldump takes the global read lock, opens the snapshot, asks for the place, and lets go, so that all
commits wait for three statements. Before that it waits for statements that are at work, and commits wait with it:
never longer than `lock_wait`. Who wants no lock at all leaves the place out (`binlog_position`).
Rejected: performance_schema.log_status, which locks nothing, but tells of its own moment and not of the snapshot's;
LOCK INSTANCE FOR BACKUP, which keeps tables from being altered for as long as the dump takes, where now the dump fails
by itself when one was.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from backup.errors import SourceFailed, TimedOut
from backup.runtime.child import Program, run
from backup.sources.mysql.client import ask, client_program, environment, login
from backup.sources.mysql.dump_parts import DumpParts
from backup.sources.mysql.dumped_database import ASKING_SECONDS, DUMPED, DumpedDatabase
from backup.sources.mysql.mysql_words import LockTooLong, Words
from backup.sources.mysql.rights import missing_rights, needed_rights

if TYPE_CHECKING:
    from pathlib import Path

    from backup.settings.source import MysqlSettings
    from backup.sources.mysql.dumped_database import Server

_OLDEST: Final = (8, 0)
_KILLING_SECONDS: Final = 10.0


class MysqlSource(DumpedDatabase):
    """Dumps one database with mysqldump."""

    kind = "mysql"

    def __init__(self, settings: MysqlSettings, time_limit_seconds: float) -> None:
        super().__init__(settings, time_limit_seconds)
        self._settings = settings

    def missing_rights(self, server: Server) -> list[str]:
        """Return which GRANTs are missing. Raises SourceFailed: the server is too old."""
        if _numbers(server.version) < _OLDEST:
            raise SourceFailed(f"the server is MySQL {server.version}: 8.0 or newer is needed")
        grants = [row[0] for row in ask(self._settings, "SHOW GRANTS;", ASKING_SECONDS)]
        needed = needed_rights(has_position=self._has_position(server))
        return missing_rights(grants, self._settings.database, needed)

    def dump(self, server: Server, folder: Path) -> tuple[DumpParts, float]:
        """Dump; commits wait for the instant in which the snapshot and its place in the binary log are taken."""
        settings = self._settings
        dump = client_program(settings, "mysqldump")
        has_position = self._has_position(server)
        position = ["--source-data=2", "--set-gtid-purged=COMMENTED"] if has_position else ["--set-gtid-purged=OFF"]
        # Tablespaces and masking policies (9.7, hence "loose") are the server's, and need rights over all of it.
        more = ["--verbose", "--no-tablespaces", "--column-statistics", "--loose-skip-masking-policies"]
        words = Words(settings.lock_wait.total_seconds() if has_position else None)
        program = Program(
            arguments=[dump, *login(settings), *DUMPED, *more, *position, "--", settings.database],
            environment=environment(settings),
            doing=f"dumping database {settings.database!r}",
            hear_words=words.hear,
        )
        with DumpParts(folder, counts=settings.count_rows) as parts:
            try:
                ended = run(program, time_limit_seconds=self._time_limit_seconds, take_output=parts.take)
            except (LockTooLong, TimedOut):
                self._end_waiting()
                raise
        if ended.exit_code != 0:
            raise SourceFailed(f"mysqldump ended with exit code {ended.exit_code}: {words.complaints}")
        return parts, words.blocked_seconds

    def _has_position(self, server: Server) -> bool:
        return server.has_binlog and self._settings.binlog_position

    def _end_waiting(self) -> None:
        """End the lock's waiting in the server, which goes on when mysqldump is gone, and with it everybody's.

        An account may end what is its own.
        """
        with suppress(SourceFailed, TimedOut):
            listed = ask(self._settings, "SHOW PROCESSLIST;", _KILLING_SECONDS)
            mine = [row for row in listed if len(row) == 8 and row[1] == self._settings.user]
            waiting = [row[0] for row in mine if row[7].startswith("FLUSH ") and row[0].isdigit()]
            ask(self._settings, "".join(f"KILL {number};" for number in waiting), _KILLING_SECONDS)


def _numbers(version: str) -> tuple[int, ...]:
    found = re.match(r"(\d+)\.(\d+)", version)
    return () if found is None else (int(found[1]), int(found[2]))
