"""Finds items' newest values cheaply: fresh ones in the hot batches each time, older ones at most every half minute."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from server.store.latest import read_fresh, read_latest_texts, read_older

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.runtime.clock import Clock
    from server.store.database import Database
    from server.store.inventory import Item
    from server.store.latest import Latest

_OLDER_EVERY_SECONDS: Final = 30.0
_MAX_KEPT: Final = 50_000


class LatestValues:
    """Reads newest values from the store, so the standby shows them as the active does.

    What fresh batches do not hold (an item sampled once in five minutes, a filesystem that is gone) costs a search
    through older history; its result is kept for 30 s, of at most 50,000 items.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._older: OrderedDict[int, tuple[float, Latest | None]] = OrderedDict()

    async def of_items(self, items: Sequence[Item]) -> dict[int, Latest]:
        """Return the newest sample of each item that has one."""
        texts = [item.id for item in items if item.type != "number"]
        found = await self.of_numbers([item.id for item in items if item.type == "number"])
        if texts:
            async with self._database.connection() as connection:
                found |= await read_latest_texts(connection, texts)
        return found

    async def of_numbers(self, items: Sequence[int]) -> dict[int, Latest]:
        """Return the newest sample of each numeric item that has one."""
        if not items:
            return {}
        async with self._database.connection() as connection:
            found = await read_fresh(connection, items)
            missing = [item for item in items if item not in found]
            now = self._clock.monotonic()
            unknown = [item for item in missing if self._asked_at(item) <= now - _OLDER_EVERY_SECONDS]
            if unknown:
                self._keep(unknown, await read_older(connection, unknown), now)
        for item in missing:
            _, latest = self._older.get(item, (now, None))
            if latest is not None:
                found[item] = latest
        return found

    def _asked_at(self, item: int) -> float:
        kept = self._older.get(item)
        return float("-inf") if kept is None else kept[0]

    def _keep(self, asked: Sequence[int], found: dict[int, Latest], now: float) -> None:
        for item in asked:
            self._older[item] = (now, found.get(item))
            self._older.move_to_end(item)
        while len(self._older) > _MAX_KEPT:
            self._older.popitem(last=False)
