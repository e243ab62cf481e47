"""Keeps the triggers in force in step with what hosts, items and history have become, between groups of ingest.

Binding and healing take at most a third of the time once ingest is at work: `BIND_SHARE`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from core.runtime.logging import Log
from server.evaluation.binder import Binder
from server.evaluation.healing import Healer
from server.ingest.orphans import resolve_orphans
from server.intake.dictionaries import NO_ITEM
from server.store.errors import StoreAway
from server.store.instants import to_datetime
from server.store.latest import read_item_sources

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.evaluation.watch import Watch
    from server.ingest.group import Effects
    from server.intake.ledger import Ledger
    from server.realm import Realm
    from server.store.transaction import Writer

log = Log("server")

BIND_SHARE: Final = 2
"""Ingest has at least twice the time that binding triggers takes."""


class Upkeep:
    """One reign's; only its ingest loop may call it, and who opens the reign before that.

    noticed: called when notices are owed to somebody.
    """

    def __init__(self, realm: Realm, writer: Writer, watch: Watch, ledger: Ledger, noticed: Callable[[], None]) -> None:
        self._realm = realm
        self._writer = writer
        self._watch = watch
        self._ledger = ledger
        self._noticed = noticed
        self._binder = Binder(writer, watch, realm.clock, realm.expressions)
        self._healer = Healer(writer, watch, ledger)
        self._next_bind = self._next_heal = 0.0

    async def bind_all(self) -> None:
        """Bind every trigger of what is defined now. Raises StoreAway, Fenced."""
        self._binder.see(self._realm.picture.inventory)
        await self._bind()
        while not self._binder.is_done:
            await self._bind()

    async def keep(self) -> None:
        """Bind some triggers anew when definitions or items have changed, heal some windows. Raises Fenced."""
        clock = self._realm.clock
        self._binder.see(self._realm.picture.inventory)
        if not self._binder.is_done and clock.monotonic() >= self._next_bind:
            await self._bind_some()
        if not self._healer.is_done and clock.monotonic() >= self._next_heal:
            await self._heal_some()

    def learn(self, effects: Effects) -> None:
        """Take note of the items that a committed group declared or changed."""
        self._binder.changed(effects.changed_items)
        for entries in effects.dictionaries:
            items = np.asarray(entries.items, np.int32)
            self._binder.declared(items[items > NO_ITEM])
            self._realm.presence.learn_sources(items[items > NO_ITEM], entries.source_id)

    async def _heal_some(self) -> None:
        clock = self._realm.clock
        began = clock.monotonic()
        try:
            await self._healer.heal(clock.now_us())
        except StoreAway as error:
            log.warning("windows that were filled late wait for the database", error=error)
        self._next_heal = clock.monotonic() + BIND_SHARE * (clock.monotonic() - began)

    async def _bind_some(self) -> None:
        clock = self._realm.clock
        began = clock.monotonic()
        try:
            await self._bind()
        except StoreAway as error:
            log.warning("binding triggers waits for the database", error=error)
        self._next_bind = clock.monotonic() + BIND_SHARE * (clock.monotonic() - began)

    async def _bind(self) -> None:
        """Bind the triggers of a few hosts; when those were the last, end problems that nothing speaks for."""
        hosts = await self._binder.bind()
        items = self._watch.items(hosts)
        async with self._writer.database.connection() as connection:
            sources = await read_item_sources(connection, items.tolist())
        missed_until = self._ledger.missed_until()
        for source, own in sources.items():
            columns = np.fromiter(own, np.int32, len(own))
            self._realm.presence.recall_sources(columns, source)
            if source in missed_until:
                self._watch.evaluator.missed(columns, np.full(len(columns), missed_until[source], np.int64))
        if self._binder.is_whole(but=hosts):
            await self._end_orphans()
        self._binder.done(hosts)

    async def _end_orphans(self) -> None:
        """End the problems whose trigger, host or item is gone; what was not understood may come back and keeps its."""
        orphans = {problem.problem_id for problem in self._watch.orphans()}
        if not orphans:
            return
        now = to_datetime(self._realm.clock.now_us())
        async with self._writer.transaction() as connection:
            await resolve_orphans(connection, orphans, self._realm.picture.audience(), now)
        self._watch.forget(orphans)
        self._noticed()
