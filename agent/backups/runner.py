"""Runs this host's backups when they are due, as programs of their own, with or without a server.

What to do is decided by backup/schedule.py from what `bkp run` wrote down; this file only waits, starts and ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn

from agent.backups.attempts import AttemptBook
from agent.backups.child import run_child
from agent.backups.orders import OrderBook
from agent.backups.places import PlaceBook
from agent.backups.settings import WatchedSettings
from agent.backups.telling import BackupTeller
from agent.backups.told import BackupTold
from agent.backups.turns import Due, Running, take_turns
from agent.backups.wants import ScheduledWants
from backup.errors import BackupError
from backup.saving.journal import sets_under_way
from backup.schedule import parse_schedule
from core.runtime.logging import Log

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from agent.backups.orders import RunOrder, State
    from agent.backups.places import Claim
    from backup.schedule import Decision
    from backup.settings.backup_set import SetSettings
    from backup.settings.document import BackupSettings
    from core.runtime.clock import Clock

log = Log("agent")

LOOK_SECONDS: Final = 30.0
"""How soon a changed configuration, or a run started by hand, is noticed."""
SHORTEST_LOOK_SECONDS: Final = 0.2
OVERTIME_SECONDS: Final = 300.0
"""A run ends itself at its own time limit; one that hangs even then is ended from here after so long."""


class BackupKeeper:
    """Keeps the schedule of the sets in one backup.toml, and does what a server orders beside it."""

    def __init__(self, file: Path, folder: Path, clock: Clock) -> None:
        """`folder` is where the probe `backup` looks for the list of sets, and for what states do not tell."""
        self._file = file
        self._clock = clock
        self._settings = WatchedSettings(file, "runs")
        self._attempts = AttemptBook()
        self._wants = ScheduledWants(self._attempts, self._now())
        self._teller = BackupTeller(folder)
        self._told = BackupTold()
        remembered = self._teller.remembered()
        self._book = OrderBook(remembered.get("orders"))
        self._places = PlaceBook()
        self._unplaced = {str(name) for name in remembered.get("unplaced") or ()}
        self._running: dict[str, Running] = {}
        self._waiting: dict[str, datetime] = {}
        self._claiming: Mapping[str, Claim] = {}
        self._changed = asyncio.Event()

    async def run(self) -> NoReturn:
        """Start what is due until cancelled; runs that are under way then are ended in order first."""
        try:
            while True:
                self._changed.clear()
                self._settings.read(lambda settings: self._teller.list_sets(settings, self._now()))
                await self._sleep(self._start_due())
        finally:
            tasks = [each.task for each in self._running.values() if each.task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def hear(self, told: BackupTold) -> None:
        """Do what a server orders now, under its limits; what it does not order any more, it has our answer to."""
        self._told = told
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
        sets = {each.name: each for each in settings.sets}
        wanted = {
            name: self._wants.decide(settings, each, now) for name, each in sets.items() if name not in self._running
        }
        claims = self._claim(settings, sets, wanted, now)
        due = self._ordered(sets, now)
        ordered = {each.chosen.name for each in due}
        waiting: dict[str, Claim] = {}
        for name, decision in wanted.items():
            claim = claims.get(name)
            if name in ordered:
                continue
            if claim is not None and now < claim.begins_at:
                waiting[name] = claim
                looks.append(claim.begins_at)
            elif claim is not None:
                reason = "it has waited for its place as long as it may, and begins without"
                due.append(Due(chosen=sets[name], due_at=claim.due_at, reason=reason, is_unplaced=True))
            elif decision.due_at is not None:
                due.append(Due(chosen=sets[name], due_at=decision.due_at, reason=decision.reason))
            elif decision.look_at is not None:
                looks.append(decision.look_at)
        by_hand = sets_under_way(settings.work, (name for name in sets if name not in self._running))
        turns = take_turns(due, waiting, settings.at_once - len(self._running) - len(by_hand))
        for each in turns.starting:
            self._take_up(each)
        self._claiming = turns.claiming
        self._waiting = {name: self._waiting.get(name, now) for name in turns.waiting}
        self._tell(settings)  # first: an order that was begun is begun again after a crash, and not refused as too late
        for running in self._running.values():
            if running.task is None:
                running.task = asyncio.create_task(
                    self._save(settings, running), name=f"backup {running.due.chosen.name}"
                )
        return max(SHORTEST_LOOK_SECONDS, min([LOOK_SECONDS, *((at - now).total_seconds() for at in looks)]))

    def _take_up(self, due: Due) -> None:
        name = due.chosen.name
        if due.is_ordered:
            self._book.answer(name, due.due_at, "started")
        self._unplaced.discard(name)
        if due.is_unplaced:
            self._unplaced.add(name)
        self._running[name] = Running(due=due)

    def _claim(
        self, settings: BackupSettings, sets: Mapping[str, SetSettings], wanted: Mapping[str, Decision], now: datetime
    ) -> dict[str, Claim]:
        """Return how the sets wait that are due and need a place under a limit."""
        found: dict[str, Claim] = {}
        for name, decision in wanted.items():
            waiting, limits = self._places.claim_of(name), self._told.limits
            wish = self._wants.wish(settings, sets[name], decision, waiting, limits, now)
            if wish is not None:
                found[name] = self._places.claim(name, wish, self._book.answered(name), now)
        self._places.keep(found)
        return found

    def _ordered(self, sets: Mapping[str, SetSettings], now: datetime) -> list[Due]:
        """Answer what cannot be done or is to be ended, and return the orders to be followed now."""
        found: list[Due] = []
        for order in self._told.orders:
            running = self._running.get(order.set)
            if running is not None and running.due.due_at == order.due_at:
                if not running.due.is_ordered:  # it began by itself before it was told that it may
                    running.due = replace(running.due, is_ordered=True)
                    self._book.answer(order.set, order.due_at, "started")
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
            elif (refusal := self._refusal(order, now)) is not None:
                self._book.answer(order.set, order.due_at, "refused", refusal)
            else:
                reason = "it has got its place" if order.is_given else "it was ordered"
                found.append(Due(chosen=sets[order.set], due_at=order.due_at, reason=reason, is_ordered=True))
        return found

    def _refusal(self, order: RunOrder, now: datetime) -> str | None:
        """Return why an order is not begun any more; None when it is, or was begun before."""
        if self._book.is_begun(order):
            return None
        if now > order.expires_at:
            return "the order came too late"
        if order.is_given and not self._places.waits_for(order.set, order.due_at):
            return "it waits no more: it is not due, not in its window, or was saved meanwhile"
        return None

    def _tell(self, settings: BackupSettings) -> None:
        self._teller.tell(
            waiting=self._waiting, running=self._running, claims=self._claiming, unplaced=self._unplaced,
            book=self._book, state=settings.state,
        )  # fmt: skip

    async def _save(self, settings: BackupSettings, running: Running) -> None:
        """Run a set to its end. Cancelled, stopped, or late beyond its limit, it is ended first."""
        due, name = running.due, running.due.chosen.name

        def hear(line: str) -> None:
            phase = _phase_of(line)
            if phase is not None and phase != running.phase:
                running.phase = phase
                self._tell(settings)

        self._attempts.begin(name, parse_schedule(due.chosen.schedule).last_due(self._now()))
        command = [
            sys.executable, "-m", "backup.command", "run", name, "--due", due.due_at.isoformat(),
            "--json", "--config", str(self._file),
        ]  # fmt: skip
        log.info("A backup starts", host=settings.host, set=name, due_at=due.due_at, reason=due.reason)
        limit = due.chosen.time_limit.total_seconds() + OVERTIME_SECONDS
        try:
            code, words = await run_child(command, limit, hear, running.stop, reads_all=due.chosen.paths is not None)
        except OSError as error:
            code, words = BackupError.exit_code, f"bkp cannot be started: {error}"
        if code == 0:
            log.info("A backup is done", set=name)
        else:
            log.error("A backup failed", set=name, exit_code=code, error=words)
        self._attempts.end(name, due.due_at, code, self._now())
        if running.due.is_ordered:
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
