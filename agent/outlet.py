"""Turns what probes found into numbered records: one record for everything found at one instant."""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, Final

from core.model.item import ItemDescription
from core.runtime.logging import Log
from core.spool.faults import SpoolFault, SpoolFull
from probes.agent import STATUS
from probes.declaration import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from core.runtime.counters import Counters
    from core.spool.outbox import Outbox
    from probes.declaration import Item

log = Log("agent")

MOST_ITEMS: Final = 5000
LONGEST_PARAMETER: Final = 200
LONGEST_TEXT: Final = 4000
_UNNUMBERED: Final = 0


class RefusedReadingError(ValueError):
    """A reading cannot be published; the text says which and why."""


class Outlet:
    """Publishes readings. Remembers the number of each item it has seen, at most MOST_ITEMS."""

    def __init__(self, outbox: Outbox, counters: Counters, notify: Callable[[], None]) -> None:
        self._outbox = outbox
        self._counters = counters
        self._notify = notify
        self._numbers: dict[tuple[str, str], int] = {}
        self._is_failing = False

    def publish(self, at: int, readings: Iterable[tuple[Item, Reading]]) -> None:
        """Append all readings made at `at` (µs, UTC) as one record of numbers and, if there are any, one of texts.

        Never raises for a spool that cannot be written: the values are counted as lost, the fault is logged once.
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
            return
        if self._is_failing:
            log.info("The spool takes values again")
        self._is_failing = False
        self._notify()

    def check(self, item: Item, reading: Reading) -> Reading:
        """Return the reading in the form that can be published. Raises RefusedReadingError saying why it cannot."""
        parameter, value = reading.parameter, reading.value
        if not parameter.isprintable():
            parameter = "".join(letter if letter.isprintable() else _escape(letter) for letter in parameter)
        if bool(parameter) != bool(item.parameter) or len(parameter) > LONGEST_PARAMETER:
            raise RefusedReadingError(f"{item.key}: {parameter:.40} is no usable {item.parameter or 'parameter'}")
        if (item.type == "text") != isinstance(value, str) and value is not None:
            raise RefusedReadingError(f"{item.key}: {value!r:.40} is no {item.type}")
        if isinstance(value, str):
            value = "".join(letter if letter.isprintable() or letter in "\n\t" else "?" for letter in value)
            value = value[:LONGEST_TEXT]
        elif value is not None and not math.isfinite(value):
            raise RefusedReadingError(f"{item.key}: {value} is not finite")
        if (item.key, parameter) not in self._numbers:
            if len(self._numbers) >= MOST_ITEMS:
                raise RefusedReadingError(f"{item.key}: this agent has its {MOST_ITEMS} items already")
            self._numbers[item.key, parameter] = _UNNUMBERED
        if parameter is reading.parameter and value is reading.value:
            return reading
        return reading._replace(parameter=parameter, value=value)

    def _number(self, described: list[tuple[Item, Reading]]) -> list[int]:
        unknown = {
            (item.key, reading.parameter): item
            for item, reading in described
            if self._numbers.get((item.key, reading.parameter), _UNNUMBERED) == _UNNUMBERED
        }
        if unknown:
            numbers = self._outbox.describe([_describe(item, parameter) for (_, parameter), item in unknown.items()])
            self._numbers.update(zip(unknown, numbers, strict=True))
        return [self._numbers[item.key, reading.parameter] for item, reading in described]

    def _append(self, at: int, numbers: list[int], described: list[tuple[Item, Reading]]) -> None:
        items, values = array("I"), array("d")
        text_items: list[int] = []
        texts: list[str] = []
        for number, (_, reading) in zip(numbers, described, strict=True):
            if isinstance(reading.value, str):
                text_items.append(number)
                texts.append(reading.value)
            elif reading.value is not None:
                items.append(number)
                values.append(reading.value)
        if items:
            self._outbox.publish(items, [at] * len(items), values)
        if texts:
            self._outbox.publish_texts(text_items, [at] * len(texts), texts)


def status_reading(label: str, failures: Iterable[str]) -> tuple[Item, Reading]:
    """Return what the probe `label`'s last run says of itself: "ok", or its failures."""
    return STATUS, Reading(STATUS.key, "; ".join(failures) or "ok", label)


def _describe(item: Item, parameter: str) -> ItemDescription:
    return ItemDescription(
        key=f"{item.key}[{parameter}]" if parameter else item.key,
        type=item.type,
        unit=item.unit,
        description=item.description,
    )


def _escape(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
