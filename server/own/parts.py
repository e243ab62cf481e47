"""Reports Watchkeep's own parts as items of a host, so that what the health page shows red can be a problem.

Servers and proxies are reported always, agents once something is wrong with them beyond silence, which templates judge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from core.model.item import ItemDescription
from core.runtime.logging import Log
from server.inventory.apply import define_host
from server.own.identity import PARTS_HOST
from server.store.errors import StoreAway

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from core.runtime.clock import Clock
    from server.api.services import PartHealth
    from server.own.source import OwnSource
    from server.picture import Picture
    from server.store.database import Database

    Readings = list[tuple[ItemDescription, float | str]]

log = Log("parts")

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


class PartReporter:
    """One reign's reports. They wait, lossless as anybody's, while the queue of the intake is full."""

    def __init__(
        self,
        *,
        database: Database,
        own: OwnSource,
        picture: Picture,
        parts: Callable[[], Sequence[PartHealth]],
        clock: Clock,
    ) -> None:
        self._database = database
        self._own = own
        self._picture = picture
        self._parts = parts
        self._clock = clock
        self._told: dict[str, str] = {}
        self._faulty_since: dict[str, float] = {}

    async def run(self) -> NoReturn:
        """Report every five seconds until cancelled; not at once, when a reign has more urgent things to do."""
        while True:
            await self._clock.sleep(REPORT_SECONDS)
            try:
                await self._report()
            except StoreAway as error:  # there will be another look
                log.debug("the parts are not reported", error=error)

    async def _report(self) -> None:
        states = judge_parts(self._parts(), self._told)
        if PARTS_HOST in self._picture.inventory.hosts:
            await self._own.say(self._readings(states))
            return
        self._told.clear()
        self._own.forget(PARTS_HOST)  # it may have been there, and somebody deleted it
        if self._is_lasting(states):
            await define_host(self._database, PARTS_HOST, [PARTS_TEMPLATE], by="watchkeep")
            log.info("a host is made for problems of Watchkeep's own parts", host=PARTS_HOST)

    def _readings(self, states: Mapping[str, str]) -> Readings:
        """Return who is well or not, and why when that is new."""
        readings: Readings = [(_item(OK_ITEM, label), float(not state)) for label, state in states.items()]
        readings += [
            (_item(STATE_ITEM, label), state or "ok")
            for label, state in states.items()
            if self._told.get(label) != state
        ]
        self._told.update(states)
        return readings

    def _is_lasting(self, states: Mapping[str, str]) -> bool:
        now = self._clock.monotonic()
        since = self._faulty_since
        self._faulty_since = {label: since.get(label, now) for label, state in states.items() if state}
        return any(now - each >= LASTING_SECONDS for each in self._faulty_since.values())


def _item(name: str, label: str) -> ItemDescription:
    is_state = name == STATE_ITEM
    return ItemDescription(
        host=PARTS_HOST,
        key=f"{name}[{label}]",
        type="text" if is_state else "number",
        description="ok, or what is wrong" if is_state else "1 when the part is in order, else 0",
    )
