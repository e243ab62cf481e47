"""Archives the binary logs of this host's sets, each every so long as it says, with or without a server."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NoReturn

from agent.backups.child import run_child
from agent.backups.settings import WatchedSettings
from backup.errors import BackupError
from core.runtime.logging import Log

if TYPE_CHECKING:
    from pathlib import Path

    from backup.settings.backup_set import SetSettings
    from backup.settings.document import BackupSettings
    from core.runtime.clock import Clock

log = Log("agent")

LOOK_SECONDS: Final = 30.0
OVERTIME_SECONDS: Final = 300.0


class ArchiveKeeper:
    """Keeps the intervals of the sets in one backup.toml; `bkp binlog archive` writes down how each went."""

    def __init__(self, file: Path, clock: Clock) -> None:
        self._file, self._clock = file, clock
        self._settings = WatchedSettings(file, "archives of binary logs")
        self._begun: dict[str, datetime] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._failed: set[str] = set()

    async def run(self) -> NoReturn:
        """Archive what is due until cancelled; what is under way then is ended, and loses nothing."""
        try:
            while True:
                self._settings.read(lambda settings: None)  # noqa: ARG005 - nobody else is told
                await self._clock.sleep(self._start_due())
        finally:
            tasks = list(self._running.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _start_due(self) -> float:
        """Start what is due; return in how many seconds to look again."""
        for name, task in list(self._running.items()):
            if task.done():
                del self._running[name]
                task.result()
        settings, now = self._settings.newest, datetime.fromtimestamp(self._clock.now_us() / 1e6, tz=UTC)
        seconds = LOOK_SECONDS
        for chosen in () if settings is None else settings.sets:
            every = chosen.binary_logs
            if settings is None or every is None:
                continue
            due_at = self._begun.get(chosen.name, now - every) + every
            # A clock that was ahead for a while delays nothing.
            if chosen.name not in self._running and not now < due_at <= now + every:
                self._begun[chosen.name], due_at = now, now + every
                self._running[chosen.name] = asyncio.create_task(
                    self._archive(settings, chosen), name=f"archive {chosen.name}"
                )
            seconds = min(seconds, max(1.0, (due_at - now).total_seconds()))
        return seconds

    async def _archive(self, settings: BackupSettings, chosen: SetSettings) -> None:
        """Archive a set's logs to the end; only what changes is logged."""
        command = [
            sys.executable, "-m", "backup.command", "binlog", "archive", chosen.name, "--json", "--config",
            str(self._file),
        ]  # fmt: skip
        try:
            code, words = await run_child(command, chosen.time_limit.total_seconds() + OVERTIME_SECONDS)
        except OSError as error:
            code, words = BackupError.exit_code, f"bkp cannot be started: {error}"
        if code != 0 and chosen.name not in self._failed:
            self._failed.add(chosen.name)
            log.error(
                "Binary logs cannot be archived", host=settings.host, set=chosen.name, exit_code=code, error=words
            )
        elif code == 0 and chosen.name in self._failed:
            self._failed.discard(chosen.name)
            log.info("Binary logs are archived again", host=settings.host, set=chosen.name)
