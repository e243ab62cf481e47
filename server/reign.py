"""One reign: everything an active server does under one epoch, opened from the store and closed at its end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from core.runtime.logging import Log
from server.balancing.balancer import Balancer, BalancerParts
from server.balancing.plan import Terms
from server.coverage.watcher import CoverageWatcher
from server.escalation.dispatcher import Dispatcher, DispatchTerms
from server.escalation.escalator import Escalator
from server.evaluation.upkeep import Upkeep
from server.evaluation.watch import Watch
from server.ingest.group import GroupWriter
from server.ingest.loop import Ingest, IngestParts
from server.ingest.waiting import WaitingRoom
from server.intake.desk import Duty
from server.intake.dictionaries import Dictionaries
from server.intake.ledger import Ledger
from server.intake.screening import numbers_of
from server.lease.pulse import Pulse
from server.maintenance import maintain
from server.ordering.keeper import OrderKeeper
from server.own.parts import PartReporter
from server.own.source import OwnSource
from server.store.database import Database
from server.store.errors import StoreAway
from server.store.gaps import read_gaps
from server.store.instants import to_datetime
from server.store.lease import release
from server.store.problems import read_open_problems
from server.store.received import read_received
from server.store.slices import ensure_open_slices
from server.store.transaction import Writer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.ingest.group import Effects
    from server.intake.screening import Arrival, Refused
    from server.realm import Realm
    from server.store.lease import Lease

log = Log("server")

FINISH_SECONDS: Final = 5.0
"""What the group under way may take when the lease is handed over; then it is undone and the next server stores it."""


class HandedOver(Exception):
    """Somebody wished that this server hands over, and it has finished; within a reign only."""


class Reign:
    """The active server's work under one epoch. Ends by Fenced, by cancellation, or when it is to hand over."""

    def __init__(
        self, realm: Realm, lease: Lease, writer: Writer | None = None, pulse_writer: Writer | None = None
    ) -> None:
        """Use the writers of this epoch that were made ready, if any."""
        self._realm = realm
        self._lease = lease
        self._writer = writer or Writer(realm.options, lease.epoch)
        self._pulse = Pulse(realm, lease.epoch, pulse_writer)
        self._ledger = Ledger()
        self._dictionaries = Dictionaries()
        self._watch = Watch()
        self._upkeep = self._keep_up()
        self._ingesting: Ingest | None = None
        self._dispatcher = Dispatcher(
            writer=self._writer,
            secrets=realm.secrets,
            clock=realm.clock,
            counters=realm.counters,
            terms=DispatchTerms(page_url=realm.page_url),
        )
        self._balancer = Balancer(
            BalancerParts(
                writer=self._writer,
                picture=realm.picture,
                presence=realm.presence,
                reception=realm.reception,
                desk=realm.desk,
                placements=realm.placements,
                clock=realm.clock,
                counters=realm.counters,
                terms=Terms(every_seconds=realm.balance_every.total_seconds()),
            )
        )
        self._own = OwnSource(realm.reception, realm.clock)
        self._coverage = CoverageWatcher(self._writer, realm.picture, self._own, realm.clock)
        self._orders = OrderKeeper(self._writer, realm.run_orders, lambda: realm.picture.inventory, realm.clock)
        self._escalator = Escalator(
            writer=self._writer,
            audience=realm.picture.audience,
            clock=realm.clock,
            counters=realm.counters,
            notify=self._dispatcher.wake,
        )

    async def run(self) -> None:
        """Take up the work where the last reign left it, and go on until fenced, cancelled, or asked to hand over.

        However it ends, the lease is released if it is still ours, so that a standby need not wait for our silence.
        """
        realm = self._realm
        is_handed_over = False
        try:
            async with asyncio.TaskGroup() as tasks:
                # Opening a large store takes longer than the silence after which a standby takes over.
                tasks.create_task(self._beat(), name="heartbeat")
                await self._open()
                realm.presence.begin_anew()
                realm.desk.duty = Duty(epoch=self._lease.epoch, ledger=self._ledger)
                realm.collector.stand(role="server", epoch=self._lease.epoch, is_active=True)
                log.info("this server is active", epoch=self._lease.epoch, triggers=len(self._watch))
                tasks.create_task(self._pulse.doubt(), name="doubt")
                self._ingesting = self._ingest()
                tasks.create_task(self._work(self._ingesting), name="ingest")
                tasks.create_task(self._dispatcher.run(), name="dispatcher")
                tasks.create_task(self._escalator.run(), name="escalator")
                tasks.create_task(self._balancer.run(), name="balancer")
                tasks.create_task(self._report_parts(), name="parts")
                tasks.create_task(self._coverage.run(), name="coverage")
                tasks.create_task(self._orders.run(), name="orders of backups")
                tasks.create_task(
                    maintain(self._writer, realm.clock, realm.counters, realm.retention, realm.clock_skew_seconds),
                    name="maintenance",
                )
        except* HandedOver:
            is_handed_over = True
        finally:
            # Who is sent away looks for the next server at once, so on purpose that happens when it can be found.
            if not is_handed_over:
                self._step_aside()
            await self._writer.close()
            # In a task of its own: this one may look cancelled after its group has failed (core/runtime/cancellation).
            await asyncio.create_task(self._release(), name="release")
            self._step_aside()
            await self._pulse.close()

    async def _report_parts(self) -> None:
        realm = self._realm
        async with Database(replace(realm.options, max_connections=1), purpose="parts") as database:
            await PartReporter(
                database=database,
                own=self._own,
                picture=realm.picture,
                parts=realm.parts,
                clock=realm.clock,
            ).run()

    def _step_aside(self) -> None:
        self._realm.desk.duty = None
        self._realm.desk.doubt = ""
        self._realm.collector.stand(role="server", epoch=self._lease.epoch, is_active=False)

    async def _release(self) -> None:
        try:
            async with self._pulse.database.connection(timeout_seconds=3) as connection:
                await release(connection, self._lease.epoch)
        except StoreAway as error:
            log.warning("the lease was not released; a standby takes over after a while", error=error)

    async def _work(self, ingest: Ingest) -> None:
        await ingest.run()
        raise HandedOver

    async def _open(self) -> None:
        realm = self._realm
        async with self._writer.transaction() as transaction:
            await OwnSource.enrol(transaction)
        await realm.picture.look()
        async with self._writer.database.connection(timeout_seconds=60) as connection:
            await ensure_open_slices(connection, to_datetime(realm.clock.now_us()))
            self._ledger = Ledger(await read_received(connection), await read_gaps(connection))
            self._watch = Watch(await read_open_problems(connection))
        self._upkeep = self._keep_up()
        await self._upkeep.bind_all()
        await self._balancer.recall()

    async def _beat(self) -> None:
        """Beat until somebody wishes that we hand over; then end the reign once the group under way is stored."""
        wisher = await self._pulse.beat(is_open=lambda: self._ingesting is not None)
        log.info("this server hands over", epoch=self._lease.epoch, wished_by=wisher)
        assert self._ingesting is not None  # noqa: S101 - a wish is heard once it is there
        self._ingesting.finish()
        with suppress(TimeoutError):
            async with asyncio.timeout(FINISH_SECONDS):
                # Else a standby takes the silence for our end and undoes the group.
                await self._pulse.beat(is_open=lambda: False)
        raise HandedOver

    def _keep_up(self) -> Upkeep:
        return Upkeep(self._realm, self._writer, self._watch, self._ledger, self.noticed)

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
                    ledger=self._ledger,
                    watch=self._watch,
                    audience=realm.picture.audience,
                    may_name=realm.picture.may_name,
                ),
                waiting=WaitingRoom(),
                audience=realm.picture.audience,
                directory=lambda: realm.picture.directory,
                judge=lambda: realm.presence.judge(realm.picture.directory, self._ledger),
                listener=self,
                prepare=self._upkeep.keep,
                clock=realm.clock,
                counters=realm.counters,
                kept_for=lambda: realm.retention.longest().history,
            )
        )

    def stored(self, arrivals: Sequence[Arrival]) -> None:
        """Acknowledge what is committed to whom it came from, however long ago.

        Not to others who carry its source: they may hold another record under its number (server/ingest/repeats.py).
        """
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
        """Learn of new items, have new notices sent, and tell the live feed."""
        self._upkeep.learn(effects)
        if effects.foreign_values:
            self._realm.refusals.count("value", "its source may not speak of the host it names")
        for source_id in effects.reissued:
            self._realm.refusals.count_set_back(self._source_name(source_id), effects.reissued[source_id])
        if effects.unkept_losses:
            self._realm.refusals.count("loss", "its source's losses lie in too many pieces: those numbers stay open")
        if effects.notice_count:
            self.noticed()
        if self._realm.feed is not None:
            self._realm.feed.offer(effects.batches, effects.texts)

    def _source_name(self, source_id: int) -> str:
        sources = self._realm.picture.directory.sources.values()
        return next((source.name for source in sources if source.id == source_id), str(source_id))

    def noticed(self) -> None:
        """Have new notices sent, and new escalations begun."""
        self._escalator.wake()
        self._dispatcher.wake()
