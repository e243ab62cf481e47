"""Proves a dump of MySQL's own server: as one of MariaDB's, in a MySQL started in the scratch folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backup.errors import DrillFailed, SourceFailed
from backup.proof import versions
from backup.proof.mariadb import MariadbProver
from backup.proof.mariadb_server import ScratchMariadb
from backup.proof.server_programs import server_for_dump
from backup.settings.source import MysqlSettings
from backup.sources.mysql.client import MYSQL, client_program, demand_own

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from backup.proof.contract import Case, Limits
    from backup.proof.versions import ProvenIn
    from backup.settings.source import MysqlLogin

_LOOK_SECONDS = 60.0


class ScratchMysql(ScratchMariadb):
    """A MySQL of a drill's own. Raises DrillFailed when its programs are missing, or MariaDB's by the same names."""

    title = MYSQL.title
    server_name = "mysqld"
    setting = "mysql_programs"
    _kind_of_login: type[MysqlLogin] = MysqlSettings

    def __init__(self, folder: Path, programs: Path | None, limits: Limits) -> None:
        super().__init__(folder, programs, limits)
        try:
            for program in (self._find(self.server_name), client_program(self.login("mysql"), MYSQL.client)):
                demand_own(MYSQL, program, _LOOK_SECONDS)
        except SourceFailed as error:
            raise DrillFailed(f"{error} as drills.{self.setting}") from error

    def _making(self) -> Sequence[str]:
        return [
            self.server_name, "--no-defaults", "--initialize-insecure", f"--datadir={self._data}",
            "--secure-file-priv=NULL", "--skip-log-bin",
        ]  # fmt: skip

    def _more_options(self) -> Sequence[str]:
        # The folder a packaged server wants for files of its clients need not be there, and none are read or written.
        return ["--secure-file-priv=NULL", "--mysqlx=OFF", "--performance-schema=OFF", "--skip-replica-start"]


class MysqlProver(MariadbProver):
    """The dump's files are what was saved, it loads into an empty MySQL, its tables are whole and have their rows."""

    source = MYSQL.kind

    def server(self, case: Case) -> tuple[ScratchMariadb, ProvenIn]:
        """Return the server to load into, and of which version it is. Raises DrillFailed when there is none here."""
        found = server_for_dump(versions.MYSQL, case.settings.mysql_programs, versions.saved_version(case.manifest))
        return ScratchMysql(case.scratch / "mysql", found.programs.folder, case.limits), found
