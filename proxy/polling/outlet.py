"""Turns what was polled into numbered records: what many devices answered within a moment goes into one."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final, NoReturn

from core.model.texts import split_texts
from core.runtime.logging import Log
from core.spool.faults import SpoolFault, SpoolFull
from probes.form import describe_item

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from core.runtime.clock import Clock
    from core.runtime.counters import Counters
    from core.spool.outbox import Outbox
    from probes.declaration import Item, Reading

_log = Log("poller")
_GATHER_SECONDS: Final = 0.2
_MOST_VALUES: Final = 2000  # gathered at once; more are published without waiting
_MOST_ITEMS: Final = 200_000

Row = tuple[int, int, "float | str"]  # the item's number, the instant in µs, the value


class Outlet:
    """Gathers readings of all hosts and publishes them, 0.2 s later at most."""

    def __init__(self, outbox: Outbox, clock: Clock, counters: Counters, notify: Callable[[], None]) -> None:
        self._outbox = outbox
        self._clock = clock
        self._counters = counters
        self._notify = notify
        self._numbers: dict[str, dict[tuple[str, str, str], int]] = {}
        self._rows: list[Row] = []
        self._is_failing = False
        counters.watch("poll.is_failing", lambda: float(self._is_failing))

    def put(self, host: str, at: int, readings: Iterable[tuple[Item, Reading]]) -> None:
        """Take what was read of `host` at `at` (µs, UTC). Never raises; what cannot be kept is counted and logged."""
        found = [(item, reading) for item, reading in readings if reading.value is not None]
        try:
            numbers = self._number(host, found)
        except (SpoolFault, SpoolFull) as error:
            self._lose(len(found), error)
            return
        for number, (_, reading) in zip(numbers, found, strict=True):
            if reading.value is not None:
                self._rows.append((number, at, reading.value))
        if len(self._rows) >= _MOST_VALUES:
            self.flush()

    def begin(self, hosts: Collection[str]) -> None:
        """Take up hosts that another poller may have had meanwhile: the server hears anew that their items are ours."""
        try:
            self._outbox.repeat(hosts)
        except SpoolFault as error:
            self._lose(0, error)

    def forget(self, host: str) -> None:
        """Forget the numbers of a host polled no more."""
        self._numbers.pop(host, None)

    def flush(self) -> None:
        """Publish what was gathered."""
        rows, self._rows = self._rows, []
        numbers = [row for row in rows if not isinstance(row[2], str)]
        texts = [(number, at, value) for number, at, value in rows if isinstance(value, str)]
        try:
            if numbers:
                items = array("I", [row[0] for row in numbers])
                values = array("d", [float(row[2]) for row in numbers])
                self._outbox.publish(items, [row[1] for row in numbers], values)
            for part in split_texts(texts):
                self._outbox.publish_texts(*zip(*part, strict=True))
        except (SpoolFault, SpoolFull) as error:
            self._lose(len(rows), error)
            return
        if rows:
            if self._is_failing:
                _log.info("The poller's spool takes values again")
            self._is_failing = False
            self._counters.add("poll.values", len(rows))
            self._notify()

    async def run(self) -> NoReturn:
        """Publish five times a second until cancelled."""
        while True:
            await self._clock.sleep(_GATHER_SECONDS)
            self.flush()

    def _number(self, host: str, found: list[tuple[Item, Reading]]) -> list[int]:
        known = self._numbers.setdefault(host, {})
        keys = [(item.key, reading.parameter, reading.unit) for item, reading in found]
        unknown = {key: item for key, (item, _) in zip(keys, found, strict=True) if key not in known}
        if unknown:
            if sum(map(len, self._numbers.values())) + len(unknown) > _MOST_ITEMS:
                raise SpoolFull(f"this proxy polls {_MOST_ITEMS} items already: spread its hosts over more proxies")
            described = [describe_item(item, key[1], key[2], host) for key, item in unknown.items()]
            known.update(zip(unknown, self._outbox.describe(described), strict=True))
        return [known[key] for key in keys]

    def _lose(self, count: int, error: Exception) -> None:
        self._counters.add("poll.lost_values", count)
        if not self._is_failing:
            _log.error("Polled values are lost, because the spool cannot take them", error=error)
        self._is_failing = True
