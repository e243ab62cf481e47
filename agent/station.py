"""Does a restore station's drills and verifications when they are due: one at a time, as programs of their own.

What to do is decided by backup/schedule.py from what `bkp` wrote down, as for runs; once an hour `bkp predict` looks at
how large the sets have become.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NoReturn

from agent.backups.attempts import AttemptBook, read_json
from agent.backups.child import run_child
from agent.backups.lists import list_sets
from agent.backups.settings import WatchedSettings
from agent.station_duties import DUTIES
from backup.errors import BackupError, Cancelled, NoRestorePoint
from backup.schedule import Attempts, decide, parse_schedule
from core.runtime.logging import Log

if TYPE_CHECKING:
    from pathlib import Path

    from agent.station_duties import Duty
    from backup.schedule import Decision, Schedule
    from backup.settings.backup_set import SetSettings
    from backup.settings.document import BackupSettings
    from core.runtime.clock import Clock

log = Log("agent")

LOOK_SECONDS: Final = 30.0
SHORTEST_LOOK_SECONDS: Final = 0.2
OVERTIME_SECONDS: Final = 300.0
PREDICT_EVERY: Final = timedelta(hours=1)
PREDICT_LIMIT_SECONDS: Final = 900.0


class StationKeeper:
    """Keeps the schedules in a restore station's backup.toml."""

    def __init__(self, file: Path, folder: Path, clock: Clock) -> None:
        """`folder` is where the probes `drill` and `verification` look for the lists of sets."""
        self._file = file
        self._folder = folder
        self._clock = clock
        self._started_at = self._now()
        self._settings = WatchedSettings(file, "drills and verifications")
        self._attempts = {duty.name: AttemptBook(entry=duty.entry) for duty in DUTIES}
        self._since: dict[tuple[str, str], datetime] = {}
        self._predicted_at: datetime | None = None

    async def run(self) -> NoReturn:
        """Start what is due until cancelled; what is under way then is ended, and shows nothing."""
        while True:
            if self._settings.read(self._list_sets):
                self._predicted_at = None
            looks: list[datetime] = []
            if (settings := self._settings.newest) is not None:
                for duty, chosen in ((duty, chosen) for duty in DUTIES for chosen in settings.sets):
                    decision = self._decide(settings, duty, chosen)
                    if decision.due_at is not None:
                        await self._do(settings, duty, chosen, decision)
                    elif decision.look_at is not None:
                        looks.append(decision.look_at)
                await self._predict()
            seconds = min([LOOK_SECONDS, *((at - self._now()).total_seconds() for at in looks)])
            await self._clock.sleep(max(SHORTEST_LOOK_SECONDS, seconds))

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now_us() / 1e6, tz=UTC)

    def _list_sets(self, settings: BackupSettings) -> None:
        """Tell the probes which sets there are, and what is wanted of them."""
        for duty in DUTIES:
            entries = []
            for each in settings.sets:
                period = parse_schedule(duty.schedule(settings, each)).period
                entries.append(
                    {
                        "label": _label(settings, each),
                        "period_seconds": None if period is None else period.total_seconds(),
                        **duty.wanted(settings, each),
                    }
                )
            state = settings.state / duty.folder
            since = list_sets(self._folder / duty.list_file, state, entries, "label", self._now())
            self._since |= {(duty.name, label): at for label, at in since.items()}

    def _decide(self, settings: BackupSettings, duty: Duty, chosen: SetSettings) -> Decision:
        label, schedule, now = _label(settings, chosen), parse_schedule(duty.schedule(settings, chosen)), self._now()
        state = settings.state / duty.folder / f"{label}.json"
        self._started_at = min(self._started_at, now)  # the clock may have been ahead
        known = self._attempts[duty.name].known(label, state, schedule.last_due(now), now)
        known = known or self._first(duty, label, schedule)
        if known is not None and not known.is_ok and _was_broken_off(state, duty.entry):
            known = replace(known, may_help=True)  # its agent stopped: a week without a proof is too long
        return decide(schedule, name=f"{duty.name} {label}", known=known, started_at=self._started_at, now=now)

    def _first(self, duty: Duty, label: str, schedule: Schedule) -> Attempts | None:
        """Return what stands for the first one of a new set: nothing is due before its schedule's next instant."""
        since = self._since.get((duty.name, label))
        before = None if since is None else schedule.last_due(since)
        if before is None:
            return None
        return Attempts(due_at=before, is_ok=True, may_help=False, count=1, ended_at=since)

    async def _do(self, settings: BackupSettings, duty: Duty, chosen: SetSettings, decision: Decision) -> None:
        """Do what is due to its end. Cancelled, or late beyond its limit, it is ended first."""
        label, due_at, attempts = _label(settings, chosen), decision.due_at, self._attempts[duty.name]
        if due_at is None:
            return
        attempts.begin(label, parse_schedule(duty.schedule(settings, chosen)).last_due(self._now()))
        log.info(duty.begins, set=label, due_at=due_at, reason=decision.reason)
        limit = duty.time_limit(settings).total_seconds() + OVERTIME_SECONDS
        code, words = await self._bkp(limit, *duty.arguments(settings), label, "--due", due_at.isoformat())
        if code == 0:
            log.info(duty.done, set=label)
        else:
            log.error(duty.failed, set=label, exit_code=code, error=words)
        attempts.end(label, due_at, code, self._now())

    async def _predict(self) -> None:
        """Look once an hour how large the sets have become; what cannot be looked at keeps its prediction."""
        now = self._now()
        if self._predicted_at is not None and abs(now - self._predicted_at) < PREDICT_EVERY:
            return
        self._predicted_at = now
        code, words = await self._bkp(PREDICT_LIMIT_SECONDS, "predict")
        if code not in (0, 1, NoRestorePoint.exit_code):  # a set that was never saved has no point yet
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


def _was_broken_off(state: Path, entry: str) -> bool:
    last = read_json(state).get(entry)
    return isinstance(last, dict) and last.get("exit_code") == Cancelled.exit_code
