"""A MariaDB database as a source.

mariadb-dump reads in one transaction with a consistent snapshot, and MariaDB tells the snapshot's place in the binary
log without the global lock that others need for it: writers never wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from backup.errors import SourceFailed
from backup.runtime.child import Program, run
from backup.sources.mysql.client import ask, client_program, environment, last_words, login
from backup.sources.mysql.dump_parts import DumpParts
from backup.sources.mysql.dumped_database import ASKING_SECONDS, DUMPED, DumpedDatabase
from backup.sources.mysql.rights import OWN_RIGHTS, missing_rights

if TYPE_CHECKING:
    from pathlib import Path

    from backup.settings.source import MariadbSettings
    from backup.sources.mysql.dumped_database import Server

_NEVER_BLOCKED: Final = 0.0


class MariadbSource(DumpedDatabase):
    """Dumps one database with mariadb-dump."""

    kind = "mariadb"

    def __init__(self, settings: MariadbSettings, time_limit_seconds: float) -> None:
        super().__init__(settings, time_limit_seconds)
        self._settings = settings

    def missing_rights(self, server: Server) -> list[str]:  # noqa: ARG002 - the same of all
        """Return which GRANTs are missing."""
        grants = [row[0] for row in ask(self._settings, "SHOW GRANTS;", ASKING_SECONDS)]
        missing = missing_rights(grants, self._settings.database, OWN_RIGHTS)
        if not any("SHOW CREATE ROUTINE" in line for line in grants):  # MariaDB 11.3 and newer
            try:
                ask(self._settings, "SELECT 1 FROM mysql.proc LIMIT 0;", ASKING_SECONDS)
            except SourceFailed:
                missing.append("GRANT SELECT ON mysql.proc")
        return missing

    def dump(self, server: Server, folder: Path) -> tuple[DumpParts, float]:
        """Dump; the place in the binary log comes with the snapshot, so that nothing is locked for it."""
        settings = self._settings
        dump = client_program(settings, "mariadb-dump")
        position = ["--master-data=2", "--gtid"] if server.has_binlog else []
        program = Program(
            arguments=[dump, *login(settings), *DUMPED, *position, "--", settings.database],
            environment=environment(settings),
            doing=f"dumping database {settings.database!r}",
        )
        with DumpParts(folder, counts=settings.count_rows) as parts:
            ended = run(program, time_limit_seconds=self._time_limit_seconds, take_output=parts.take)
        if ended.exit_code != 0:
            raise SourceFailed(f"mariadb-dump ended with exit code {ended.exit_code}: {last_words(ended.words)}")
        return parts, _NEVER_BLOCKED
