"""The loop that runs probes when they are due and publishes what they find."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from agent.outlet import status_reading
from core.runtime.logging import Log
from core.runtime.schedule import first_due, next_due
from probes.form import RefusedReadingError
from probes.running import Outcome, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from agent.document import Assignment, Document
    from agent.outlet import Outlet
    from core.runtime.clock import Clock
    from core.runtime.counters import Counters
    from probes.declaration import Item, Reading
    from probes.visit import Visit

log = Log("agent")

TOGETHER_SECONDS: Final = 0.05  # what is due so soon is run now: one wakeup, one record
GRACE_SECONDS: Final = 0.25  # a record waits so long for probes that run beside the loop; later ones get their own
CLOCK_STEP_SECONDS: Final = 1.0
LOOK_SECONDS: Final = 1.0  # between two looks whether a probe that answers to events has news


@dataclass(slots=True, kw_only=True, eq=False)
class _Watch:
    """An assignment at work."""

    assignment: Assignment
    run: Run
    items: dict[str, Item]
    due: float
    task: asyncio.Task[Outcome] | None = None
    status: tuple[str, ...] | None = None

    @property
    def is_busy(self) -> bool:
        return self.task is not None or self.run.is_hanging

    def can_become(self, assignment: Assignment) -> bool:
        """Whether only the pace differs."""
        return self.assignment.probe is assignment.probe and self.assignment.parameters == assignment.parameters


class Sampler:
    """Runs the assignments of the latest document.

    `phase` (0 to 1) is where in each interval this agent samples, so that a network's agents do not all do it at once.
    """

    def __init__(
        self,
        *,
        outlet: Outlet,
        clock: Clock,
        counters: Counters,
        make_visit: Callable[[], Visit],
        phase: float,
    ) -> None:
        self._outlet = outlet
        self._clock = clock
        self._counters = counters
        self._make_visit = make_visit
        self._phase = phase
        self._watches: list[_Watch] = []
        self._is_changed = asyncio.Event()
        self._look_due = 0.0
        self._late: set[asyncio.Task[None]] = set()
        self._offset_us: int | None = None

    def apply(self, document: Document) -> None:
        """Run what `document` says from now on: what is new is read at once, what stays keeps its memory for rates."""
        now = self._clock.monotonic()
        known = {watch.assignment.label: watch for watch in self._watches}
        watches = []
        for assignment in document.assignments:
            watch = known.get(assignment.label)
            if watch is None or not watch.can_become(assignment):
                run = Run(assignment.probe, assignment.parameters, self._make_visit())
                items = {item.key: item for item in assignment.probe.items}
                watch = _Watch(assignment=assignment, run=run, items=items, due=now)
            elif watch.assignment != assignment:
                watch.assignment = assignment
                watch.due = first_due(now, assignment.interval_seconds, self._phase)
            watches.append(watch)
        for watch in self._watches:
            if watch.task is not None and watch not in watches:
                watch.task.cancel()
        self._watches = watches
        self._is_changed.set()

    async def run(self) -> None:
        """Sample until cancelled."""
        try:
            while True:
                await self._wait()
                called = await self._look()
                now = self._clock.monotonic()
                due = [watch for watch in self._watches if watch.due <= now + TOGETHER_SECONDS or watch in called]
                if due:
                    await self._sample(due, now)
        finally:
            tasks = [watch.task for watch in self._watches if watch.task is not None]
            for task in (*tasks, *self._late):
                task.cancel()

    async def _wait(self) -> None:
        """Return when the next assignment is due or the document has changed."""
        self._is_changed.clear()
        waits: list[asyncio.Task[object]] = []
        if self._watches:
            at = min(watch.due for watch in self._watches)
            if any(watch.run.answers_events for watch in self._watches):
                at = min(at, self._look_due)
            seconds = at - self._clock.monotonic()
            if seconds <= 0:
                return
            waits.append(asyncio.create_task(self._clock.sleep(seconds)))
        waits.append(asyncio.create_task(self._is_changed.wait()))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _look(self) -> list[_Watch]:
        """Return those that have news before they are due; asks at most once in LOOK_SECONDS."""
        now = self._clock.monotonic()
        asked = [watch for watch in self._watches if watch.run.answers_events and not watch.is_busy]
        if now < self._look_due or not asked:
            return []
        self._look_due = now + LOOK_SECONDS
        answers = await asyncio.gather(*(watch.run.has_news() for watch in asked))
        return [watch for watch, has_news in zip(asked, answers, strict=True) if has_news and watch in self._watches]

    async def _sample(self, due: Sequence[_Watch], now: float) -> None:
        at = self._clock.now_us()
        self._notice_step(at, now)
        outcomes: list[tuple[_Watch, Outcome]] = []
        waiting: list[tuple[_Watch, asyncio.Task[Outcome]]] = []
        for watch in due:
            if watch.due <= now + TOGETHER_SECONDS:
                is_first = watch.status is None and watch.task is None
                self._set_due(watch, now, is_first=is_first)
            if watch.is_busy:
                self._counters.add("agent.missed_runs")
                continue
            started = watch.run.start(now)
            if isinstance(started, Outcome):
                outcomes.append((watch, started))
            else:
                watch.task = started
                waiting.append((watch, started))
        if waiting:
            await asyncio.wait([task for _, task in waiting], timeout=GRACE_SECONDS)
        for watch, task in waiting:
            if not task.done():
                self._publish_later(watch, task, at)
            elif not task.cancelled():
                watch.task = None
                outcomes.append((watch, task.result()))
        self._publish(at, outcomes)

    def _set_due(self, watch: _Watch, now: float, *, is_first: bool) -> None:
        interval = watch.assignment.interval_seconds
        if is_first:
            watch.due = first_due(now, interval, self._phase)
            return
        watch.due, missed = next_due(watch.due, interval, max(now, watch.due))
        if missed:
            self._counters.add("agent.missed_runs", missed)

    def _publish_later(self, watch: _Watch, task: asyncio.Task[Outcome], at: int) -> None:
        async def publish() -> None:
            await asyncio.wait([task])
            watch.task = None
            if not task.cancelled():
                self._publish(at, [(watch, task.result())])

        late = asyncio.create_task(publish(), name=f"late {watch.assignment.label}")
        self._late.add(late)
        late.add_done_callback(self._late.discard)

    def _publish(self, at: int, outcomes: Sequence[tuple[_Watch, Outcome]]) -> None:
        readings: list[tuple[Item, Reading]] = []
        for watch, outcome in outcomes:
            for reading in outcome.readings:
                item = watch.items.get(reading.item)
                if item is None:
                    outcome.failures.append(f"the probe is broken: it does not declare {reading.item}")
                    continue
                try:
                    readings.append((item, self._outlet.check(item, reading)))
                except RefusedReadingError as error:
                    outcome.failures.append(str(error))
            if outcome.failures:
                self._counters.add("agent.probe_errors")
            status = tuple(outcome.failures)
            if status != watch.status:
                readings.append(status_reading(watch.assignment.label, status))
                if status:
                    log.warning("A probe fails", probe=watch.assignment.label, error="; ".join(status))
                elif watch.status is not None:
                    log.info("A probe succeeds again", probe=watch.assignment.label)
                watch.status = status
        if readings and not self._outlet.publish(at, readings):
            return
        for watch, outcome in outcomes:
            watch.run.follow_up(outcome)

    def _notice_step(self, at: int, now: float) -> None:
        """Count when the machine's clock was set: due times do not care, but the samples' instants jump."""
        offset = at - round(now * 1e6)
        if self._offset_us is not None and abs(offset - self._offset_us) > CLOCK_STEP_SECONDS * 1e6:
            self._counters.add("agent.clock_steps")
            log.warning("The clock was set", seconds=(offset - self._offset_us) / 1e6)
        self._offset_us = offset
