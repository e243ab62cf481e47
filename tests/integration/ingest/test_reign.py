"""A reign: what it owes to the lease while it opens, and to those whose records it stored."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from core.model.record import Origin, pack_closing
from core.runtime.clock import ManualClock, SystemClock
from core.runtime.counters import Counters
from core.security.authority import KeyRing, Peer
from core.wire.collector import Collector
from core.wire.curve import load_or_create
from core.wire.link import Link
from server.intake.desk import Desk
from server.intake.ledger import Ledger
from server.intake.presence import PresenceBook
from server.intake.reception import Reception
from server.inventory.keep import Keep, Retention
from server.lease.pulse import Pulse
from server.picture import Picture
from server.realm import Realm
from server.refusals import Refusals
from server.reign import Reign
from server.store.inventory import ensure_hosts
from server.store.lease import take
from server.store.peers import PeerKey, add_key, ensure_source
from server.store.servers import wish_handover
from tests.support.waiting import PATIENCE_SECONDS, until, until_found
from tests.unit.server.intake.arrivals import AGENT_KEY, MINE, OTHER_PROXY_KEY, PROXY_KEY, arrival, directory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest

    from server.store.database import Database, DatabaseOptions
    from server.store.lease import Lease


@dataclass
class Throne:
    realm: Realm
    lease: Lease


@asynccontextmanager
async def throne(options: DatabaseOptions, database: Database, folder: Path) -> AsyncIterator[Throne]:
    clock, counters = SystemClock(), Counters()
    picture, reception = Picture(database, clock), Reception(clock, counters)
    presence = PresenceBook(clock)
    desk = Desk(
        reception=reception, presence=presence, directory=lambda: picture.directory, active_endpoint=lambda: "",
        clock=clock,
    )  # fmt: skip
    collector = Collector(
        keys=load_or_create(folder / "key"), authority=KeyRing(), bind_host="127.0.0.1", control_port=0, data_port=0,
        clock=clock, receiver=desk, counters=counters,
    )  # fmt: skip
    lease = await take(options, endpoint="here")
    assert lease is not None
    realm = Realm(
        options=options, collector=collector, desk=desk, reception=reception, presence=presence, picture=picture,
        refusals=Refusals(clock), clock=clock, counters=counters,
        retention=Retention(default=Keep(history=timedelta(days=30)), inventory=lambda: picture.inventory),
        secrets=folder,
    )  # fmt: skip
    yield Throne(realm, lease)


async def test_the_heart_beats_while_the_store_is_being_opened(
    database_options: DatabaseOptions, database: Database, tmp_path: Path
) -> None:
    """Otherwise a standby takes over from a server that needs longer to open, and so do they by turns for ever."""
    patient = replace(database_options, lock_timeout_seconds=100, statement_timeout_seconds=100)
    async with throne(patient, database, tmp_path) as on, database.connection(100) as other:
        await other.execute("BEGIN")
        await other.execute("LOCK TABLE problem IN ACCESS EXCLUSIVE MODE")
        reigning = asyncio.create_task(Reign(on.realm, on.lease).run())
        try:
            beats: set[object] = set()
            async with asyncio.timeout(50):  # a reign that opens waits for a minute
                while len(beats) < 3:
                    cursor = await other.execute("SELECT at FROM lease_heartbeat, pg_sleep(0.05)")
                    beats.add(await cursor.fetchone())
            assert on.realm.desk.duty is None
            await other.execute("ROLLBACK")
            await until(lambda: on.realm.desk.duty is not None, what="the reign")
        finally:
            reigning.cancel()
            await asyncio.gather(reigning, return_exceptions=True)


async def test_a_proxy_learns_what_was_stored_however_long_ago_it_brought_it_and_no_other_does(
    database_options: DatabaseOptions, database: Database, tmp_path: Path
) -> None:
    """A database may be away for long; another proxy may hold another record of that number, of a machine set back."""
    async with throne(database_options, database, tmp_path) as on:
        links = on.realm.collector._links
        for key in (PROXY_KEY, OTHER_PROXY_KEY):
            peer = Peer(key=key, role="proxy", name="p", source=None, revoked=False)
            link = Link(
                peer=peer, route=b"r", session=1, software="", connected_at=0, heard_at=0, heard_monotonic=0.0
            )  # fmt: skip
            links.add(link, 0.0)
            links.carry(key, [MINE.bytes], 0.0 if key == PROXY_KEY else 3600.0)
        links.forget_old_carriers(3600.0)
        reign = Reign(on.realm, on.lease)
        reign.stored([arrival(pack_closing(Origin(MINE, 9), 4, [(9, 4)], 0))])
        pending = {link.peer.key: link.pending for link in links}
        assert list(pending[PROXY_KEY]["stored"][MINE.bytes, 9]) == [(4, 4)]
        assert not pending[OTHER_PROXY_KEY]


def is_judgeable(presence: PresenceBook) -> bool:
    """Tell whether the silence of a source that links to the server itself is taken for its own."""
    presence.learn_sources(np.array([77], np.int32), 1)
    judge = presence.judge(replace(directory(), tenures={}), Ledger())
    return bool(judge(np.array([77], np.int32))[0])


async def test_a_standby_that_becomes_active_judges_no_silence_before_all_had_time_to_come(
    database_options: DatabaseOptions, database: Database, tmp_path: Path
) -> None:
    """It may have stood by for months: that it has been up says nothing of who could reach it."""
    async with throne(database_options, database, tmp_path) as on:
        clock = ManualClock()
        presence = PresenceBook(clock)
        await clock.advance(3600)
        assert is_judgeable(presence)
        reigning = asyncio.create_task(Reign(replace(on.realm, presence=presence), on.lease).run())
        try:
            await until(lambda: on.realm.desk.duty is not None, what="the reign")
            assert not is_judgeable(presence)
        finally:
            reigning.cancel()
            await asyncio.gather(reigning, return_exceptions=True)


async def test_who_was_sent_away_while_the_database_was_away_is_not_silent_when_it_is_back(
    database_options: DatabaseOptions, database: Database, tmp_path: Path
) -> None:
    async with throne(database_options, database, tmp_path) as on:
        clock = ManualClock()
        presence = PresenceBook(clock, grace_seconds=30)
        realm = replace(on.realm, clock=clock, presence=presence)
        pulse = Pulse(realm, on.lease.epoch)
        doubting = asyncio.create_task(pulse.doubt())
        try:
            await clock.advance(600)
            assert realm.desk.doubt
            assert not is_judgeable(presence)
            pulse._last_beat = clock.monotonic()
            await clock.advance(2)
            assert not realm.desk.doubt
            assert not is_judgeable(presence)
            pulse._last_beat = clock.monotonic() + 60
            await clock.advance(30)
            assert is_judgeable(presence)
        finally:
            doubting.cancel()
            await asyncio.gather(doubting, return_exceptions=True)
            await pulse.close()


async def somebody_waits_for(database: Database, table: str) -> None:
    """Return once a transaction waits for a lock on this table."""
    waiting = "SELECT count(*) FROM pg_locks WHERE relation = %s::regclass AND NOT granted"

    async def look() -> bool | None:
        async with database.connection() as connection:
            row = await (await connection.execute(waiting, (table,))).fetchone()
        assert row is not None
        return row[0] > 0 or None

    await until_found(look, what=f"who waits for {table}")


async def test_the_heart_beats_while_the_last_group_of_a_hand_over_is_stored(
    database_options: DatabaseOptions, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a standby takes the silence for the holder's end and undoes the group."""
    monkeypatch.setattr("server.reign.FINISH_SECONDS", 100.0)  # or a busy machine would have the group undone
    async with database.connection() as connection:
        hosts = await ensure_hosts(connection, {"h"})
        source = await ensure_source(connection, MINE, "h", hosts["h"])
        key = PeerKey(
            key=AGENT_KEY, role="agent", name="h", source_id=source.id, source_uuid=MINE, group_id=None, revoked_at=None
        )
        await add_key(connection, key)
    async with throne(database_options, database, tmp_path) as on, database.connection(100) as other:
        reign = Reign(on.realm, on.lease)
        reigning = asyncio.create_task(reign.run())
        try:
            await until(lambda: on.realm.desk.duty is not None, what="the reign")
            await other.execute("BEGIN")
            await other.execute("LOCK TABLE received IN ACCESS EXCLUSIVE MODE")
            await on.realm.reception.put(AGENT_KEY, pack_closing(Origin(MINE, 9), 4, [(9, 4)], 0))
            await somebody_waits_for(database, "received")
            async with database.connection() as connection:
                await wish_handover(connection, on.lease.epoch, by="somebody", reason="a test")
            await until(lambda: reign._ingesting is not None and reign._ingesting._is_finishing, what="the hand-over")
            beats: set[object] = set()
            async with asyncio.timeout(PATIENCE_SECONDS):
                while len(beats) < 4:
                    cursor = await other.execute("SELECT at FROM lease_heartbeat, pg_sleep(0.05)")
                    beats.add(await cursor.fetchone())
            await other.execute("ROLLBACK")
            async with asyncio.timeout(PATIENCE_SECONDS):
                await reigning
        finally:
            reigning.cancel()
            await asyncio.gather(reigning, return_exceptions=True)
        cursor = await other.execute("SELECT last_number FROM received")
        assert await cursor.fetchall() == [(4,)]
