"""The line to one device by one protocol: asks what is due, one question after the other, and says how it went."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NoReturn

from core.runtime.logging import Log
from core.runtime.schedule import next_due
from probes.declaration import Reading
from probes.device import DeviceVisit
from probes.form import RefusedReadingError, fit_reading
from probes.polling import AVAILABLE, LATENCY, status_reading
from probes.running import Outcome, Run
from proxy.polling.lanes import pause_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from core.runtime.clock import Clock
    from core.runtime.counters import Counters
    from probes.declaration import Item
    from probes.device import Device, Shared
    from proxy.polling.lanes import Lanes
    from proxy.polling.outlet import Outlet
    from proxy.polling.share import Assignment

_log = Log("poller")
_SPREAD_SECONDS: Final = 5.0  # over which the first questions to all devices are spread
_MOST_ITEMS: Final = 20_000  # of one answer


@dataclass(frozen=True, kw_only=True)
class Ground:
    """What all lines of a poller work with."""

    outlet: Outlet
    lanes: Lanes
    shared: Shared
    secrets: Path
    clock: Clock
    counters: Counters


@dataclass(slots=True, kw_only=True, eq=False)
class _Turn:
    """An assignment at work."""

    assignment: Assignment
    run: Run
    visit: DeviceVisit
    due: float
    items: dict[str, Item]
    status: tuple[str, ...] | None = field(default=None)


class Line:
    """Runs a device's assignments of one protocol. `silences`: how often in a row it did not answer."""

    def __init__(self, ground: Ground, device: Device, protocol: str, assignments: Sequence[Assignment]) -> None:
        self.silences = 0
        self._ground = ground
        self._device = device
        self._protocol = protocol
        access = device.snmp if protocol == "snmp" else None
        self._retries = access.retries if access is not None else 0
        self._retry_at = 0.0
        now = ground.clock.monotonic()
        self._turns = [self._begin(assignment, now) for assignment in assignments]

    def _begin(self, assignment: Assignment, now: float) -> _Turn:
        visit = DeviceVisit(self._device, self._ground.secrets, self._ground.shared)
        name = f"{self._device.host} {assignment.label}"
        phase = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32
        return _Turn(
            assignment=assignment,
            run=Run(assignment.probe, assignment.parameters, visit),
            visit=visit,
            due=now + phase * min(_SPREAD_SECONDS, assignment.interval_seconds),
            items={item.key: item for item in assignment.probe.items},
        )

    async def run(self) -> NoReturn:
        """Ask until cancelled. The grid of due times never shifts, however late an answer was."""
        clock = self._ground.clock
        while True:
            turn = min(self._turns, key=lambda turn: turn.due)
            await clock.sleep(max(0.0, max(turn.due, self._retry_at) - clock.monotonic()))
            await self._ask(turn)
            now = clock.monotonic()
            turn.due, missed = next_due(turn.due, turn.assignment.interval_seconds, max(now, turn.due))
            if missed and not self.silences:
                self._ground.counters.add("poll.missed_runs", missed)

    async def _ask(self, turn: _Turn) -> None:
        lanes, was_silent = self._ground.lanes, self.silences > 0
        turn.visit.retries = 0
        lane = lanes.suspects(self._protocol) if was_silent else lanes.living(self._protocol)
        async with lane:
            at, began, outcome = await self._attempt(turn)
        if outcome.is_silent and not was_silent and self._retries:
            turn.visit.retries = self._retries - 1
            async with lanes.suspects(self._protocol):
                at, began, outcome = await self._attempt(turn)
        took = self._ground.clock.monotonic() - began
        self._judge(turn, at, took, outcome)

    async def _attempt(self, turn: _Turn) -> tuple[int, float, Outcome]:
        clock = self._ground.clock
        at, began = clock.now_us(), clock.monotonic()
        started = turn.run.start(began)
        if isinstance(started, Outcome):
            return at, began, started
        try:
            return at, began, await started
        finally:
            started.cancel()

    def _judge(self, turn: _Turn, at: int, took: float, outcome: Outcome) -> None:
        readings: list[tuple[Item, Reading]] = []
        for reading in outcome.readings[:_MOST_ITEMS]:
            item = turn.items.get(reading.item)
            if item is None:
                outcome.failures.append(f"the probe is broken: it does not declare {reading.item}")
                continue
            try:
                readings.append((item, fit_reading(item, reading)))
            except RefusedReadingError as error:
                outcome.failures.append(str(error))
        readings.append((AVAILABLE, Reading(AVAILABLE.key, 0.0 if outcome.is_silent else 1.0, self._protocol)))
        if outcome.is_silent:
            self.silences += 1
            shortest = min(turn.assignment.interval_seconds for turn in self._turns)
            self._retry_at = self._ground.clock.monotonic() + pause_seconds(self.silences, shortest) - took
            told = self._turns  # what was not asked did not answer either
        else:
            self.silences, self._retry_at = 0, 0.0
            readings.append((LATENCY, Reading(LATENCY.key, took, turn.assignment.label)))
            told = [turn]
        if outcome.failures:
            self._ground.counters.add("poll.errors")
        for each in told:
            readings += self._status(each, tuple(outcome.failures))
        self._ground.outlet.put(self._device.host, at, readings)

    def _status(self, turn: _Turn, failures: tuple[str, ...]) -> list[tuple[Item, Reading]]:
        if failures == turn.status:
            return []
        label, host = turn.assignment.label, self._device.host
        if failures:
            _log.warning("A probe of a device fails", host=host, probe=label, error="; ".join(failures))
        elif turn.status is not None:
            _log.info("A probe of a device succeeds again", host=host, probe=label)
        turn.status = failures
        item, reading = status_reading(label, failures)
        return [(item, fit_reading(item, reading))]
