"""Runs a restore station's drills when they are due: one at a time, as programs of their own.

What to do is decided by backup/schedule.py from what `bkp drill` wrote down, as for runs; once an hour `bkp predict`
looks at how large the sets have become.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NoReturn

from agent.backup_attempts import AttemptBook, read_json, stamp_of
from agent.backup_child import run_child
from backup.errors import BackupError, Cancelled, ConfigInvalid
from backup.schedule import Attempts, decide, parse_schedule
from backup.settings.document import read_settings
from core.runtime.logging import Log
from probes.drill import DRILLS_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from backup.schedule import Decision, Schedule
    from backup.settings.document import BackupSettings, SetSettings
    from core.runtime.clock import Clock

log = Log("agent")

LOOK_SECONDS: Final = 30.0
SHORTEST_LOOK_SECONDS: Final = 0.2
OVERTIME_SECONDS: Final = 300.0
PREDICT_EVERY: Final = timedelta(hours=1)
PREDICT_LIMIT_SECONDS: Final = 900.0


class DrillKeeper:
    """Keeps the schedule of the drills in a restore station's backup.toml."""

    def __init__(self, file: Path, folder: Path, clock: Clock) -> None:
        """`folder` is where the probe `drill` looks for the list of sets."""
        self._file = file
        self._folder = folder
        self._clock = clock
        self._started_at = self._now()
        self._settings: BackupSettings | None = None
        self._stamp: tuple[int, int] | None = (0, 0)
        self._attempts = AttemptBook(entry="last_drill")
        self._since: dict[str, datetime] = {}
        self._predicted_at: datetime | None = None

    async def run(self) -> NoReturn:
        """Start what is due until cancelled; a drill that is under way then is ended, and proves nothing."""
        while True:
            self._read_settings()
            looks: list[datetime] = []
            if (settings := self._settings) is not None:
                for chosen in settings.sets:
                    decision = self._decide(settings, chosen)
                    if decision.due_at is not None:
                        await self._drill(settings, chosen, decision)
                    elif decision.look_at is not None:
                        looks.append(decision.look_at)
                await self._predict()
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
            log.error("The drills' configuration cannot be used", file=self._file, error=error)
            return
        self._settings = settings
        self._predicted_at = None
        log.info("The agent keeps drills", file=self._file, sets=",".join(each.name for each in settings.sets))

    def _list_sets(self, settings: BackupSettings) -> None:
        """Tell the probe which sets there are, and what is wanted of them. `since` stays for a set that is known."""
        file = self._folder / DRILLS_FILE
        known = {str(entry["label"]): str(entry["since"]) for entry in read_json(file).get("sets", [])}
        entries = []
        for each in settings.sets:
            label, period = _label(settings, each), parse_schedule(_schedule(settings, each)).period
            within = each.restore_within
            since = known.get(label, self._now().isoformat())
            self._since[label] = datetime.fromisoformat(since)
            entries.append(
                {
                    "label": label,
                    "period_seconds": None if period is None else period.total_seconds(),
                    "since": since,
                    "within_seconds": None if within is None else within.total_seconds(),
                }
            )
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = file.with_suffix(".new")
        draft.write_text(json.dumps({"state": str(settings.state / "drills"), "sets": entries}, indent=1) + "\n")
        draft.replace(file)

    def _decide(self, settings: BackupSettings, chosen: SetSettings) -> Decision:
        label, schedule, now = _label(settings, chosen), parse_schedule(_schedule(settings, chosen)), self._now()
        state = settings.state / "drills" / f"{label}.json"
        known = self._attempts.known(label, state, schedule.last_due(now)) or self._first(label, schedule)
        if known is not None and not known.is_ok and _was_broken_off(state):
            known = replace(known, may_help=True)  # its agent stopped: a week without a proof is too long
        return decide(schedule, name=f"drill {label}", known=known, started_at=self._started_at, now=now)

    def _first(self, label: str, schedule: Schedule) -> Attempts | None:
        """Return what stands for a drill of a new set: it has nothing to prove before its schedule's next instant."""
        since = self._since.get(label)
        before = None if since is None else schedule.last_due(since)
        if before is None:
            return None
        return Attempts(due_at=before, is_ok=True, may_help=False, count=1, ended_at=since)

    async def _drill(self, settings: BackupSettings, chosen: SetSettings, decision: Decision) -> None:
        """Run a drill to its end. Cancelled, or late beyond its limit, it is ended first."""
        label, due_at = _label(settings, chosen), decision.due_at
        if due_at is None:
            return
        self._attempts.begin(label, parse_schedule(_schedule(settings, chosen)).last_due(self._now()))
        log.info("A drill starts", set=label, due_at=due_at, reason=decision.reason)
        limit = settings.drills.time_limit.total_seconds() + OVERTIME_SECONDS
        code, words = await self._bkp(limit, "drill", label, "--due", due_at.isoformat())
        if code == 0:
            log.info("A drill has proven its set", set=label)
        else:
            log.error("A drill failed", set=label, exit_code=code, error=words)
        self._attempts.end(label, due_at, code, self._now())

    async def _predict(self) -> None:
        """Look once an hour how large the sets have become; what cannot be looked at keeps its prediction."""
        now = self._now()
        if self._settings is None or (self._predicted_at is not None and now - self._predicted_at < PREDICT_EVERY):
            return
        self._predicted_at = now
        code, words = await self._bkp(PREDICT_LIMIT_SECONDS, "predict")
        if code not in (0, 1):
            log.warning("How long restores will take cannot be predicted", exit_code=code, error=words)

    async def _bkp(self, limit_seconds: float, *arguments: str) -> tuple[int, str]:
        """Run `bkp`; return its exit code and last words."""
        command = [
            sys.executable, "-m", "backup.command", *arguments, "--json", "--config", str(self._file)
        ]  # fmt: skip
        try:
            return await run_child(command, limit_seconds)
        except OSError as error:
            return BackupError.exit_code, f"bkp cannot be started: {error}"


def _label(settings: BackupSettings, chosen: SetSettings) -> str:
    return f"{settings.host_of(chosen)}/{chosen.name}"


def _schedule(settings: BackupSettings, chosen: SetSettings) -> str:
    return chosen.drill or settings.drills.schedule


def _was_broken_off(state: Path) -> bool:
    last = read_json(state).get("last_drill")
    return isinstance(last, dict) and last.get("exit_code") == Cancelled.exit_code
