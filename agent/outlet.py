"""Turns what probes found into numbered records: one record for everything found at one instant."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

from core.model.texts import split_texts
from core.runtime.logging import Log
from core.spool.faults import SpoolFault, SpoolFull
from probes.agent import STATUS
from probes.declaration import Reading
from probes.form import RefusedReadingError, describe_item, fit_reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from core.runtime.counters import Counters
    from core.spool.outbox import Outbox
    from probes.declaration import Item

log = Log("agent")

MOST_ITEMS: Final = 5000
_UNNUMBERED: Final = 0


class Outlet:
    """Publishes readings. Remembers the number of each item it has seen, at most MOST_ITEMS."""

    def __init__(self, outbox: Outbox, counters: Counters, notify: Callable[[], None]) -> None:
        self._outbox = outbox
        self._counters = counters
        self._notify = notify
        self._numbers: dict[tuple[str, str], int] = {}
        self._is_failing = False

    def publish(self, at: int, readings: Iterable[tuple[Item, Reading]]) -> bool:
        """Append all readings made at `at` (µs, UTC) as one record of numbers and, if there are any, one of texts.

        More texts than fit into a record become several. An item's second reading comes a microsecond after its
        first, and so on: the server keeps one value an instant. Returns whether all lie in the spool. Never raises
        for a spool that cannot be written: the values are counted as lost, the fault is logged once.
        """
        described = [(item, reading) for item, reading in readings if reading.value is not None]
        try:
            numbers = self._number(described)
            self._append(at, numbers, described)
        except (SpoolFault, SpoolFull) as error:
            self._counters.add("agent.lost_values", len(described))
            if not self._is_failing:
                log.error("Values are lost, because the spool cannot take them", error=error)
            self._is_failing = True
            return False
        if self._is_failing:
            log.info("The spool takes values again")
        self._is_failing = False
        self._notify()
        return True

    def check(self, item: Item, reading: Reading) -> Reading:
        """Return the reading in the form that can be published. Raises RefusedReadingError saying why it cannot."""
        fit = fit_reading(item, reading)
        if (item.key, fit.parameter) not in self._numbers:
            if len(self._numbers) >= MOST_ITEMS:
                raise RefusedReadingError(f"{item.key}: this agent has its {MOST_ITEMS} items already")
            self._numbers[item.key, fit.parameter] = _UNNUMBERED
        return fit

    def _number(self, described: list[tuple[Item, Reading]]) -> list[int]:
        unknown = {
            (item.key, reading.parameter): (item, reading.unit)
            for item, reading in described
            if self._numbers.get((item.key, reading.parameter), _UNNUMBERED) == _UNNUMBERED
        }
        if unknown:
            items = [describe_item(item, parameter, unit) for (_, parameter), (item, unit) in unknown.items()]
            try:
                numbers = self._outbox.describe(items)
            except SpoolFault:
                self._outbox.miss()
                raise
            self._numbers.update(zip(unknown, numbers, strict=True))
        return [self._numbers[item.key, reading.parameter] for item, reading in described]

    def _append(self, at: int, numbers: list[int], described: list[tuple[Item, Reading]]) -> None:
        items, values = array("I"), array("d")
        texts: list[tuple[int, int, str]] = []
        instants = [at] * len(numbers) if len(set(numbers)) == len(numbers) else _spread(at, numbers)
        value_instants: list[int] = []
        for number, instant, (_, reading) in zip(numbers, instants, described, strict=True):
            if isinstance(reading.value, str):
                texts.append((number, instant, reading.value))
            elif reading.value is not None:
                items.append(number)
                value_instants.append(instant)
                values.append(reading.value)
        # Texts first: what counts them (a log's lines) shall not be known without them.
        for part in split_texts(texts):
            self._outbox.publish_texts(*zip(*part, strict=True))
        if items:
            self._outbox.publish(items, value_instants, values)


def status_reading(label: str, failures: Iterable[str]) -> tuple[Item, Reading]:
    """Return what the probe `label`'s last run says of itself: "ok", or its failures."""
    return STATUS, Reading(STATUS.key, "; ".join(failures) or "ok", label)


def _spread(at: int, numbers: list[int]) -> list[int]:
    """Return an instant for each, so that no item has two values at one."""
    seen: dict[int, int] = {}
    instants = []
    for number in numbers:
        seen[number] = seen.get(number, -1) + 1
        instants.append(at + seen[number])
    return instants
