"""The store's figures for the health page, which are dear to read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from server.store.overview import read_store_facts

if TYPE_CHECKING:
    from core.runtime.clock import Clock
    from server.store.database import Database
    from server.store.overview import StoreFacts

_KEPT_SECONDS: Final = 10.0


class FactsKeeper:
    """Asks the store for its figures at most every ten seconds, however many pages look."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._facts: StoreFacts | None = None
        self._read_at = float("-inf")
        self._lock = asyncio.Lock()

    async def read(self) -> StoreFacts:
        """Return figures not older than ten seconds. Raises StoreAway."""
        async with self._lock:
            now = self._clock.monotonic()
            if self._facts is None or now - self._read_at >= _KEPT_SECONDS:
                async with self._database.connection() as connection:
                    self._facts = await read_store_facts(connection)
                self._read_at = now
            return self._facts
