"""The connection breaks around COMMIT, the database freezes or restarts: the store says what is known, in time."""

from __future__ import annotations

import asyncio
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from core.model.ranges import RangeSet
from server.store.database import Database, backend_of
from server.store.errors import StoreAway, StoreBusy
from server.store.received import ReceivedDelta, read_received, record_received
from server.store.transaction import OutcomeUnknown, Writer, settle_outcome
from tests.integration.store.making import make_source
from tests.support.cutting import cutter
from tests.support.processes import signal_any
from tests.support.waiting import PATIENCE_SECONDS, until_found

if TYPE_CHECKING:
    from server.store.database import Connection, DatabaseOptions


async def _store_through_cut(options: DatabaseOptions, writer: Writer, harm: str) -> tuple[bool, RangeSet, RangeSet]:
    """Store number 1 while COMMIT meets `harm`; return (was unknown, ranges settled on, ranges in the end)."""
    async with writer.transaction() as transaction:
        source = await make_source(transaction)
    address = conninfo_to_dict(options.dsn)
    async with cutter(str(address["host"]), int(str(address["port"]))) as cut, Database(options) as database:
        through = replace(options, dsn=make_conninfo(options.dsn, port=cut.port))
        cut_writer = Writer(through, writer.epoch)
        cut.arm(b"COMMIT\0", harm)
        with pytest.raises(OutcomeUnknown) as caught:
            await _record(cut_writer, source)
        life = (source, 1)
        settled = await settle_outcome(database, caught.value.backend, [life])
        cut.released.set()
        if harm == "hold":
            await asyncio.wait_for(cut.forwarded.wait(), PATIENCE_SECONDS)
        async with database.connection(100) as connection:
            await _wait_until_alone(connection)
            final = await read_received(connection, [life])
        await cut_writer.close()
    nothing = RangeSet()
    return True, (settled[life].ranges if settled else nothing), (final[life].ranges if final else nothing)


async def _record(writer: Writer, source: int) -> None:
    async with writer.transaction() as transaction:
        await record_received(transaction, [ReceivedDelta(source_id=source, boot=1, ranges=RangeSet([(1, 1)]))])


async def _wait_until_alone(connection: Connection) -> None:
    async def none_open() -> bool | None:
        row = await (
            await connection.execute("SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'")
        ).fetchone()
        return row == (0,) or None

    await until_found(none_open, what="the end of every transaction")


@pytest.mark.parametrize("harm", ["after", "before", "hold"])
async def test_an_unknown_commit_is_settled_for_good(
    database_options: DatabaseOptions, writer: Writer, harm: str
) -> None:
    _, settled, final = await _store_through_cut(database_options, writer, harm)
    assert settled == final, "what was settled on changed afterwards"
    if harm != "after":
        assert not settled


async def test_a_cut_before_commit_is_a_plain_failure_and_nothing_is_stored(
    database_options: DatabaseOptions, writer: Writer
) -> None:
    async with writer.transaction() as transaction:
        source = await make_source(transaction)
    with pytest.raises(StoreAway) as caught:
        await _die_inside(writer, source)
    assert not isinstance(caught.value, OutcomeUnknown)
    async with Database(database_options) as database, database.connection() as connection:
        assert await read_received(connection) == {}
    await _record(writer, source)  # the writer goes on with a new connection


async def _die_inside(writer: Writer, source: int) -> None:
    async with writer.transaction(60) as transaction:
        await record_received(transaction, [ReceivedDelta(source_id=source, boot=1, ranges=RangeSet([(1, 1)]))])
        backend = await backend_of(transaction)
        async with writer.database.connection(60) as other:
            await other.execute("SELECT pg_terminate_backend(%s, 20000)", (backend.pid,))
        await transaction.execute("SELECT 1")


async def test_a_frozen_database_ends_every_wait_in_time_and_the_next_use_works(database: Database) -> None:
    async with database.connection() as connection:
        backend = await backend_of(connection)
        before = time.monotonic()
    signal_any(backend.pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreAway, match=r"did not answer within [01]\.\d s"):
            async with database.connection(timeout_seconds=1.0) as connection:
                await connection.execute("SELECT 1")
    finally:
        signal_any(backend.pid, signal.SIGCONT)
    assert time.monotonic() - before < 20
    async with database.connection() as connection:
        assert await (await connection.execute("SELECT 1")).fetchone() == (1,)


async def test_a_restarted_database_costs_no_failure_to_who_was_idle(database: Database) -> None:
    async with database.connection() as first, database.connection() as second:
        backends = [await backend_of(first), await backend_of(second)]
    async with await database.dedicated() as connection:
        for backend in backends:
            await connection.execute("SELECT pg_terminate_backend(%s, 20000)", (backend.pid,))
    await asyncio.sleep(0)
    async with database.connection() as connection:
        assert (await backend_of(connection)) not in backends


async def test_no_database_is_said_clearly_and_at_once(database_options: DatabaseOptions) -> None:
    nowhere = replace(database_options, dsn=make_conninfo(database_options.dsn, port=1))
    begin = time.monotonic()
    with pytest.raises(StoreAway, match="Connection refused"):
        async with Database(nowhere).connection():
            pass
    assert time.monotonic() - begin < 20


async def test_when_all_connections_are_in_use_the_wait_is_bounded(database_options: DatabaseOptions) -> None:
    options = replace(database_options, max_connections=1)
    async with Database(options) as database, database.connection():
        with pytest.raises(StoreBusy, match=r"busy for 0\.2 s"):
            async with database.connection(timeout_seconds=0.2):
                pass


async def test_a_failed_statement_does_not_poison_the_connection_for_the_next(database: Database) -> None:
    async def fail() -> None:
        async with database.connection() as connection:
            await connection.execute("SET statement_timeout = '20ms'")
            await connection.execute("SELECT pg_sleep(5)")

    with pytest.raises(StoreBusy):
        await fail()
    async with database.connection() as connection:
        assert await (await connection.execute("SHOW statement_timeout")).fetchone() == ("30s",)
