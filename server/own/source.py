"""The source of the active server itself: values it knows of hosts go the way of all values, through ingest."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

from core.model.record import ItemEntry, Origin, new_boot, pack_dictionary, pack_texts, pack_values
from server.own.identity import OWN_KEY, OWN_NAME, OWN_SOURCE
from server.store.peers import ensure_source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.model.item import ItemDescription
    from core.runtime.clock import Clock
    from server.intake.reception import Reception
    from server.store.database import Connection

_PORTION: Final = 2000
"""Items in one record: well below what a record may hold."""


class OwnSource:
    """One reign's life of it: a boot of its own, so that nothing has to be remembered between two servers."""

    def __init__(self, reception: Reception, clock: Clock) -> None:
        self._reception = reception
        self._clock = clock
        self._origin = Origin(OWN_SOURCE, new_boot())
        self._record = 0
        self._dictionary = 0
        self._number = 0
        self._numbers: dict[tuple[str, str], int] = {}

    @staticmethod
    async def enrol(connection: Connection) -> None:
        """Make it known; until the server's picture holds it, what it says is refused."""
        await ensure_source(connection, OWN_SOURCE, OWN_NAME, None)

    async def say(self, readings: Sequence[tuple[ItemDescription, float | str]]) -> None:
        """Queue values as of now, each of a host that is defined; waits while ingest is behind."""
        at = self._clock.now_us()
        for begin in range(0, len(readings), _PORTION):
            part = readings[begin : begin + _PORTION]
            await self._reception.put(OWN_KEY, b"".join(self._records(part, at)))

    def forget(self, host: str) -> None:
        """Declare this host's items anew when they are said again: it was deleted, and they with it."""
        self._numbers = {place: number for place, number in self._numbers.items() if place[0] != host}

    def _records(self, readings: Sequence[tuple[ItemDescription, float | str]], at: int) -> list[bytes]:
        records = []
        if fresh := self._fresh([item for item, _ in readings]):
            self._dictionary += 1
            records.append(pack_dictionary(self._origin, self._next(), self._dictionary, fresh, at))
        said = [(self._numbers[item.host, item.key], value) for item, value in readings]
        values = [(number, value) for number, value in said if not isinstance(value, str)]
        texts = [(number, value) for number, value in said if isinstance(value, str)]
        if values:
            items, column = array("I", [number for number, _ in values]), array("d", [value for _, value in values])
            records.append(pack_values(self._origin, self._next(), self._dictionary, items, [at] * len(values), column))
        if texts:
            numbers = [number for number, _ in texts]
            words = [text for _, text in texts]
            records.append(pack_texts(self._origin, self._next(), self._dictionary, numbers, [at] * len(texts), words))
        return records

    def _fresh(self, items: Sequence[ItemDescription]) -> list[ItemEntry]:
        entries = []
        for item in items:
            place = (item.host, item.key)
            if place not in self._numbers:
                self._number += 1
                self._numbers[place] = self._number
                entries.append(
                    ItemEntry(
                        number=self._numbers[place],
                        key=item.key,
                        type=item.type,
                        unit=item.unit,
                        description=item.description,
                        host=item.host,
                    )
                )
        return entries

    def _next(self) -> int:
        self._record += 1
        return self._record
