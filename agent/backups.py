"""Runs this host's backups when they are due, as programs of their own, with or without a server.

What to do is decided by backup/schedule.py from what `bkp run` wrote down; this file only waits, starts and ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn

from agent.backup_attempts import AttemptBook, read_json, stamp_of
from agent.backup_child import run_child
from backup.errors import BackupError, ConfigInvalid
from backup.schedule import Terms, decide, parse_schedule
from backup.settings import read_settings
from core.runtime.logging import Log
from core.runtime.window import parse_window
from probes.backup import RUNS_FILE, SETS_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from backup.schedule import Decision
    from backup.settings import BackupSettings, SetSettings
    from core.runtime.clock import Clock

log = Log("agent")

LOOK_SECONDS: Final = 30.0
"""How soon a changed configuration, or a run started by hand, is noticed."""
SHORTEST_LOOK_SECONDS: Final = 0.2
OVERTIME_SECONDS: Final = 300.0
"""A run ends itself at its own time limit; one that hangs even then is ended from here after so long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """A run to start under the id (set, due_at)."""

    chosen: SetSettings
    due_at: datetime
    reason: str


class BackupKeeper:
    """Keeps the schedule of the sets in one backup.toml."""

    def __init__(self, file: Path, folder: Path, clock: Clock) -> None:
        """`folder` is where the probe `backup` looks for the list of sets, and for which of them wait."""
        self._file = file
        self._folder = folder
        self._clock = clock
        self._started_at = self._now()
        self._settings: BackupSettings | None = None
        self._stamp: tuple[int, int] | None = (0, 0)
        self._attempts = AttemptBook()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._waiting: dict[str, datetime] = {}
        self._told: dict[str, Any] | None = None
        self._changed = asyncio.Event()

    async def run(self) -> NoReturn:
        """Start what is due until cancelled; runs that are under way then are ended in order first."""
        try:
            while True:
                self._changed.clear()
                self._read_settings()
                await self._sleep(self._start_due())
        finally:
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now_us() / 1e6, tz=UTC)

    async def _sleep(self, seconds: float) -> None:
        """Return after so long, or as soon as a run has ended; raise what a run ended with that is a defect of ours."""
        tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(self._clock.sleep(seconds)),
            asyncio.create_task(self._changed.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        for name, task in list(self._running.items()):
            if task.done():
                del self._running[name]
                task.result()

    def _start_due(self) -> float:
        """Start what is due and has room; return in how many seconds to look again."""
        settings, now = self._settings, self._now()
        if settings is None:
            return LOOK_SECONDS
        looks: list[datetime] = []
        due: list[_Due] = []
        for chosen in settings.sets:
            if chosen.name in self._running:
                continue
            decision = self._decide(settings, chosen)
            if decision.due_at is not None:
                due.append(_Due(chosen=chosen, due_at=decision.due_at, reason=decision.reason))
            elif decision.look_at is not None:
                looks.append(decision.look_at)
        due.sort(key=lambda each: each.due_at)
        room = max(0, settings.at_once - len(self._running))
        for each in due[:room]:
            self._running[each.chosen.name] = asyncio.create_task(
                self._save(settings, each), name=f"backup {each.chosen.name}"
            )
        names = [each.chosen.name for each in due[room:]]
        self._waiting = {name: self._waiting.get(name, now) for name in names}
        self._tell()
        return max(SHORTEST_LOOK_SECONDS, min([LOOK_SECONDS, *((at - now).total_seconds() for at in looks)]))

    def _read_settings(self) -> None:
        """Read backup.toml when it has changed; a broken one leaves what was read before in force and is told once."""
        stamp = stamp_of(self._file)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            settings = read_settings(self._file)
            self._list_sets(settings)
        except (OSError, ConfigInvalid) as error:
            log.error("The backups' configuration cannot be used", file=self._file, error=error)
            return
        self._settings = settings
        log.info("The agent keeps backups", file=self._file, sets=",".join(each.name for each in settings.sets))

    def _list_sets(self, settings: BackupSettings) -> None:
        """Tell the probe which sets there are, and what their schedules want. `since` stays for a set that is known."""
        file = self._folder / SETS_FILE
        known = {str(entry["name"]): str(entry["since"]) for entry in read_json(file).get("sets", [])}
        entries = []
        for each in settings.sets:
            period = parse_schedule(each.schedule).period
            entries.append(
                {
                    "name": each.name,
                    "period_seconds": None if period is None else period.total_seconds(),
                    "since": known.get(each.name, self._now().isoformat()),
                    "window": each.window,
                    "lose_at_most_seconds": None if each.lose_at_most is None else each.lose_at_most.total_seconds(),
                }
            )
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(file, {"state": str(settings.state), "sets": entries})

    def _tell(self) -> None:
        """Tell the probe which sets wait; a disk that cannot take it is told of once a look."""
        told = {"waiting": {name: since.isoformat() for name, since in self._waiting.items()}}
        if told == self._told:
            return
        try:
            _replace(self._folder / RUNS_FILE, told)
        except OSError as error:
            log.error("What waits cannot be written down", folder=self._folder, error=error)
        else:
            self._told = told

    def _decide(self, settings: BackupSettings, chosen: SetSettings) -> Decision:
        schedule, now = parse_schedule(chosen.schedule), self._now()
        return decide(
            schedule,
            name=f"{settings.host}/{chosen.name}",
            known=self._attempts.known(chosen.name, settings.state / f"{chosen.name}.json", schedule.last_due(now)),
            started_at=self._started_at,
            now=now,
            terms=Terms(
                window=None if chosen.window is None else parse_window(chosen.window), catch_up=chosen.catch_up
            ),
        )

    async def _save(self, settings: BackupSettings, due: _Due) -> None:
        """Run a set to its end. Cancelled, or late beyond its limit, it is ended first."""
        name = due.chosen.name
        self._attempts.begin(name, parse_schedule(due.chosen.schedule).last_due(self._now()))
        command = [
            sys.executable, "-m", "backup.command", "run", name, "--due", due.due_at.isoformat(),
            "--json", "--config", str(self._file),
        ]  # fmt: skip
        log.info("A backup starts", host=settings.host, set=name, due_at=due.due_at, reason=due.reason)
        limit = due.chosen.time_limit.total_seconds() + OVERTIME_SECONDS
        try:
            code, words = await run_child(command, limit)
        except OSError as error:
            code, words = BackupError.exit_code, f"bkp cannot be started: {error}"
        if code == 0:
            log.info("A backup is done", set=name)
        else:
            log.error("A backup failed", set=name, exit_code=code, error=words)
        self._attempts.end(name, due.due_at, code, self._now())
        self._changed.set()


def _replace(file: Path, table: dict[str, Any]) -> None:
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps(table, indent=1) + "\n")
    draft.replace(file)
