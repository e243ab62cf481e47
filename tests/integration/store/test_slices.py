from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from server.store.batches import BatchColumns, copy_batches
from server.store.history import read_samples
from server.store.instants import to_us
from server.store.packing import pack_closed_slices
from server.store.slices import BATCHES, ensure_open_slices, read_slices, slice_begin, timescale_version
from tests.integration.store.making import declare_items, make_source
from tests.support.waiting import until

if TYPE_CHECKING:
    import pytest

    from server.store.database import Database
    from server.store.transaction import Writer

HOUR = timedelta(hours=1)


async def _store(writer: Writer, source: int, item: int, number: int, at: datetime) -> None:
    async with writer.transaction() as transaction:
        batch = BatchColumns(
            source_id=source, boot=1, number=number, first_at_us=to_us(at), items=np.array([item], np.int32),
            offsets=np.zeros(1, np.int32), values=np.array([float(number)]),
        )  # fmt: skip
        await copy_batches(transaction, [batch])


async def test_open_slices_are_made_ahead_once_and_take_what_arrives(database: Database, writer: Writer) -> None:
    now = datetime.now(UTC)
    async with database.connection() as connection:
        first = await ensure_open_slices(connection, now)
        assert await ensure_open_slices(connection, now) == []
        is_plain = await timescale_version(connection) is None
        assert bool(first) == is_plain
    async with writer.transaction() as transaction:
        source = await make_source(transaction)
        (item,) = await declare_items(transaction, source, 1)
    await _store(writer, source, item, 1, now - timedelta(days=20))
    async with database.connection() as connection:
        slices = await read_slices(connection, BATCHES)
        row = await (await connection.execute("SELECT tableoid::regclass::text FROM history_batch")).fetchone()
    assert row is not None
    (holding,) = [each for each in slices if each.relation == row[0].split(".")[-1]]
    assert holding.begin == slice_begin(BATCHES, now), "a late batch made or used a slice of its own"


async def test_storing_goes_on_when_nobody_made_a_slice_and_the_slice_comes_later(
    database: Database, writer: Writer
) -> None:
    now = datetime.now(UTC)
    async with writer.transaction() as transaction:
        source = await make_source(transaction)
        (item,) = await declare_items(transaction, source, 1)
    await _store(writer, source, item, 1, now)
    async with database.connection() as connection:
        await ensure_open_slices(connection, now)
    await _store(writer, source, item, 2, now + timedelta(seconds=1))
    await pack_closed_slices(writer, now)
    async with database.connection() as connection:
        made = await ensure_open_slices(connection, now)
        assert any(each.begin == slice_begin(BATCHES, now) for each in await read_slices(connection, BATCHES)), made
        samples = await read_samples(connection, [item], now, now + HOUR)
    assert samples.values.tolist() == [1.0, 2.0]


async def test_a_reader_never_misses_a_sample_while_slices_are_packed(
    database: Database, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A server gives up after a second and tries again in the next round; on a busy machine here, too.
    monkeypatch.setattr("server.store.slices.LOCK_TIMEOUT", "SET LOCAL lock_timeout = '30s'")
    now = datetime.now(UTC)
    async with writer.transaction() as transaction:
        source = await make_source(transaction)
        (item,) = await declare_items(transaction, source, 1)
    done = asyncio.Event()
    stored = 0
    counts: list[int] = []

    async def look() -> None:
        while not done.is_set():
            at_least = stored
            async with database.connection() as connection:
                seen = len(await read_samples(connection, [item], now, now + HOUR))
            counts.append(seen)
            assert seen >= at_least, "a committed sample was not there"

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(look())
        for number in range(1, 31):
            await _store(writer, source, item, number, now + timedelta(seconds=number))
            stored = number
            if number % 3 == 0:
                reads = len(counts)
                await pack_closed_slices(writer, now + 3 * HOUR)
                await until(lambda before=reads: len(counts) > before, what="a reading")  # type: ignore[misc]  # bound
        done.set()
    assert len(set(counts)) > 3, "the reader did not really read in between"
