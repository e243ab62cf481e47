"""Says of every host, as items of the server's own, whether it and what it holds are backed up, for triggers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from core.model.item import ItemDescription
from core.runtime.logging import Log
from server.coverage.reading import read_coverage
from server.coverage.unprotected_things import THING_ITEM, UnprotectedThings
from server.store.coverage import read_parameters
from server.store.errors import StoreAway
from server.store.instants import to_datetime

if TYPE_CHECKING:
    from core.runtime.clock import Clock
    from server.coverage.model import Verdict
    from server.own.source import OwnSource
    from server.picture import Picture
    from server.store.transaction import Writer

log = Log("coverage")

LOOK_SECONDS: Final = 60.0
"""How soon a new backup counts."""
AGAIN_SECONDS: Final = 3.0
"""After news: a new item's triggers are bound with its first value and evaluated with its second."""
CHANGE_SECONDS: Final = 1.0
"""How soon a changed definition does, such as a waiver."""
REPEAT_SECONDS: Final = 600.0
"""How often what has not changed is said again."""


class CoverageWatcher:
    """One reign's; needs nothing of the one before, since it says everything anew."""

    def __init__(self, writer: Writer, picture: Picture, own: OwnSource, clock: Clock) -> None:
        self._writer = writer
        self._picture = picture
        self._own = own
        self._clock = clock
        self._said: dict[str, tuple[str, float]] = {}
        self._things: UnprotectedThings | None = None
        self._is_failing = False

    async def run(self) -> NoReturn:
        """Look every minute, and when definitions change, until cancelled. Raises Fenced."""
        while True:
            revision = self._picture.inventory.revision
            has_news = False
            try:
                has_news = await self.look()
            except StoreAway as error:
                if not self._is_failing:
                    log.warning("coverage waits for the database", error=error)
                self._is_failing = True
            else:
                self._is_failing = False
            until = self._clock.monotonic() + (AGAIN_SECONDS if has_news else LOOK_SECONDS)
            while self._clock.monotonic() < until and self._picture.inventory.revision == revision:
                await self._clock.sleep(CHANGE_SECONDS)

    async def look(self) -> bool:
        """Judge every host once and say what is new, grows, or was said long ago; True when there was news.

        Raises StoreAway, Fenced.
        """
        async with self._writer.database.connection(60.0) as connection:
            verdicts = await read_coverage(connection, self._picture.inventory, to_datetime(self._clock.now_us()))
            things = self._things or UnprotectedThings(await read_parameters(connection, THING_ITEM))
        self._things = things
        now = self._clock.monotonic()
        readings: list[tuple[ItemDescription, float | str]] = []
        has_news = False
        for each in verdicts:
            sign = f"{each.state}: {each.reason}"
            said, at = self._said.get(each.host, ("", 0.0))
            is_news = said != sign
            has_news |= is_news
            if is_news or each.state == "unprotected" or now - at >= REPEAT_SECONDS:
                readings.append((_item(each, "unprotected_seconds"), each.unprotected_seconds))
                self._said[each.host] = (sign, now)
            if is_news:
                readings.append((_item(each, "coverage"), sign))
            found = things.changes(each, now, REPEAT_SECONDS)
            has_news |= things.has_news
            readings += found
        if readings:
            await self._own.say(readings)
        for host in self._said.keys() - {each.host for each in verdicts}:
            del self._said[host]
            things.forget(host)
            self._own.forget(host)
        return has_news


def _item(verdict: Verdict, name: str) -> ItemDescription:
    if name == "coverage":
        description = "Whether this host is backed up, and by what; or why not"
        return ItemDescription(host=verdict.host, key="backup.coverage", type="text", description=description)
    return ItemDescription(
        host=verdict.host,
        key="backup.unprotected_seconds",
        unit="s",
        description="For how long this host has been without a backup as new as it has to be; 0 when waived",
    )
