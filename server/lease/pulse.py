"""The heart of a reign: beats, hears the wish to hand over, and doubts when it could not beat for long."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NoReturn

from core.runtime.logging import Log
from server.store.errors import StoreAway
from server.store.lease import beat
from server.store.servers import wished_handover
from server.store.transaction import Writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.realm import Realm

log = Log("server")

BEAT_SECONDS: Final = 0.5
ANSWER_SECONDS: Final = 3.0
DOUBT_SECONDS: Final = 0.25
DOUBT: Final = "this server does not reach the database; another one may have taken over"


class Pulse:
    """Waits for nobody: a connection of its own, under the epoch's name like every other of the reign."""

    def __init__(self, realm: Realm, epoch: int, writer: Writer | None = None) -> None:
        self._realm = realm
        self._epoch = epoch
        self.database = (writer or Writer(replace(realm.options, max_connections=1), epoch)).database
        self._last_beat = realm.clock.monotonic()

    async def close(self) -> None:
        """Close the connection."""
        await self.database.close()

    async def beat(self, is_open: Callable[[], bool]) -> str:
        """Beat until somebody wishes that this server hands over, and return who; a wish is heard once `is_open`.

        Raises Fenced when another server has taken over.
        """
        clock = self._realm.clock
        while True:
            began = clock.monotonic()
            wisher: str | None = None
            try:
                async with self.database.connection(ANSWER_SECONDS) as connection:
                    await beat(connection, self._epoch)
                    self._last_beat = began
                    wisher = await wished_handover(connection, self._epoch)
            except StoreAway:
                self._realm.counters.add("lease.missed_beats")
            if wisher is not None and is_open():
                return wisher
            await clock.sleep(BEAT_SECONDS)

    async def doubt(self) -> NoReturn:
        """Send the sources away while this server could not beat for so long that a standby may have taken over.

        Cut off from the database, nobody else would tell them; a server that was not replaced takes them back.
        """
        realm = self._realm
        limit = realm.takeover_after.total_seconds()
        while True:
            await realm.clock.sleep(DOUBT_SECONDS)
            is_in_doubt = realm.clock.monotonic() - self._last_beat > limit
            if is_in_doubt:
                realm.presence.begin_anew()  # whoever is sent away is not silent
            if is_in_doubt == bool(realm.desk.doubt):
                continue
            realm.desk.doubt = DOUBT if is_in_doubt else ""
            realm.collector.stand(role="server", epoch=self._epoch, is_active=not is_in_doubt)
            if is_in_doubt:
                realm.counters.add("lease.doubts")
                log.warning("the database was not reached for so long that another server may have taken over")
            else:
                log.info("the database is reached again and this server is still the active one")
