"""The packed form in the database: SQL reads it as the server does, older rows stay readable, damage is named."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from server.evaluation.refresh import refill
from server.store.backfill import Backfilled, backfill_samples
from server.store.batches import BatchColumns, copy_batches
from server.store.cold import ColdRowDamaged
from server.store.history import read_samples
from server.store.instants import HOUR_US, to_us
from server.store.latest import read_older
from server.store.packing import pack_closed_slices
from server.store.samples import Samples
from tests.integration.store.making import declare_items, make_source
from triggers.columns import Needs

if TYPE_CHECKING:
    from server.evaluation.watch import Watch
    from server.store.database import Database
    from server.store.transaction import Writer
    from triggers.columns import Columns

HOUR = timedelta(hours=1)
RANDOM = np.random.default_rng(5)
KINDS = {
    "every special float": np.array(
        [0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, -2.5e-310, 2.2250738585072014e-308, 1.797e308, -1 / 3, 0.1]
    ),
    "any bits": RANDOM.integers(0, 2**64, 100, dtype=np.uint64).view(np.float64),
    "a counter that begins anew": np.concatenate([np.arange(90) * 997.0 + 1e12, np.arange(10) * 997.0]),
    "two decimals": RANDOM.normal(0, 100, 100).round(2),
    "nine decimals": RANDOM.random(50).round(9),
    "whole pages": RANDOM.integers(0, 2**20, 100) * 4096.0,
    "constant": np.full(100, -7.5),
    "one value": np.array([3.25]),
    "fractions": RANDOM.random(100),
}


class Place:
    """One source whose items, one for each kind of values, are stored in the hour that begins at `begin`."""

    def __init__(self, writer: Writer, source: int, items: list[int], begin: datetime) -> None:
        self.writer, self.source, self.items, self.begin = writer, source, items, begin
        self.number = 0

    async def store(self, item: int, at_us: np.ndarray, values: np.ndarray) -> None:
        self.number += 1
        batch = BatchColumns(
            source_id=self.source, boot=1, number=self.number, first_at_us=int(at_us[0]),
            items=np.full(len(values), item, np.int32), offsets=(at_us - at_us[0]).astype(np.int32), values=values,
        )  # fmt: skip
        async with self.writer.transaction() as transaction:
            await copy_batches(transaction, [batch])

    async def pack(self) -> None:
        await pack_closed_slices(self.writer, datetime.now(UTC) + 3 * HOUR)

    async def read(self, item: int) -> Samples:
        async with self.writer.database.connection() as connection:
            return await read_samples(connection, [item], self.begin, self.begin + HOUR)


@pytest.fixture
async def place(writer: Writer) -> Place:
    begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 3 * HOUR
    async with writer.transaction() as transaction:
        source = await make_source(transaction)
        return Place(writer, source, await declare_items(transaction, source, len(KINDS)), begin)


def instants(place: Place, count: int) -> np.ndarray:
    """Every ten seconds with jitter, and a pause in the middle."""
    steps = np.arange(count, dtype=np.int64) * 10_000_000 + RANDOM.integers(0, 3000, count)
    steps[count // 2 :] += 300_000_000
    return to_us(place.begin) + steps


async def test_sql_reads_a_packed_hour_as_the_server_does(database: Database, place: Place) -> None:
    stored = {}
    for item, values in zip(place.items, KINDS.values(), strict=True):
        stored[item] = (instants(place, len(values)), values)
        await place.store(item, *stored[item])
    await place.pack()
    for item, (at_us, values) in stored.items():
        samples = await place.read(item)
        np.testing.assert_array_equal(samples.at_us, at_us)
        np.testing.assert_array_equal(samples.values.view(np.uint64), values.view(np.uint64))
        async with database.connection() as connection:
            cursor = await connection.execute(
                "SELECT (extract(epoch FROM at) * 1000000)::int8, value FROM samples WHERE item_id = %s ORDER BY at",
                (item,),
            )
            found = await cursor.fetchall()
        assert [at for at, _ in found] == at_us.tolist()
        # repr tells -0.0 from 0.0; SQL knows one not-a-number only
        assert [repr(value) for _, value in found] == [repr(value) for value in values.tolist()]


async def test_rows_of_arrays_from_before_are_read_and_what_comes_late_for_them_is_packed(
    database: Database, place: Place
) -> None:
    item, begin_us = place.items[0], to_us(place.begin)
    async with database.connection() as connection:
        await connection.execute(
            'INSERT INTO history (item_id, at, offsets, "values", late) VALUES (%s, %s, %s, %s, %s)',
            (item, place.begin + HOUR / 2, [-1_800_000_000, 5], [1.5, 2.5], b"\x40"),
        )
    samples = await place.read(item)
    assert (samples.values.tolist(), samples.late.tolist()) == ([1.5, 2.5], [False, True])
    await place.store(item, np.array([begin_us + 7]), np.array([9.0]))
    assert (await place.read(item)).values.tolist() == [1.5, 9.0, 2.5]
    await place.pack()
    samples = await place.read(item)
    assert (samples.values.tolist(), samples.late.tolist()) == ([1.5, 9.0, 2.5], [False, False, True])
    async with database.connection() as connection:
        cursor = await connection.execute(
            "SELECT (SELECT count(*) FROM history), (SELECT sum(count) FROM history_packed), "
            "(SELECT array_agg(value ORDER BY at) FROM samples)"
        )
        assert await cursor.fetchone() == (0, 3, [1.5, 9.0, 2.5])


async def test_a_damaged_hour_is_named_hides_no_other_and_what_comes_late_for_it_is_kept(
    database: Database, place: Place
) -> None:
    broken, whole = place.items[:2]
    at_us = instants(place, 20)
    for item in (broken, whole):
        await place.store(item, at_us, np.arange(20.0))
    await place.pack()
    await damage(database, broken)
    with pytest.raises(ColdRowDamaged, match=rf"item {broken} in the hour from {place.begin:%Y-%m-%d %H:%M} UTC"):
        await place.read(broken)
    assert (await place.read(whole)).values.tolist() == list(range(20))
    for item in (broken, whole):
        await place.store(item, at_us[-1:] + 1_000_000, np.array([77.0]))
    await place.pack()
    assert (await place.read(whole)).values.tolist() == [*range(20), 77]
    async with database.connection() as connection:
        cursor = await connection.execute("SELECT count(*) FROM history_batch")
        assert await cursor.fetchone() == (0,)
        await connection.execute("DELETE FROM history_packed WHERE item_id = %s", (broken,))
    assert (await place.read(broken)).values.tolist() == [77]


async def damage(database: Database, item: int) -> None:
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE history_packed SET packed = set_byte(packed, 60, get_byte(packed, 60) # 1) WHERE item_id = %s",
            (item,),
        )


class _Windows:
    """Stands for the evaluator: windows of four hours over some items."""

    def __init__(self, items: list[int]) -> None:
        self.items = items
        self.filled: dict[int, list[float]] = {}
        self.done: list[int] = []

    @property
    def evaluator(self) -> _Windows:
        return self

    def needs(self) -> Needs:
        count = len(self.items)
        return Needs(
            items=np.array(self.items, np.int32), window_seconds=np.full(count, 4 * 3600.0),
            since=np.zeros(count, np.int64),
        )  # fmt: skip

    def refill(self, columns: Columns) -> None:
        for item, value in zip(columns.items.tolist(), columns.values.tolist(), strict=True):
            self.filled.setdefault(item, []).append(value)

    def refilled(self, items: np.ndarray) -> None:
        self.done += items.tolist()


async def test_a_damaged_hour_keeps_no_server_from_taking_over(database: Database, place: Place) -> None:
    """One flipped bit in the hours that windows look back on would end one active server after the other."""
    broken, whole = place.items[:2]
    at_us = instants(place, 5)
    for item in (broken, whole):
        await place.store(item, at_us, np.arange(5.0))
    await place.pack()
    await damage(database, broken)
    windows = _Windows([broken, whole])
    async with database.connection() as connection:
        await refill(connection, cast("Watch", windows), to_us(datetime.now(UTC)))
        assert list(await read_older(connection, windows.items)) == [whole]
    assert windows.filled == {whole: [0.0, 1.0, 2.0, 3.0, 4.0]}
    assert windows.done == [broken, whole]


async def test_a_damaged_hour_keeps_no_file_from_being_imported(database: Database, place: Place) -> None:
    item = place.items[0]
    at_us = instants(place, 5)
    await place.store(item, at_us, np.arange(5.0))
    await place.pack()
    await damage(database, item)
    await place.store(item, at_us[:1] + HOUR_US, np.array([6.0]))  # not packed: the hours since are looked at, too
    given = Samples(
        items=np.full(3, item, np.int32), at_us=np.array([at_us[0] + 1, at_us[0] + HOUR_US, at_us[0] + HOUR_US + 1]),
        values=np.array([7.0, 8.0, 9.0]), late=np.zeros(3, np.bool_),
    )  # fmt: skip
    for expected in (Backfilled(stored=2, known=1), Backfilled(stored=0, known=3)):
        async with database.connection() as connection:
            assert await backfill_samples(connection, given) == expected
    async with database.connection() as connection:
        await connection.execute(
            "DELETE FROM history_packed WHERE item_id = %s AND at < %s", (item, place.begin + HOUR)
        )
        found = await read_samples(connection, [item], place.begin, place.begin + 2 * HOUR)
    assert found.values.tolist() == [7.0, 6.0, 9.0]
