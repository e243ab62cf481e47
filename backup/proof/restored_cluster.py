"""A restored cluster started for a drill: by settings of the drill's own, without a port, recovering first.

Its passwords are not known here, so whoever reaches its socket is let in; the socket lies in a folder only its account
may enter. The restored postgresql.conf and pg_hba.conf are not used: they may open ports and start programs.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from backup.proof.cluster import PORT, ScratchCluster
from backup.proof.socket_folder import socket_folder
from backup.settings.source import PostgresqlSettings
from core.runtime.account import hand_over

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from backup.proof.contract import Limits


class RestoredCluster(ScratchCluster):
    """The cluster in `data`; `superuser` is its first role. `programs`: of its version, no other starts on it."""

    def __init__(self, folder: Path, data: Path, superuser: str, programs: Path, limits: Limits) -> None:
        super().__init__(folder, programs, limits)
        self._data, self._superuser = data, superuser

    def login(self, database: str = "postgres") -> PostgresqlSettings:
        """Return how a client gets in while it runs."""
        return PostgresqlSettings(
            database=database, host=self._socket, port=PORT, user=self._superuser, binaries=self._programs
        )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run it once it has recovered; it has ended when this is left. Raises DrillFailed with the end of its log."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        (self.folder / "hba.conf").write_text("local all all trust\n", encoding="utf-8")
        for name in ("ident.conf", "postgresql.conf"):
            (self.folder / name).touch()
        hand_over(self._data.parent, self._account)
        with socket_folder(self._account) as folder:
            self._socket = str(folder)
            with super().running():
                yield

    def _settings(self) -> Mapping[str, str]:
        # No connection while it recovers: then it needs none of its old limits, and "ready" means recovered.
        return {
            **super()._settings(),
            "config_file": f"{self.folder}/postgresql.conf",
            "hba_file": f"{self.folder}/hba.conf",
            "ident_file": f"{self.folder}/ident.conf",
            "hot_standby": "off",
            "archive_mode": "off",
        }

    def _ready_seconds(self) -> float:
        return self._limits.left_seconds("the cluster recovered")
