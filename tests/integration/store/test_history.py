from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from server.store.batches import BatchColumns, TextSample, copy_batches, copy_texts
from server.store.errors import StoreBusy
from server.store.health import read_health
from server.store.history import read_samples, read_texts
from server.store.instants import to_us
from server.store.packing import pack_closed_slices, pack_slice
from server.store.retention import ItemRetention, RetentionPolicy, expire, expire_items
from server.store.slices import BATCHES, HISTORY, PACKED, drop_slice, ensure_open_slices, read_slices
from server.store.trends import read_trends
from tests.integration.store.making import declare_items, make_source

if TYPE_CHECKING:
    from server.store.database import Database
    from server.store.samples import Samples
    from server.store.transaction import Writer

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


class Produced:
    """Stores random samples of two sources as batches and remembers every one: the ledger of these tests."""

    def __init__(self, writer: Writer, begin: datetime) -> None:
        self.writer = writer
        self.begin = begin
        self.sources: list[int] = []
        self.items: list[list[int]] = []
        self.ledger: dict[tuple[int, int], float] = {}
        self.number = 0
        self.random = np.random.default_rng(7)

    async def declare(self) -> None:
        async with self.writer.transaction() as transaction:
            for _ in range(2):
                self.sources.append(await make_source(transaction))
                self.items.append(await declare_items(transaction, self.sources[-1], 5))

    @property
    def all_items(self) -> list[int]:
        return [item for items in self.items for item in items]

    async def store(self, begin: datetime, end: datetime, *, values: int = 200) -> None:
        """Store `values` samples of each source between the two instants, in records of ten."""
        span_us = int((end - begin) / timedelta(microseconds=1))
        batches = []
        for source, items in zip(self.sources, self.items, strict=True):
            at_us = to_us(begin) + np.sort(self.random.choice(span_us, values, replace=False))
            for row in range(0, values, 10):
                self.number += 1
                part = at_us[row : row + 10]
                chosen = self.random.choice(np.array(items, dtype=np.int32), len(part))
                numbers = self.random.normal(size=len(part))
                late = self.random.random(len(part)) < 0.1
                batches.append(
                    BatchColumns(
                        source_id=source, boot=1, number=self.number, first_at_us=int(part[0]), items=chosen,
                        offsets=(part - part[0]).astype(np.int32), values=numbers, late=late,
                    )
                )  # fmt: skip
                self.ledger |= {
                    (item, at): value
                    for item, at, value in zip(chosen.tolist(), part.tolist(), numbers.tolist(), strict=True)
                }
        async with self.writer.transaction() as transaction:
            await copy_batches(transaction, batches)

    def expected(self, begin: datetime, end: datetime) -> dict[tuple[int, int], float]:
        return {key: value for key, value in self.ledger.items() if to_us(begin) <= key[1] < to_us(end)}


def as_ledger(samples: Samples) -> dict[tuple[int, int], float]:
    keys = list(zip(samples.items.tolist(), samples.at_us.tolist(), strict=True))
    assert len(set(keys)) == len(keys), "a sample came twice"
    assert keys == sorted(keys)
    return dict(zip(keys, samples.values.tolist(), strict=True))


async def read(database: Database, items: list[int], begin: datetime, end: datetime) -> Samples:
    async with database.connection() as connection:
        return await read_samples(connection, items, begin, end)


async def count(database: Database, table: str) -> int:
    async with database.connection() as connection:
        row = await (await connection.execute(f"SELECT count(*) FROM {table}")).fetchone()  # noqa: S608 - a constant
        assert row is not None
        return int(row[0])


@pytest.fixture
async def produced(writer: Writer) -> Produced:
    begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 3 * HOUR
    made = Produced(writer, begin)
    await made.declare()
    return made


async def test_hot_packed_and_mixed_history_read_the_same(
    database: Database, writer: Writer, produced: Produced
) -> None:
    begin, end = produced.begin, produced.begin + 3 * HOUR
    await produced.store(begin, end)
    assert as_ledger(await read(database, produced.all_items, begin, end)) == produced.ledger
    packed = await pack_closed_slices(writer, datetime.now(UTC) + 3 * HOUR)
    assert (packed.values, packed.duplicates) == (400, 0)
    assert await count(database, "history_batch") == 0
    assert as_ledger(await read(database, produced.all_items, begin, end)) == produced.ledger
    await produced.store(begin, end)  # late: in hours that are packed
    assert as_ledger(await read(database, produced.all_items, begin, end)) == produced.ledger
    assert await count(database, "samples") == 800
    packed = await pack_closed_slices(writer, datetime.now(UTC) + 3 * HOUR)
    assert packed.duplicates == 0
    assert as_ledger(await read(database, produced.all_items, begin, end)) == produced.ledger
    assert await count(database, "samples") == 800


async def test_a_part_of_the_time_and_of_the_items_reads_exactly_that(
    database: Database, writer: Writer, produced: Produced
) -> None:
    begin, end = produced.begin, produced.begin + 3 * HOUR
    await produced.store(begin, end)
    some = [produced.items[0][1], produced.items[1][4]]
    inner_begin, inner_end = begin + timedelta(minutes=37), begin + timedelta(minutes=131)
    for _ in ("hot", "cold"):
        expected = {k: v for k, v in produced.expected(inner_begin, inner_end).items() if k[0] in some}
        assert as_ledger(await read(database, some, inner_begin, inner_end)) == expected
        await pack_closed_slices(writer, datetime.now(UTC) + 3 * HOUR)


async def test_the_same_sample_twice_is_packed_once_and_the_last_arrival_wins(
    database: Database, writer: Writer, produced: Produced
) -> None:
    item, at = produced.items[0][0], produced.begin + timedelta(minutes=1)
    for value in (1.0, 2.0):
        async with writer.transaction() as transaction:
            batch = BatchColumns(
                source_id=produced.sources[0], boot=1, number=1, first_at_us=to_us(at),
                items=np.array([item], np.int32),
                offsets=np.zeros(1, np.int32), values=np.array([value]),
            )  # fmt: skip
            await copy_batches(transaction, [batch])
    assert as_ledger(await read(database, [item], at, at + HOUR)) == {(item, to_us(at)): 2.0}
    packed = await pack_closed_slices(writer, datetime.now(UTC) + 3 * HOUR)
    assert packed.duplicates == 1
    assert as_ledger(await read(database, [item], at, at + HOUR)) == {(item, to_us(at)): 2.0}


async def test_late_marks_survive_packing(database: Database, writer: Writer, produced: Produced) -> None:
    begin, end = produced.begin, produced.begin + 3 * HOUR
    await produced.store(begin, end)
    hot = await read(database, produced.all_items, begin, end)
    assert 0 < hot.late.sum() < len(hot)
    await pack_closed_slices(writer, datetime.now(UTC) + 3 * HOUR)
    cold = await read(database, produced.all_items, begin, end)
    np.testing.assert_array_equal(hot.late, cold.late)


async def test_an_open_slice_is_not_packed(database: Database, writer: Writer, produced: Produced) -> None:
    now = datetime.now(UTC)
    async with database.connection() as connection:
        await ensure_open_slices(connection, now)
    await produced.store(produced.begin, produced.begin + HOUR)
    async with database.connection() as connection:
        newest = [each for each in await read_slices(connection, BATCHES) if each.end]
    assert newest
    packed = await pack_closed_slices(writer, now)
    assert packed.values == 0
    assert as_ledger(await read(database, produced.all_items, produced.begin, produced.begin + HOUR)) == produced.ledger


async def test_a_packing_that_is_broken_off_changes_nothing(
    database: Database, writer: Writer, produced: Produced, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, end = produced.begin, produced.begin + 3 * HOUR
    await produced.store(begin, end)

    async def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("server.store.merging.write_trends", killed)
    with pytest.raises(KeyboardInterrupt):
        await pack_closed_slices(writer, datetime.now(UTC) + 3 * HOUR)
    assert await count(database, "history_packed") == 0
    assert as_ledger(await read(database, produced.all_items, begin, end)) == produced.ledger


async def test_packed_slices_are_gone_and_packing_again_does_nothing(
    database: Database, writer: Writer, produced: Produced
) -> None:
    async with database.connection() as connection:
        await ensure_open_slices(connection, datetime.now(UTC))
    await produced.store(produced.begin, produced.begin + HOUR)
    assert (await pack_closed_slices(writer, datetime.now(UTC) + 5 * HOUR)).values == 400
    async with database.connection() as connection:
        assert [each for each in await read_slices(connection, BATCHES) if each.end] == []
    assert (await pack_closed_slices(writer, datetime.now(UTC) + 5 * HOUR)).values == 0


async def test_a_slice_packed_but_not_dropped_is_finished_later(
    database: Database, writer: Writer, produced: Produced
) -> None:
    async with database.connection() as connection:
        await ensure_open_slices(connection, datetime.now(UTC))
    await produced.store(produced.begin, produced.begin + HOUR)
    async with database.connection() as connection:
        slices = await read_slices(connection, BATCHES)
    assert sum([(await pack_slice(writer, each)).values for each in slices]) == 400
    assert (await pack_closed_slices(writer, datetime.now(UTC) + 5 * HOUR)).values == 0
    assert len(await read(database, produced.all_items, produced.begin, produced.begin + HOUR)) == 400


def naive_trends(ledger: dict[tuple[int, int], float]) -> dict[tuple[int, int], tuple[float, float, float, int]]:
    groups: dict[tuple[int, int], list[float]] = {}
    for (item, at), value in ledger.items():
        groups.setdefault((item, at // 3_600_000_000 * 3_600_000_000), []).append(value)
    return {key: (min(v), sum(v) / len(v), max(v), len(v)) for key, v in sorted(groups.items())}


async def test_trends_are_exact_before_packing_after_it_and_when_late_values_came(
    database: Database, writer: Writer, produced: Produced
) -> None:
    begin, end = produced.begin, produced.begin + 3 * HOUR

    async def check() -> None:
        async with database.connection() as connection:
            trends = await read_trends(connection, produced.all_items, begin, end)
        expected = naive_trends(produced.ledger)
        assert list(zip(trends.items.tolist(), trends.at_us.tolist(), strict=True)) == list(expected)
        columns = np.array([row[:3] for row in expected.values()])
        np.testing.assert_allclose(np.stack([trends.minimum, trends.average, trends.maximum], axis=1), columns)
        assert trends.count.tolist() == [row[3] for row in expected.values()]

    await produced.store(begin, end)
    await check()
    await pack_closed_slices(writer, datetime.now(UTC) + 3 * HOUR)
    await check()
    await produced.store(begin + HOUR / 2, end)
    await check()
    await pack_closed_slices(writer, datetime.now(UTC) + 3 * HOUR)
    await check()
    assert await count(database, "trends") == len(naive_trends(produced.ledger))


async def test_retention_drops_old_slices_whole_and_keeps_the_rest(
    database: Database, writer: Writer, produced: Produced
) -> None:
    old = produced.begin - 60 * DAY
    await produced.store(old, old + HOUR)
    await produced.store(produced.begin, produced.begin + HOUR)
    await pack_closed_slices(writer, datetime.now(UTC) + 3 * HOUR)
    async with database.connection() as connection:
        before = [each.relation for table in (HISTORY, PACKED) for each in await read_slices(connection, table)]
    expired = await expire(writer, RetentionPolicy(), datetime.now(UTC))
    assert expired.slices
    assert set(expired.slices) < set(before)
    assert len(await read(database, produced.all_items, old, old + HOUR)) == 0
    assert len(await read(database, produced.all_items, produced.begin, produced.begin + HOUR)) == 400


async def test_of_lives_not_heard_for_long_the_last_of_each_source_stays(
    database: Database, writer: Writer, produced: Produced
) -> None:
    """Its source may only be cut off: it comes back in the same life and does not say its dictionary again."""
    await produced.store(produced.begin, produced.begin + HOUR)
    async with writer.transaction() as transaction:
        await transaction.execute("INSERT INTO source (uuid, name) VALUES (gen_random_uuid(), 'cut off')")
        for boot, days in ((1, 80), (2, 60)):
            await transaction.execute(
                """INSERT INTO received (source_id, boot, heard_at)
                SELECT id, %s, now() - %s * interval '1 day' FROM source WHERE name = 'cut off'""",
                (boot, days),
            )
    await expire(writer, RetentionPolicy(), datetime.now(UTC))
    async with database.connection() as connection:
        cursor = await connection.execute(
            "SELECT boot FROM received JOIN source ON source.id = source_id WHERE name = 'cut off'"
        )
        assert await cursor.fetchall() == [(2,)]


async def test_an_items_own_rule_keeps_its_newest_values_and_touches_no_other_item(
    database: Database, writer: Writer, produced: Produced
) -> None:
    begin, end = produced.begin, produced.begin + 3 * HOUR
    await produced.store(begin, end)
    await pack_closed_slices(writer, datetime.now(UTC) + 3 * HOUR)
    by_count, by_age, other = produced.items[0][:3]
    hours = {
        item: sum(1 for key in naive_trends(produced.ledger) if key[0] == item) for item in (by_count, by_age, other)
    }
    rules = [
        ItemRetention(item_id=by_count, history=31 * DAY, trends=31 * DAY, samples=1),
        ItemRetention(item_id=by_age, history=datetime.now(UTC) - (begin + 2 * HOUR), trends=31 * DAY),
    ]
    expired = await expire_items(writer, rules, datetime.now(UTC))
    assert expired.item_hours == (hours[by_count] - 1) + (hours[by_age] - 1)
    kept = as_ledger(await read(database, [by_count, by_age, other], begin, end))
    assert {at for item, at in kept if item == by_age} == {
        at for item, at in produced.expected(begin + 2 * HOUR, end) if item == by_age
    }
    assert {at for item, at in kept if item == other} == {at for item, at in produced.ledger if item == other}
    assert await count(database, "trends") == len(naive_trends(produced.ledger))


async def test_trends_stay_longer_than_values_and_a_late_value_does_not_spoil_the_trend_of_an_hour_that_went(
    database: Database, writer: Writer, produced: Produced
) -> None:
    begin, end = produced.begin, produced.begin + 3 * HOUR
    await produced.store(begin, end)
    await pack_closed_slices(writer, datetime.now(UTC) + 3 * HOUR)
    item = produced.items[0][0]
    before = {key: row for key, row in naive_trends(produced.ledger).items() if key[0] == item}
    rule = ItemRetention(item_id=item, history=HOUR, trends=datetime.now(UTC) - (begin + HOUR))
    expired = await expire_items(writer, [rule], datetime.now(UTC) + HOUR)
    assert (expired.item_hours, expired.trends) == (3, 2)
    expired = await expire_items(writer, [rule], datetime.now(UTC) + HOUR)
    assert (expired.item_hours, expired.trends) == (0, 0)
    late = BatchColumns(
        source_id=produced.sources[0], boot=1, number=9000, first_at_us=to_us(begin + 2 * HOUR),
        items=np.array([item], np.int32), offsets=np.zeros(1, np.int32), values=np.array([1e6]),
    )  # fmt: skip
    async with writer.transaction() as transaction:
        await copy_batches(transaction, [late])
    await pack_closed_slices(writer, datetime.now(UTC) + 3 * HOUR)
    async with database.connection() as connection:
        trends = await read_trends(connection, [item], begin, end)
    assert trends.count.tolist() == [before[item, to_us(begin + 2 * HOUR)][3]]
    assert trends.maximum.tolist() == [before[item, to_us(begin + 2 * HOUR)][2]]


async def test_texts_go_by_age_and_by_number(database: Database, writer: Writer, produced: Produced) -> None:
    by_count, by_age, other = produced.items[0][:3]
    texts = [
        TextSample(
            source_id=produced.sources[0], boot=1, number=1, item_id=item, value=f"{minute}",
            at_us=to_us(produced.begin + minute * HOUR / 60),
        )
        for item in (by_count, by_age, other)
        for minute in (0, 1, 2, 3, 3)
    ]  # fmt: skip
    async with writer.transaction() as transaction:
        await copy_texts(transaction, texts)
    now = datetime.now(UTC)
    rules = [
        ItemRetention(item_id=by_count, history=DAY, trends=DAY, samples=3),
        ItemRetention(item_id=by_age, history=now - produced.begin - HOUR / 60, trends=DAY),
    ]
    assert (await expire_items(writer, rules, now)).texts == 2 + 1
    async with database.connection() as connection:
        found = await read_texts(connection, [by_count, by_age, other], produced.begin, now)
    kept = {item: [each.value for each in found if each.item_id == item] for item in (by_count, by_age, other)}
    assert kept == {
        by_count: ["2", "3", "3"],
        by_age: ["1", "2", "3", "3"],
        other: ["0", "1", "2", "3", "3"],
    }


async def test_text_values_read_back_in_order(database: Database, writer: Writer, produced: Produced) -> None:
    item = produced.items[0][0]
    texts = [
        TextSample(
            source_id=produced.sources[0], boot=1, number=n, item_id=item, at_us=to_us(produced.begin) + n, value=f"{n}"
        )
        for n in (3, 1, 2)
    ]
    async with writer.transaction() as transaction:
        await copy_texts(transaction, texts)
    async with database.connection() as connection:
        found = await read_texts(connection, [item], produced.begin, produced.begin + HOUR)
    assert [each.value for each in found] == ["1", "2", "3"]


async def test_health_names_the_server_and_its_rate(
    database: Database, produced: Produced, request: pytest.FixtureRequest
) -> None:
    await produced.store(produced.begin, produced.begin + HOUR, values=300)
    async with database.connection() as connection:
        health = await read_health(connection)
    assert health.values_per_second == pytest.approx(10.0)
    assert (health.timescale_version is not None) == ("timescale" in request.node.name)
    assert health.size_bytes > 1_000_000


async def test_a_slice_cannot_be_dropped_while_it_is_read_and_the_wait_is_short(
    database: Database, writer: Writer, produced: Produced
) -> None:
    async with database.connection() as connection:
        await ensure_open_slices(connection, datetime.now(UTC))
    await produced.store(produced.begin, produced.begin + HOUR)
    async with database.connection(60) as reading, reading.transaction():
        await reading.execute("SELECT count(*) FROM history_batch")
        async with database.connection() as connection:
            dropped = next(iter(await read_slices(connection, BATCHES)))
        with pytest.raises(StoreBusy):
            async with writer.database.connection() as connection:
                await drop_slice(connection, dropped)
    assert len(await read(database, produced.all_items, produced.begin, produced.begin + HOUR)) == 400
