from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from server.store.backfill import Backfilled, backfill_samples, backfill_texts, backfill_trends
from server.store.batches import BatchColumns, copy_batches
from server.store.database import Database
from server.store.errors import StoreBusy
from server.store.history import read_samples, read_texts
from server.store.instants import to_us
from server.store.merging import lock_cold
from server.store.packing import pack_closed_slices
from server.store.samples import Samples
from server.store.trends import read_trends
from tests.integration.store.making import declare_items, make_source

if TYPE_CHECKING:
    from server.store.database import DatabaseOptions
    from server.store.transaction import Writer

HOUR = timedelta(hours=1)
SECOND = 1_000_000


def samples_of(item: int, at_us: list[int], values: list[float]) -> Samples:
    count = len(values)
    return Samples(
        items=np.full(count, item, np.int32), at_us=np.array(at_us, np.int64), values=np.array(values),
        late=np.zeros(count, np.bool_),
    )  # fmt: skip


async def measure(writer: Writer, source: int, item: int, at_us: list[int], values: list[float]) -> None:
    batch = BatchColumns(
        source_id=source, boot=1, number=at_us[0], first_at_us=at_us[0], items=np.full(len(values), item, np.int32),
        offsets=(np.array(at_us) - at_us[0]).astype(np.int32), values=np.array(values),
    )  # fmt: skip
    async with writer.transaction() as transaction:
        await copy_batches(transaction, [batch])


async def test_what_was_measured_stays_whether_it_is_packed_or_not_and_the_hours_trend_is_made_anew(
    database: Database, writer: Writer
) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 3 * HOUR
    at = to_us(hour)
    async with writer.transaction() as transaction:
        source = await make_source(transaction)
        (item,) = await declare_items(transaction, source, 1)
    await measure(writer, source, item, [at, at + 10 * SECOND], [1.0, 2.0])
    for expected in (Backfilled(stored=2, known=1), Backfilled(stored=0, known=3)):  # not packed yet
        async with database.connection() as connection:
            given = samples_of(
                item, [at + 10 * SECOND, at + 20 * SECOND, at - HOUR // timedelta(microseconds=1)], [99.0, 3.0, 4.0]
            )
            assert await backfill_samples(connection, given) == expected
    await pack_closed_slices(writer, datetime.now(UTC) + 3 * HOUR)
    async with database.connection() as connection:
        given = samples_of(item, [at, at + 30 * SECOND, at + 30 * SECOND], [98.0, 5.0, 6.0])
        assert await backfill_samples(connection, given) == Backfilled(stored=1, known=2)
        found = await read_samples(connection, [item], hour - HOUR, hour + HOUR)
        trends = await read_trends(connection, [item], hour - HOUR, hour + HOUR)
        doubled = await (await connection.execute("SELECT count(*) - count(DISTINCT at) FROM samples")).fetchall()
    assert found.values.tolist() == [4.0, 1.0, 2.0, 3.0, 6.0]
    assert found.late.tolist() == [True, False, False, True, True]
    assert (trends.count.tolist(), trends.maximum.tolist()) == ([1, 4], [4.0, 6.0])
    assert trends.average.tolist() == [4.0, 3.0]
    assert doubled == [(0,)]


async def test_late_and_backfilled_samples_repair_a_trend_in_any_order(database: Database, writer: Writer) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 5 * HOUR
    random = np.random.default_rng(3)
    async with writer.transaction() as transaction:
        source = await make_source(transaction)
        (item,) = await declare_items(transaction, source, 1)
    at_us = (to_us(hour) + random.choice(3600, 90, replace=False) * SECOND).tolist()
    values = random.normal(size=90).tolist()
    for round_, begin in enumerate(range(0, 90, 15)):
        part = slice(begin, begin + 15)
        if round_ % 2:
            async with database.connection() as connection:
                await backfill_samples(connection, samples_of(item, at_us[part], values[part]))
        else:
            order = np.argsort(at_us[part]).tolist()
            rows = [(at_us[part][place], values[part][place]) for place in order]
            for half in (
                [row for row in rows if row[0] < to_us(hour + HOUR / 2)],
                [row for row in rows if row[0] >= to_us(hour + HOUR / 2)],
            ):
                if half:
                    await measure(writer, source, item, [row[0] for row in half], [row[1] for row in half])
        if round_ % 3 == 2:
            await pack_closed_slices(writer, datetime.now(UTC) + 3 * HOUR)
        async with database.connection() as connection:
            trends = await read_trends(connection, [item], hour, hour + HOUR)
        so_far = np.array(values[: begin + 15])
        assert trends.count.tolist() == [len(so_far)]
        found = [trends.minimum[0], trends.average[0], trends.maximum[0]]
        np.testing.assert_allclose(found, [so_far.min(), so_far.mean(), so_far.max()])


async def test_packing_and_backfill_of_the_same_hours_wait_for_each_other_and_lose_nothing(
    database: Database, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A server gives up after a second and tries again in the next round; on a busy machine here, too.
    monkeypatch.setattr("server.store.slices.LOCK_TIMEOUT", "SET LOCAL lock_timeout = '30s'")
    begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 10 * HOUR
    async with writer.transaction() as transaction:
        source = await make_source(transaction)
        items = await declare_items(transaction, source, 3)
    expected: dict[tuple[int, int], float] = {}

    async def fill(item: int, at_us: list[int]) -> None:
        async with database.connection(60.0) as connection:
            await backfill_samples(connection, samples_of(item, at_us, [2.0] * len(at_us)))

    for round_ in range(5):
        at_us = [to_us(begin) + (round_ * 50 + n) * 10 * SECOND for n in range(100)]
        filled = [at + 5 * SECOND for at in at_us]
        for item in items:
            await measure(writer, source, item, at_us, [1.0] * 100)
            expected |= {(item, at): 1.0 for at in at_us} | {(item, at): 2.0 for at in filled}
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(pack_closed_slices(writer, datetime.now(UTC) + 3 * HOUR))
            for item in items:
                tasks.create_task(fill(item, filled))
    await pack_closed_slices(writer, datetime.now(UTC) + 3 * HOUR)
    async with database.connection() as connection:
        found = await read_samples(connection, items, begin, begin + 10 * HOUR)
    keys = zip(found.items.tolist(), found.at_us.tolist(), strict=True)
    assert dict(zip(keys, found.values.tolist(), strict=True)) == expected


async def test_a_backfill_does_not_wait_for_long(database_options: DatabaseOptions, writer: Writer) -> None:
    options = replace(database_options, server="two", lock_timeout_seconds=0.2)
    async with Database(options) as database, writer.transaction() as holding:
        await lock_cold(holding)
        with pytest.raises(StoreBusy):
            async with database.connection() as connection:
                await backfill_samples(connection, samples_of(1, [to_us(datetime.now(UTC))], [1.0]))


async def test_equal_texts_of_one_instant_are_added_as_often_as_they_are_missing(
    database: Database, writer: Writer
) -> None:
    at = to_us(datetime.now(UTC) - HOUR)
    async with writer.transaction() as transaction:
        (item,) = await declare_items(transaction, await make_source(transaction), 1)
    async with database.connection() as connection:
        for texts, expected in (
            (["a", "b", "a"], Backfilled(stored=3, known=0)),
            (["a", "b", "a"], Backfilled(stored=0, known=3)),
            (["a", "a", "a", "c\0"], Backfilled(stored=2, known=2)),
        ):
            assert await backfill_texts(connection, [item] * len(texts), [at] * len(texts), texts) == expected
        found = await read_texts(connection, [item], datetime.now(UTC) - 2 * HOUR, datetime.now(UTC))
    assert sorted(text.value for text in found) == ["a", "a", "a", "b", "c\u2400"]
    assert all(text.is_late for text in found)


async def test_an_hour_known_from_more_samples_stays(database: Database, writer: Writer) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 30 * HOUR
    async with writer.transaction() as transaction:
        (item,) = await declare_items(transaction, await make_source(transaction), 1)
    async with database.connection() as connection:
        await backfill_samples(connection, samples_of(item, [to_us(hour), to_us(hour) + 1], [1.0, 3.0]))
        known = await read_trends(connection, [item], hour, hour + HOUR)
        for count, stored in ((1, 0), (2, 0), (3, 1)):
            given = type(known)(
                items=known.items, at_us=known.at_us, minimum=known.minimum, average=known.average,
                maximum=known.maximum + count, count=np.array([count]),
            )  # fmt: skip
            assert await backfill_trends(connection, given) == Backfilled(stored=stored, known=1 - stored)
        await backfill_samples(connection, samples_of(item, [to_us(hour) + 2], [500.0]))
        now = await read_trends(connection, [item], hour, hour + HOUR)
    assert (now.count.tolist(), now.maximum.tolist()) == ([3], [500.0])
