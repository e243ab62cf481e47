"""A backup.toml that an agent keeps to: read again when it has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.backups.attempts import stamp_of
from backup.errors import ConfigInvalid
from backup.settings.document import read_settings
from core.runtime.logging import Log

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from backup.settings.document import BackupSettings

log = Log("agent")


class WatchedSettings:
    """What the file says; a broken one leaves in force what was read before, and is told once."""

    def __init__(self, file: Path, keeps: str) -> None:
        """`keeps` says in the log what the agent does by it: "runs"."""
        self._file, self._keeps = file, keeps
        self._stamp: tuple[int, int] | None = (0, 0)
        self.newest: BackupSettings | None = None

    def read(self, take: Callable[[BackupSettings], None]) -> bool:
        """Read the file when it has changed; return whether it did and could be. `take` may raise OSError."""
        stamp = stamp_of(self._file)
        if stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            settings = read_settings(self._file)
            take(settings)
        except (OSError, ConfigInvalid) as error:
            log.error("The configuration of backups cannot be used", of=self._keeps, file=self._file, error=error)
            return False
        self.newest = settings
        sets = ",".join(each.name for each in settings.sets)
        log.info("The agent keeps the schedules of backups", of=self._keeps, file=self._file, sets=sets)
        return True
