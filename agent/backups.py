"""Runs this host's backups when they are due: one at a time, as programs of their own, with or without a server.

What to do is decided by backup/schedule.py from what `bkp run` wrote down; this file only waits, starts and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn

from backup.errors import (
    BackupError,
    ConfigInvalid,
    EngineFailed,
    ObjectMissing,
    RunKilled,
    SetBusy,
    SourceFailed,
    TargetAway,
    TargetDiffers,
    TargetFull,
)
from backup.schedule import Attempts, decide, parse_schedule
from backup.settings import read_settings
from core.runtime.logging import Log
from probes.backup import SETS_FILE

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
END_SECONDS: Final = 8.0
"""What a run may take to end in order when the agent stops; `watchkeep up` waits 15 s for the agent."""
_TAIL_BYTES: Final = 4000
_MOST_STATE_BYTES: Final = 1 << 20
_PASSING: Final = (
    BackupError,
    EngineFailed,
    ObjectMissing,
    RunKilled,
    SetBusy,
    SourceFailed,
    TargetAway,
    TargetDiffers,
    TargetFull,
)
MAY_HELP: Final = frozenset(kind.exit_code for kind in _PASSING)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """A run to start."""

    chosen: SetSettings
    decision: Decision


class BackupKeeper:
    """Keeps the schedule of the sets in one backup.toml."""

    def __init__(self, file: Path, folder: Path, clock: Clock) -> None:
        """`folder` is where the probe `backup` looks for the list of sets."""
        self._file = file
        self._folder = folder
        self._clock = clock
        self._started_at = self._now()
        self._settings: BackupSettings | None = None
        self._stamp: tuple[int, int] | None = (0, 0)
        self._own: dict[str, Attempts] = {}
        self._attempts: dict[str, tuple[datetime | None, int]] = {}

    async def run(self) -> NoReturn:
        """Start what is due until cancelled; a run that is under way then is ended in order first."""
        while True:
            self._read_settings()
            looks: list[datetime] = []
            due: list[_Due] = []
            if self._settings is not None:
                for chosen in self._settings.sets:
                    decision = self._decide(self._settings, chosen)
                    if decision.due_at is not None:
                        due.append(_Due(chosen=chosen, decision=decision))
                    elif decision.look_at is not None:
                        looks.append(decision.look_at)
            if due and self._settings is not None:
                await self._start(self._settings, min(due, key=lambda each: each.decision.due_at or self._now()))
                continue
            seconds = min([LOOK_SECONDS, *((at - self._now()).total_seconds() for at in looks)])
            await self._clock.sleep(max(SHORTEST_LOOK_SECONDS, seconds))

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now_us() / 1e6, tz=UTC)

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
        known = {str(entry["name"]): str(entry["since"]) for entry in read_table(file).get("sets", [])}
        entries = []
        for each in settings.sets:
            period = parse_schedule(each.schedule).period
            entries.append(
                {
                    "name": each.name,
                    "period_seconds": None if period is None else period.total_seconds(),
                    "since": known.get(each.name, self._now().isoformat()),
                    "lose_at_most_seconds": None if each.lose_at_most is None else each.lose_at_most.total_seconds(),
                }
            )
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = file.with_suffix(".new")
        draft.write_text(json.dumps({"state": str(settings.state), "sets": entries}, indent=1) + "\n")
        draft.replace(file)

    def _decide(self, settings: BackupSettings, chosen: SetSettings) -> Decision:
        schedule = parse_schedule(chosen.schedule)
        base, count = self._attempts.get(chosen.name, (None, 0))
        known = self._own.get(chosen.name)
        written = attempts_of(read_table(settings.state / f"{chosen.name}.json").get("last_run"))
        if written is not None and (known is None or written.due_at >= known.due_at):
            known = written
        if known is not None and base == schedule.last_due(self._now()):
            known = replace(known, count=max(known.count, count))
        return decide(
            schedule,
            name=f"{settings.host}/{chosen.name}",
            known=known,
            started_at=self._started_at,
            now=self._now(),
        )

    async def _start(self, settings: BackupSettings, due: _Due) -> None:
        """Run a set to its end. Cancelled, or late beyond its limit, it is ended first."""
        name, due_at = due.chosen.name, due.decision.due_at
        if due_at is None:
            return
        base = parse_schedule(due.chosen.schedule).last_due(self._now())
        before = self._attempts.get(name, (None, 0))
        self._attempts[name] = (base, before[1] + 1 if before[0] == base else 1)
        command = [
            *end_with_us(), sys.executable, "-m", "backup.command", "run", name, "--due", due_at.isoformat(),
            "--json", "--config", str(self._file),
        ]  # fmt: skip
        log.info("A backup starts", host=settings.host, set=name, due_at=due_at, reason=due.decision.reason)
        limit = due.chosen.time_limit.total_seconds() + OVERTIME_SECONDS
        try:
            code, words = await run_child(command, limit)
        except OSError as error:
            code, words = BackupError.exit_code, f"bkp cannot be started: {error}"
        if code == 0:
            log.info("A backup is done", set=name)
        else:
            log.error("A backup failed", set=name, exit_code=code, error=words)
        self._own[name] = Attempts(
            due_at=due_at,
            is_ok=code == 0,
            may_help=code in MAY_HELP or code < 0,
            count=self._attempts[name][1],
            ended_at=self._now(),
        )


async def run_child(command: list[str], limit_seconds: float) -> tuple[int, str]:
    """Return exit code and last words on standard error. The child has ended when this returns or raises."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    tail = b""
    try:
        async with asyncio.timeout(limit_seconds):
            while process.stderr is not None and (part := await process.stderr.read(_TAIL_BYTES)):
                tail = (tail + part)[-_TAIL_BYTES:]
            code = await process.wait()
    except TimeoutError:
        code = await _end(process)
        return code, f"it was ended after {limit_seconds:g} s"
    except asyncio.CancelledError:
        await _end(process)
        raise
    lines = tail.decode(errors="replace").strip().splitlines()
    return code, lines[-1][:500] if lines else ""


async def _end(process: asyncio.subprocess.Process) -> int:
    """SIGTERM; SIGKILL to the whole session when that does not help."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(END_SECONDS):
            return await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return await process.wait()


def end_with_us() -> list[str]:
    """Return what makes the child get SIGTERM when the agent is killed: nobody would end it at its limit then."""
    setpriv = shutil.which("setpriv")
    return [] if setpriv is None else [setpriv, "--pdeathsig", "TERM", "--"]


def attempts_of(run: Any) -> Attempts | None:
    """Return what the state file says of the last run; None when it says nothing that can be used."""
    try:
        status, due_at = run["status"], datetime.fromisoformat(run["due_at"])
        ended_at = datetime.fromisoformat(run["ended_at"]) if run.get("ended_at") else None
        started_at = datetime.fromisoformat(run["started_at"])
        is_lost = status == "killed" or (status == "running" and not _is_alive(int(run["pid"])))
        if is_lost:
            ended_at = ended_at or started_at
        return Attempts(
            due_at=due_at,
            is_ok=status == "ok",
            may_help=is_lost or run.get("exit_code") in MAY_HELP,
            count=1,
            ended_at=ended_at if status != "running" or is_lost else None,
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def stamp_of(file: Path) -> tuple[int, int] | None:
    """Return what changes when a file is written; None when it is not there."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def read_table(file: Path) -> dict[str, Any]:
    """Return a JSON file's table; empty when there is none that can be read: the next run writes it anew."""
    try:
        with file.open("rb") as opened:
            found = json.loads(opened.read(_MOST_STATE_BYTES))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
