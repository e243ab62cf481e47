"""What a standby does beforehand, so that it stores values sooner once it has taken the lease.

Connections of the epoch that would come next, each having seen the tables once, and all expressions compiled. None of
it may write: a reign uses the connections only when the lease it was given is of that epoch, and every transaction of
theirs is fenced like any other.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import numpy as np

from server.evaluation.refresh import watched_triggers
from server.store.database import Database
from server.store.transaction import Writer
from server.store.warming import meet_tables

if TYPE_CHECKING:
    from server.realm import Realm
    from server.store.lease import LeaseView

_WRITERS: Final = 2
"""How many connections a reign uses while it opens and stores its first groups."""


class Readiness:
    """One standby's; `keep` is called at each look at the lease."""

    def __init__(self, realm: Realm) -> None:
        self._realm = realm
        self._revision = -1
        self._next_epoch = 0
        self._writer: Writer | None = None
        self._pulse: Writer | None = None
        self.taker = Database(replace(realm.options, max_connections=1), purpose="taker")

    async def keep(self, view: LeaseView) -> None:
        """Be ready to follow the epoch seen. Raises StoreAway; the rest is made at the next call."""
        inventory = self._realm.picture.inventory
        if inventory.revision != self._revision:
            watched_triggers(inventory, self._realm.expressions)
            np.unique(np.empty(0))  # the first call imports a part of numpy
            self._revision = inventory.revision
        if self._next_epoch != view.epoch + 1:
            await self.drop()
            self._next_epoch = view.epoch + 1
        options = self._realm.options
        await self.taker.warm(1)
        self._pulse = self._pulse or Writer(replace(options, max_connections=1), self._next_epoch)
        await self._pulse.database.warm(1)
        self._writer = self._writer or Writer(options, self._next_epoch)
        await self._writer.database.warm(_WRITERS, meet_tables)

    async def hand_out(self, epoch: int) -> tuple[Writer, Writer]:
        """Return the writer of a reign and that of its pulse: those made ready for this epoch, else new ones."""
        if epoch != self._next_epoch:
            await self.drop()
        options = self._realm.options
        writer = self._writer or Writer(options, epoch)
        pulse = self._pulse or Writer(replace(options, max_connections=1), epoch)
        self._writer = self._pulse = None
        self._next_epoch = 0
        return writer, pulse

    async def drop(self) -> None:
        """Close the connections of an epoch that somebody else has taken."""
        writers, self._writer, self._pulse = (self._writer, self._pulse), None, None
        for writer in writers:
            if writer is not None:
                await writer.close()

    async def close(self) -> None:
        """Close all connections."""
        await self.drop()
        await self.taker.close()
