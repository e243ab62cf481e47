"""Runs this host's backups when they are due, as programs of their own, with or without a server.

What to do is decided by backup/schedule.py from what `bkp run` wrote down; this file only waits, starts and ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn

from agent.backup_attempts import AttemptBook, read_json
from agent.backup_child import run_child
from agent.backup_lists import list_sets, replace_table
from agent.backup_orders import OrderBook
from agent.backup_settings import WatchedSettings
from backup.errors import BackupError
from backup.schedule import Terms, decide, parse_schedule
from core.runtime.logging import Log
from core.runtime.window import parse_window
from probes.backup import RUNS_FILE, SETS_FILE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agent.backup_orders import RunOrder, State
    from backup.schedule import Decision
    from backup.settings.document import BackupSettings, SetSettings
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
    is_ordered: bool = False


@dataclass(slots=True, kw_only=True)
class _Running:
    """A run under way; `stop` ends it, `phase` is what it does now."""

    due: _Due
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    phase: str = ""
    task: asyncio.Task[None] | None = None


class BackupKeeper:
    """Keeps the schedule of the sets in one backup.toml, and does what a server orders beside it."""

    def __init__(self, file: Path, folder: Path, clock: Clock) -> None:
        """`folder` is where the probe `backup` looks for the list of sets, and for what states do not tell."""
        self._file = file
        self._folder = folder
        self._clock = clock
        self._started_at = self._now()
        self._settings = WatchedSettings(file, "runs")
        self._attempts = AttemptBook()
        self._orders: Sequence[RunOrder] = ()
        self._book = OrderBook(read_json(folder / RUNS_FILE).get("orders"))
        self._running: dict[str, _Running] = {}
        self._waiting: dict[str, datetime] = {}
        self._told: dict[str, Any] | None = None
        self._changed = asyncio.Event()

    async def run(self) -> NoReturn:
        """Start what is due until cancelled; runs that are under way then are ended in order first."""
        try:
            while True:
                self._changed.clear()
                self._settings.read(self._list_sets)
                await self._sleep(self._start_due())
        finally:
            tasks = [each.task for each in self._running.values() if each.task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def order(self, orders: Sequence[RunOrder]) -> None:
        """Do what a server orders now; what it does not order any more, it has our answer to."""
        self._orders = orders
        self._changed.set()

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
        for name, running in list(self._running.items()):
            if running.task is not None and running.task.done():
                del self._running[name]
                running.task.result()

    def _start_due(self) -> float:
        """Start what is due and has room; return in how many seconds to look again."""
        settings, now = self._settings.newest, self._now()
        if settings is None:
            return LOOK_SECONDS
        looks: list[datetime] = []
        due = self._ordered(settings, now)
        ordered = {each.chosen.name for each in due}
        for chosen in settings.sets:
            if chosen.name in self._running or chosen.name in ordered:
                continue
            decision = self._decide(settings, chosen)
            if decision.due_at is not None:
                due.append(_Due(chosen=chosen, due_at=decision.due_at, reason=decision.reason))
            elif decision.look_at is not None:
                looks.append(decision.look_at)
        due.sort(key=lambda each: (not each.is_ordered, each.due_at))
        room = max(0, settings.at_once - len(self._running))
        for each in due[:room]:
            if each.is_ordered:
                self._book.answer(each.chosen.name, each.due_at, "started")
            self._running[each.chosen.name] = _Running(due=each)
        names = [each.chosen.name for each in due[room:]]
        self._waiting = {name: self._waiting.get(name, now) for name in names}
        self._tell()  # first: an order that was begun is begun again after a crash, and not refused as too late
        for running in self._running.values():
            if running.task is None:
                running.task = asyncio.create_task(
                    self._save(settings, running), name=f"backup {running.due.chosen.name}"
                )
        return max(SHORTEST_LOOK_SECONDS, min([LOOK_SECONDS, *((at - now).total_seconds() for at in looks)]))

    def _ordered(self, settings: BackupSettings, now: datetime) -> list[_Due]:
        """Answer what cannot be done or is to be ended, and return the orders to be followed now."""
        found: list[_Due] = []
        sets = {each.name: each for each in settings.sets}
        for order in self._orders:
            running = self._running.get(order.set)
            if running is not None and running.due.due_at == order.due_at:
                if order.is_cancelled:
                    running.stop.set()
            elif self._book.is_over(order):
                continue
            elif order.is_cancelled:
                self._book.answer(order.set, order.due_at, "cancelled", "before it began")
            elif order.set not in sets:
                self._book.answer(order.set, order.due_at, "refused", "this host has no such set")
            elif running is not None:
                text = f"the run due {running.due.due_at:%Y-%m-%d %H:%M:%S} UTC is under way"
                self._book.answer(order.set, order.due_at, "refused", text)
            elif now > order.expires_at and not self._book.is_begun(order):
                self._book.answer(order.set, order.due_at, "refused", "the order came too late")
            else:
                found.append(
                    _Due(chosen=sets[order.set], due_at=order.due_at, reason="it was ordered", is_ordered=True)
                )
        return found

    def _list_sets(self, settings: BackupSettings) -> None:
        """Tell the probe which sets there are, and what their schedules want."""
        entries = []
        for each in settings.sets:
            period = parse_schedule(each.schedule).period
            entries.append(
                {
                    "name": each.name,
                    "period_seconds": None if period is None else period.total_seconds(),
                    "window": each.window,
                    "lose_at_most_seconds": None if each.lose_at_most is None else each.lose_at_most.total_seconds(),
                }
            )
        list_sets(self._folder / SETS_FILE, settings.state, entries, "name", self._now())

    def _tell(self) -> None:
        """Tell the probe which sets wait, what runs do, what became of orders; a disk in the way is logged."""
        told = {
            "waiting": {name: since.isoformat() for name, since in self._waiting.items()},
            "phases": {name: running.phase for name, running in self._running.items()},
            "orders": self._book.table,
        }
        if told == self._told:
            return
        try:
            replace_table(self._folder / RUNS_FILE, told)
        except OSError as error:
            log.error("How the backups stand cannot be written down", folder=self._folder, error=error)
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

    async def _save(self, settings: BackupSettings, running: _Running) -> None:
        """Run a set to its end. Cancelled, stopped, or late beyond its limit, it is ended first."""
        due, name = running.due, running.due.chosen.name

        def hear(line: str) -> None:
            phase = _phase_of(line)
            if phase is not None and phase != running.phase:
                running.phase = phase
                self._tell()

        self._attempts.begin(name, parse_schedule(due.chosen.schedule).last_due(self._now()))
        command = [
            sys.executable, "-m", "backup.command", "run", name, "--due", due.due_at.isoformat(),
            "--json", "--config", str(self._file),
        ]  # fmt: skip
        log.info("A backup starts", host=settings.host, set=name, due_at=due.due_at, reason=due.reason)
        limit = due.chosen.time_limit.total_seconds() + OVERTIME_SECONDS
        try:
            code, words = await run_child(command, limit, hear, running.stop)
        except OSError as error:
            code, words = BackupError.exit_code, f"bkp cannot be started: {error}"
        if code == 0:
            log.info("A backup is done", set=name)
        else:
            log.error("A backup failed", set=name, exit_code=code, error=words)
        self._attempts.end(name, due.due_at, code, self._now())
        if due.is_ordered:
            ended: State = "ok" if code == 0 else "cancelled" if running.stop.is_set() else "failed"
            self._book.answer(name, due.due_at, ended, "" if code == 0 else words)
        self._changed.set()


def _phase_of(line: str) -> str | None:
    """Return the phase that a line of `bkp run --json` tells of."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    phase = found.get("phase") if isinstance(found, dict) else None
    return phase if isinstance(phase, str) else None
