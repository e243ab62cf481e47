"""Reports Watchkeep's own parts as items of a host, so that what the health page shows red can be a problem.

Servers and proxies are reported always, agents once something is wrong with them beyond silence, which templates judge.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final, NoReturn

from core.model.record import ItemEntry, Origin, new_boot, pack_dictionary, pack_texts, pack_values
from core.runtime.logging import Log
from server.intake.own_source import OWN_KEY, OWN_SOURCE
from server.inventory.apply import define_host
from server.store.errors import StoreAway
from server.store.inventory import ensure_hosts
from server.store.peers import ensure_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from core.runtime.clock import Clock
    from server.api.services import PartHealth
    from server.intake.reception import Reception
    from server.picture import Picture
    from server.store.database import Database

log = Log("parts")

PARTS_HOST: Final = "watchkeep"
PARTS_TEMPLATE: Final = "watchkeep"
OK_ITEM: Final = "watchkeep.part_ok"
STATE_ITEM: Final = "watchkeep.part_state"
REPORT_SECONDS: Final = 5.0
LASTING_SECONDS: Final = 10.0
"""The host is made when something has been wrong for so long: a restart of a part is not worth a host."""
MOST_PARTS: Final = 1000
_ALWAYS: Final = ("server", "proxy")
_LONGEST_STATE: Final = 1000


def judge_parts(parts: Sequence[PartHealth], known: Iterable[str] = ()) -> dict[str, str]:
    """Return how each part is, by kind and name: empty when all is well, else what is wrong, for people.

    `known` are reported whatever their kind. Of more than a thousand the faulty ones come first.
    """
    wanted = set(known)
    found: dict[str, str] = {}
    for part in parts:
        label = f"{part.kind} {part.name}"[:200]
        wrong = list(part.faults)
        if part.state == "silent" and part.kind in _ALWAYS:
            wrong.insert(0, "nothing is heard of it")
        if wrong or label in wanted or part.kind in _ALWAYS:
            told = [each for each in (found.get(label, ""), *wrong) if each]
            found[label] = "; ".join(told)[:_LONGEST_STATE]
    return dict(sorted(found.items(), key=lambda each: not each[1])[:MOST_PARTS])


class PartRecords:
    """Numbers the records of one life: a dictionary for new parts, who is well or not, and why when that is new."""

    def __init__(self) -> None:
        self._origin = Origin(OWN_SOURCE, new_boot())
        self._number = 0
        self._version = 0
        self._items: dict[str, int] = {}
        self._told: dict[str, str] = {}

    @property
    def labels(self) -> Sequence[str]:
        """The parts that were reported."""
        return list(self._items)

    def pack(self, states: Mapping[str, str], at_us: int) -> bytes:
        """Return the records that say how the parts are at an instant."""
        fresh = [label for label in states if label not in self._items]
        records = []
        if fresh or not self._number:
            entries = [entry for label in fresh for entry in self._declare(label)]
            self._version += 1
            records.append(pack_dictionary(self._origin, self._next(), self._version, entries, at_us))
        if states:
            items = array("I", [self._items[label] for label in states])
            values = array("d", [float(not state) for state in states.values()])
            instants = [at_us] * len(states)
            records.append(pack_values(self._origin, self._next(), self._version, items, instants, values))
        changed = {label: state for label, state in states.items() if self._told.get(label) != state}
        if changed:
            numbers = [self._items[label] + 1 for label in changed]
            texts = [state or "ok" for state in changed.values()]
            records.append(pack_texts(self._origin, self._next(), self._version, numbers, [at_us] * len(texts), texts))
            self._told |= changed
        return b"".join(records)

    def _declare(self, label: str) -> tuple[ItemEntry, ItemEntry]:
        number = self._items[label] = 2 * len(self._items) + 1
        return (
            ItemEntry(number=number, key=f"{OK_ITEM}[{label}]", description="1 when the part is in order, else 0"),
            ItemEntry(number=number + 1, key=f"{STATE_ITEM}[{label}]", type="text", description="ok, or what is wrong"),
        )

    def _next(self) -> int:
        self._number += 1
        return self._number


class PartReporter:
    """One reign's reports. They wait, lossless as anybody's, while the queue of the intake is full."""

    def __init__(
        self,
        *,
        database: Database,
        reception: Reception,
        picture: Picture,
        parts: Callable[[], Sequence[PartHealth]],
        clock: Clock,
    ) -> None:
        self._database = database
        self._reception = reception
        self._picture = picture
        self._parts = parts
        self._clock = clock
        self._records = PartRecords()
        self._faulty_since: dict[str, float] = {}
        self._is_enrolled = False

    async def run(self) -> NoReturn:
        """Report every five seconds until cancelled."""
        while True:
            try:
                await self._report()
            except StoreAway as error:  # there will be another look
                log.debug("the parts are not reported", error=error)
            await self._clock.sleep(REPORT_SECONDS)

    async def _report(self) -> None:
        states = judge_parts(self._parts(), self._records.labels)
        if PARTS_HOST not in self._picture.inventory.hosts:
            if self._is_enrolled:  # somebody deleted it: its items, too, are to be made anew
                self._is_enrolled, self._records = False, PartRecords()
            if self._is_lasting(states):
                await define_host(self._database, PARTS_HOST, [PARTS_TEMPLATE], by="watchkeep")
                log.info("a host is made for problems of Watchkeep's own parts", host=PARTS_HOST)
            return
        if not self._is_enrolled:
            async with self._database.connection() as connection, connection.transaction():
                host_id = (await ensure_hosts(connection, [PARTS_HOST]))[PARTS_HOST]
                await ensure_source(connection, OWN_SOURCE, PARTS_HOST, host_id)
            self._is_enrolled = True
        if OWN_SOURCE.bytes in self._picture.directory.sources:  # seen at the next look
            await self._reception.put(OWN_KEY, self._records.pack(states, self._clock.now_us()))

    def _is_lasting(self, states: Mapping[str, str]) -> bool:
        now = self._clock.monotonic()
        since = self._faulty_since
        self._faulty_since = {label: since.get(label, now) for label, state in states.items() if state}
        return any(now - each >= LASTING_SECONDS for each in self._faulty_since.values())
