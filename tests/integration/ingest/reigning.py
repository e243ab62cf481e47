"""An ingest loop over a real database, fed by hand and heard by a listener that remembers."""

from __future__ import annotations

import asyncio
from array import array
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from core.model.ranges import RangeSet
from core.model.record import ItemEntry, Origin, new_boot, pack_dictionary, pack_values
from core.runtime.clock import SystemClock
from core.runtime.counters import Counters
from server.evaluation.healing import Healer
from server.evaluation.refresh import Expressions, rebind, watched_triggers
from server.evaluation.watch import Watch
from server.ingest.group import GroupWriter
from server.ingest.loop import Ingest, IngestParts
from server.ingest.waiting import WaitingRoom
from server.intake.dictionaries import Dictionaries
from server.intake.ledger import Ledger
from server.intake.reception import Reception
from server.intake.screening import numbers_of
from server.picture import Picture
from server.store.gaps import read_gaps
from server.store.inventory import ensure_hosts
from server.store.peers import PeerKey, add_key, ensure_source
from server.store.received import read_received
from tests.support.waiting import until
from triggers.evaluation import nothing_is_judgeable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from server.ingest.group import Effects
    from server.intake.screening import Arrival, Refused
    from server.store.database import Database
    from server.store.transaction import Writer

KEY = b"k" * 32
SOURCE = UUID(int=1234)


class Remembering:
    """A Listener that keeps what it was told."""

    def __init__(self) -> None:
        self.stored_numbers = RangeSet()
        self.refusals: dict[int, str] = {}
        self.groups: list[Effects] = []
        self.notices = 0

    def stored(self, arrivals: Sequence[Arrival]) -> None:
        for ranges in numbers_of(arrivals).values():
            self.stored_numbers.update(ranges)

    def refused(self, refusals: Sequence[Refused]) -> None:
        self.refusals |= {refusal.arrival.header.number: refusal.reason for refusal in refusals}

    def committed(self, effects: Effects) -> None:
        self.groups.append(effects)
        self.notices += effects.notice_count

    def noticed(self) -> None:
        self.notices += 1


class Feed:
    """One source's records, and the loop they are put into."""

    def __init__(self, reception: Reception, listener: Remembering, counters: Counters, watch: Watch) -> None:
        self.reception = reception
        self.watch = watch
        self.listener = listener
        self.counters = counters
        self.boot = new_boot()
        self.clock = SystemClock()
        self._number = 0

    @property
    def origin(self) -> Origin:
        return Origin(SOURCE, self.boot)

    def next_number(self) -> int:
        self._number += 1
        return self._number

    def dictionary(self, *keys: str, version: int = 1, first: int = 1) -> bytes:
        entries = [ItemEntry(number=number, key=key) for number, key in enumerate(keys, first)]
        return pack_dictionary(self.origin, self.next_number(), version, entries, self.clock.now_us())

    def values(self, *values: float, item: int = 1, version: int = 1, age_seconds: int = 0) -> bytes:
        now = self.clock.now_us() - age_seconds * 1_000_000
        count = len(values)
        instants = [now + place for place in range(count)]
        return pack_values(
            self.origin, self.next_number(), version, array("I", [item] * count), instants, array("d", values)
        )

    async def put(self, *records: bytes) -> None:
        await self.reception.put(KEY, b"".join(records))

    async def settled(self, *numbers: int) -> None:
        """Wait until every one of these numbers was acknowledged, stored or refused."""
        told = self.listener
        await until(
            lambda: all(number in told.stored_numbers or number in told.refusals for number in numbers),
            what=f"the acknowledgement of {numbers}",
        )

    async def bound(self) -> None:
        """Wait until the triggers are bound to the items that were declared."""
        await until(lambda: len(self.watch) > 0, what="the binding of triggers")


@asynccontextmanager
async def ingesting(writer: Writer, database: Database, *, waiting: WaitingRoom | None = None) -> AsyncIterator[Feed]:
    """Run the loop with one enrolled source on host "h"; triggers are those of the definitions in the database."""
    clock, counters, listener = SystemClock(), Counters(), Remembering()
    async with database.connection() as connection:
        hosts = await ensure_hosts(connection, {"h"})
        source = await ensure_source(connection, SOURCE, "h", hosts["h"])
        key = PeerKey(
            key=KEY, role="agent", name="h", source_id=source.id, source_uuid=SOURCE, group_id=None, revoked_at=None
        )
        await add_key(connection, key)
        ledger = Ledger(await read_received(connection), await read_gaps(connection))
    picture = Picture(database, clock)
    await picture.look()
    reception, dictionaries, watch = Reception(clock, counters), Dictionaries(), Watch()
    healer, is_bound = Healer(writer, watch, ledger), False

    async def prepare() -> None:
        nonlocal is_bound
        if not is_bound:
            triggers = watched_triggers(picture.inventory, Expressions()).triggers
            await rebind(writer, watch, triggers, clock.now_us())
            is_bound = bool(len(watch)) or not any(triggers.values())
        if not healer.is_done:
            await healer.heal(clock.now_us())

    ingest = Ingest(
        IngestParts(
            writer=writer,
            reception=reception,
            ledger=ledger,
            dictionaries=dictionaries,
            watch=watch,
            group_writer=GroupWriter(
                dictionaries=dictionaries,
                ledger=ledger,
                watch=watch,
                audience=picture.audience,
                may_name=picture.may_name,
            ),
            waiting=waiting or WaitingRoom(),
            audience=picture.audience,
            directory=lambda: picture.directory,
            judge=lambda: nothing_is_judgeable,
            listener=listener,
            prepare=prepare,
            clock=clock,
            counters=counters,
            kept_for=lambda: timedelta(days=30),
        )
    )
    running = asyncio.create_task(ingest.run())
    try:
        yield Feed(reception, listener, counters, watch)
        assert not running.done(), "ingest ended by itself"
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
