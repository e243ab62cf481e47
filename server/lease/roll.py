"""The roll of servers: says every second that this one is there, sees the others, and judges its own reach by both."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from core.runtime.logging import Log
from server.lease.reach import Reach, judge_reach
from server.store.errors import StoreAway
from server.store.servers import leave, note_presence, read_servers, wish_handover

if TYPE_CHECKING:
    from collections.abc import Collection

    from server.lease.candidacy import Candidacy
    from server.realm import Realm
    from server.store.database import Database
    from server.store.servers import ServerView

log = Log("server")

SOFTWARE: Final = "watchkeep-server 0.1.0"
NOTE_SECONDS: Final = 1.0
LEAVE_SECONDS: Final = 1.0
MOST_CALLERS: Final = 20


class Roll:
    """What the servers of one database say of themselves, as of the last look."""

    def __init__(self, database: Database, realm: Realm, name: str, candidacy: Candidacy) -> None:
        self._database = database
        self._realm = realm
        self._name = name
        self._candidacy = candidacy
        self._linked_at = realm.clock.monotonic()
        self._reigning_since: float | None = None
        self.servers: list[ServerView] = []
        self.reach = Reach()

    async def keep(self) -> None:
        """Say that this server is there until cancelled, then that it is gone."""
        try:
            while True:
                try:
                    await self._note()
                except StoreAway:
                    self._realm.counters.add("roll.missed")
                await self._realm.clock.sleep(NOTE_SECONDS)
        finally:
            await self._leave()

    async def _note(self) -> None:
        realm = self._realm
        linked = {link.name for link in realm.collector.links()}
        async with self._database.connection(timeout_seconds=3) as connection:
            await note_presence(
                connection,
                name=self._name,
                endpoint=self._candidacy.endpoint,
                software=SOFTWARE,
                links=len(linked),
                callers=realm.desk.callers()[:MOST_CALLERS],
            )
            self.servers = await read_servers(connection)
            reach = self._judge(linked)
            if reach.hand_over and not self.reach.hand_over and realm.desk.duty is not None:
                log.warning("no part reaches this server; it hands over", seen=reach.note)
                await wish_handover(connection, realm.desk.duty.epoch, by=f"server {self._name}", reason=reach.note)
        self.reach = reach

    def _judge(self, linked: Collection[str]) -> Reach:
        now = self._realm.clock.monotonic()
        if self._realm.desk.duty is None:
            self._reigning_since = None
            return Reach()
        if self._reigning_since is None:
            self._reigning_since = self._linked_at = now
        if linked:
            self._linked_at = now
        return judge_reach(
            self._name,
            self.servers,
            linked,
            unlinked_seconds=now - self._linked_at,
            reigned_seconds=now - self._reigning_since,
        )

    async def _leave(self) -> None:
        try:
            async with asyncio.timeout(LEAVE_SECONDS), self._database.connection(LEAVE_SECONDS) as connection:
                await leave(connection, self._name)
        except (StoreAway, TimeoutError):
            pass  # it is seen to be silent
