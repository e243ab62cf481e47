"""The server's picture of what the store says about who may speak and what is defined, looked at again every second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from core.runtime.logging import Log
from server.escalation.audience import Audience
from server.intake.directory import Directory, draw_directory
from server.inventory.effective import Inventory
from server.own.identity import OWN_SOURCE
from server.store.definitions import read_definitions, read_revision
from server.store.errors import StoreAway
from server.store.lease import read_lease
from server.store.peers import read_assignments, read_groups, read_keys, read_sources

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.runtime.clock import Clock
    from core.security.authority import Peer
    from server.store.database import Database
    from server.store.lease import LeaseView
    from server.store.peers import Source

log = Log("server")

LOOK_SECONDS: Final = 1.0


class Picture:
    """What was seen last; replaced whole, so a reader holds one consistent state. Also the collector's authority."""

    def __init__(
        self, database: Database, clock: Clock, heard: Callable[[int, float, float], None] = lambda *_: None
    ) -> None:
        """Tell `heard` what the database's clock says: the instant (µs), and when it was asked and answered."""
        self._database = database
        self._clock = clock
        self._heard = heard
        self.directory = Directory()
        self.inventory = Inventory(revision=-1, templates={}, hosts={}, receivers={}, revisions={})
        self._audience = Audience.draw(self.inventory)
        self.lease: LeaseView | None = None
        self.is_store_away = False

    def peer(self, key: bytes) -> Peer | None:
        """Return who speaks with this key, as of the last look."""
        return self.directory.peer(key)

    def may_name(self, source: Source, host: str) -> bool:
        """Tell whether a source may speak of the host of this name.

        An agent speaks of its own host only, a poller of the hosts that its proxy's group is to poll, the server of
        all that are defined.
        """
        if source.uuid == OWN_SOURCE:
            return host in self.inventory.hosts
        if source.host_id is not None:
            return host == source.name
        found = self.inventory.hosts.get(host)
        if found is None or found.polling is None:
            return False
        return self.directory.may_carry(source.id, found.polling.proxy_group)

    def audience(self) -> Audience:
        """Return who may be told of problems, and in which steps."""
        return self._audience

    async def look(self) -> None:
        """Look once. Raises StoreAway, and StoredDefinitionBroken when a newer version has written definitions."""
        async with self._database.connection() as connection:
            asked = self._clock.monotonic()
            self.lease = await read_lease(connection)
            self._heard(self.lease.seen_at_us, asked, self._clock.monotonic())
            # Keys first: who is enrolled between two of these is unknown as yet, never a key whose source is not there.
            keys = await read_keys(connection)
            sources = await read_sources(connection)
            self.directory = draw_directory(
                sources, keys, await read_assignments(connection), await read_groups(connection)
            )
            revision = await read_revision(connection)
            if revision != self.inventory.revision:
                self.inventory = Inventory.from_stored(revision, await read_definitions(connection))
                self._audience = Audience.draw(self.inventory)

    async def keep_looking(self) -> None:
        """Look every second until cancelled; while the database is away the last picture stays."""
        while True:
            try:
                await self.look()
            except StoreAway as error:
                if not self.is_store_away:
                    log.warning("the database is away; what was known last stays in force", error=error)
                self.is_store_away = True
            else:
                if self.is_store_away:
                    log.info("the database is back")
                self.is_store_away = False
            await self._clock.sleep(LOOK_SECONDS)
