"""One reign: everything an active server does under one epoch, opened from the store and closed at its end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from core.runtime.logging import Log
from server.escalation.dispatcher import Dispatcher, DispatchTerms
from server.escalation.escalator import Escalator
from server.evaluation.refresh import Expressions, rebind, watched_triggers
from server.evaluation.watch import Watch
from server.ingest.group import GroupWriter
from server.ingest.loop import Ingest, IngestParts
from server.ingest.orphans import resolve_orphans
from server.ingest.waiting import WaitingRoom
from server.intake.desk import Duty
from server.intake.dictionaries import Dictionaries
from server.intake.ledger import Ledger
from server.intake.screening import numbers_of
from server.maintenance import maintain
from server.store.errors import StoreAway
from server.store.instants import to_datetime
from server.store.latest import read_item_sources
from server.store.lease import beat
from server.store.problems import read_open_problems
from server.store.received import read_received
from server.store.slices import ensure_open_slices
from server.store.transaction import Writer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta
    from pathlib import Path

    from core.runtime.clock import Clock
    from core.runtime.counters import Counters
    from core.wire.collector import Collector
    from server.health import Refusals
    from server.ingest.group import Effects
    from server.intake.desk import Desk
    from server.intake.presence import PresenceBook
    from server.intake.reception import Reception
    from server.intake.screening import Arrival, Refused
    from server.picture import Picture
    from server.store.database import DatabaseOptions
    from server.store.lease import Lease

log = Log("server")

BEAT_SECONDS: Final = 0.5
REBIND_SHARE: Final = 10
"""Binding triggers anew may take a tenth of the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Realm:
    """What outlives a reign: links, queue, pictures."""

    options: DatabaseOptions
    collector: Collector
    desk: Desk
    reception: Reception
    presence: PresenceBook
    picture: Picture
    refusals: Refusals
    clock: Clock
    counters: Counters
    retention: timedelta
    secrets: Path
    page_url: str | None = None


class Reign:
    """The active server's work under one epoch. Ends by Fenced, or by cancellation."""

    def __init__(self, realm: Realm, lease: Lease) -> None:
        self._realm = realm
        self._lease = lease
        self._writer = Writer(realm.options, lease.epoch)
        # The heartbeat waits for nobody: a connection of its own, under the epoch's name like every other.
        self._pulse = Writer(replace(realm.options, max_connections=1), lease.epoch).database
        self._ledger = Ledger()
        self._dictionaries = Dictionaries()
        self._watch = Watch()
        self._expressions = Expressions()
        self._bound_revision = -1
        self._has_new_items = False
        self._next_rebind = 0.0
        self._dispatcher = Dispatcher(
            writer=self._writer,
            secrets=realm.secrets,
            clock=realm.clock,
            counters=realm.counters,
            terms=DispatchTerms(page_url=realm.page_url),
        )
        self._escalator = Escalator(
            writer=self._writer,
            audience=realm.picture.audience,
            clock=realm.clock,
            counters=realm.counters,
            notify=self._dispatcher.wake,
        )

    async def run(self) -> None:
        """Take up the work where the last reign left it, and go on until fenced or cancelled."""
        realm = self._realm
        try:
            async with asyncio.TaskGroup() as tasks:
                # Opening a large store takes longer than the silence after which a standby takes over.
                tasks.create_task(self._keep_beating(), name="heartbeat")
                await self._open()
                realm.desk.duty = Duty(epoch=self._lease.epoch, ledger=self._ledger)
                realm.collector.stand(role="server", epoch=self._lease.epoch, is_active=True)
                log.info("this server is active", epoch=self._lease.epoch, triggers=len(self._watch))
                tasks.create_task(self._ingest().run(), name="ingest")
                tasks.create_task(self._dispatcher.run(), name="dispatcher")
                tasks.create_task(self._escalator.run(), name="escalator")
                tasks.create_task(
                    maintain(self._writer, realm.clock, realm.counters, realm.retention), name="maintenance"
                )
        finally:
            realm.desk.duty = None
            realm.collector.stand(role="server", epoch=self._lease.epoch, is_active=False)
            await self._writer.close()
            await self._pulse.close()

    async def _open(self) -> None:
        realm = self._realm
        await realm.picture.look()
        async with self._writer.database.connection(timeout_seconds=60) as connection:
            await ensure_open_slices(connection, to_datetime(realm.clock.now_us()))
            self._ledger = Ledger(await read_received(connection))
            self._watch = Watch(await read_open_problems(connection))
        await self._bind()

    async def _keep_beating(self) -> None:
        while True:
            try:
                async with self._pulse.connection(timeout_seconds=3) as connection:
                    await beat(connection, self._lease.epoch)
            except StoreAway:
                self._realm.counters.add("lease.missed_beats")
            await self._realm.clock.sleep(BEAT_SECONDS)

    def _ingest(self) -> Ingest:
        realm = self._realm
        return Ingest(
            IngestParts(
                writer=self._writer,
                reception=realm.reception,
                ledger=self._ledger,
                dictionaries=self._dictionaries,
                watch=self._watch,
                group_writer=GroupWriter(
                    dictionaries=self._dictionaries,
                    watch=self._watch,
                    audience=realm.picture.audience,
                    may_name=realm.picture.may_name,
                ),
                waiting=WaitingRoom(),
                audience=realm.picture.audience,
                directory=lambda: realm.picture.directory,
                judge=lambda: realm.presence.judge(realm.picture.directory, self._ledger),
                listener=self,
                prepare=self._prepare,
                clock=realm.clock,
                counters=realm.counters,
                retention_us=round(realm.retention.total_seconds() * 1_000_000),
            )
        )

    async def _prepare(self) -> None:
        """Bind triggers anew when definitions or items have changed; called between groups."""
        clock = self._realm.clock
        is_changed = self._has_new_items or self._bound_revision != self._realm.picture.inventory.revision
        if not is_changed or clock.monotonic() < self._next_rebind:
            return
        began = clock.monotonic()
        try:
            await self._bind()
        except StoreAway as error:
            log.warning("binding triggers waits for the database", error=error)
        self._next_rebind = clock.monotonic() + REBIND_SHARE * (clock.monotonic() - began)

    async def _bind(self) -> None:
        inventory = self._realm.picture.inventory
        self._has_new_items = False
        try:
            watched = watched_triggers(inventory, self._expressions)
            await rebind(self._writer, self._watch, watched.triggers, self._realm.clock.now_us())
            if watched.is_complete:
                await self._end_orphans()
            async with self._writer.database.connection() as connection:
                sources = await read_item_sources(connection, self._watch.items())
        except StoreAway:
            self._has_new_items = True
            raise
        for source, items in sources.items():
            self._realm.presence.recall_sources(items, source)
        self._bound_revision = inventory.revision

    async def _end_orphans(self) -> None:
        """End the problems whose trigger, host or item is gone; what was not understood may come back and keeps its."""
        orphans = {problem.problem_id for problem in self._watch.orphans()}
        if not orphans:
            return
        now = to_datetime(self._realm.clock.now_us())
        async with self._writer.transaction() as connection:
            await resolve_orphans(connection, orphans, self._realm.picture.audience(), now)
        self._watch.forget(orphans)
        self.noticed()

    def stored(self, arrivals: Sequence[Arrival]) -> None:
        """Acknowledge what is committed: to whom each came from, however long ago, and to all who carry its source."""
        self._realm.collector.acknowledge("stored", numbers_of(arrivals))
        by_key: dict[bytes, list[Arrival]] = {}
        for arrival in arrivals:
            by_key.setdefault(arrival.key, []).append(arrival)
        for key, those in by_key.items():
            self._realm.collector.acknowledge("stored", numbers_of(those), key=key)

    def refused(self, refusals: Sequence[Refused]) -> None:
        """Acknowledge what never will be stored, to the peer it came from, and count it where people look."""
        by_key: dict[bytes, list[Refused]] = {}
        for refusal in refusals:
            by_key.setdefault(refusal.arrival.key, []).append(refusal)
            self._realm.refusals.count("record", refusal.reason)
        for key, those in by_key.items():
            self._realm.collector.acknowledge("refused", numbers_of([each.arrival for each in those]), key=key)

    def committed(self, effects: Effects) -> None:
        """Learn of new items, and have new notices sent."""
        self._has_new_items = self._has_new_items or bool(effects.dictionaries)
        for entries in effects.dictionaries:
            self._realm.presence.learn_sources([item for item in entries.items if item > 0], entries.source_id)
        if effects.foreign_values:
            self._realm.refusals.count("value", "its source may not speak of the host it names")
        if effects.notice_count:
            self.noticed()

    def noticed(self) -> None:
        """Have new notices sent, and new escalations begun."""
        self._escalator.wake()
        self._dispatcher.wake()
