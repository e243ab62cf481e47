"""A machine set back to a snapshot gives numbers a second time: all it says is stored, once, whatever comes when."""

from __future__ import annotations

import random
from array import array
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from core.model.record import ItemEntry, Origin, pack_dictionary, pack_texts, pack_values, read_header
from server.store.packing import pack_closed_slices
from server.store.quarantine import read_quarantined
from tests.integration.ingest.reigning import SOURCE, ingesting

if TYPE_CHECKING:
    from server.store.database import Database
    from server.store.transaction import Writer
    from tests.integration.ingest.reigning import Feed

LOAD, WORD, FIRST_NEW = 1, 2, 3
SNAPSHOT, LAST = 4, 12
ORDERS: Final = 3


def dictionary(feed: Feed, number: int, key: str, item: int = FIRST_NEW, version: int = 2) -> bytes:
    return pack_dictionary(feed.origin, number, version, [ItemEntry(number=item, key=key)], feed.clock.now_us())


def values(feed: Feed, number: int, *numbers: float, item: int = LOAD, version: int = 1) -> bytes:
    at = feed.clock.now_us()
    items, instants = array("I", [item] * len(numbers)), [at + place for place in range(len(numbers))]
    return pack_values(feed.origin, number, version, items, instants, array("d", numbers))


def words(feed: Feed, number: int, word: str) -> bytes:
    return pack_texts(feed.origin, number, 1, [WORD], [feed.clock.now_us()], [word])


async def begin(feed: Feed) -> None:
    entries = [ItemEntry(number=LOAD, key="load"), ItemEntry(number=WORD, key="word", type="text")]
    await feed.put(pack_dictionary(Origin(SOURCE, feed.boot), 1, 1, entries, feed.clock.now_us()))
    await feed.settled(1)


async def contents(database: Database) -> tuple[list[float], list[str]]:
    async with database.connection() as connection:
        numbers = await (await connection.execute("SELECT value FROM samples ORDER BY value")).fetchall()
        texts = await (await connection.execute("SELECT value FROM history_text ORDER BY value")).fetchall()
    return [row[0] for row in numbers], [row[0] for row in texts]


def lives(feed: Feed) -> tuple[list[bytes], list[bytes]]:
    """What one life says, and what it says after it was set back: the same up to the snapshot, then otherwise."""

    def said(past: int, number: int) -> bytes:
        name = f"{past} {number}"
        return words(feed, number, name) if number % 4 == 0 else values(feed, number, past + number, past + number / 2)

    common = [said(1000, number) for number in range(2, SNAPSHOT + 1)]
    first = [said(2000, number) for number in range(SNAPSHOT + 1, LAST + 1)]
    second = [said(3000, number) for number in range(SNAPSHOT + 1, LAST + 3)]
    return common + first, common + second


async def test_of_two_pasts_of_one_life_everything_is_stored_once_in_whatever_order_it_comes(
    writer: Writer, database: Database
) -> None:
    order = random.Random(7)
    async with ingesting(writer, database) as feed:
        await begin(feed)
        first, second = lives(feed)
        everything = list(dict.fromkeys(first + second))
        for _ in range(ORDERS):
            sent = everything + order.choices(everything, k=len(everything))
            order.shuffle(sent)
            while sent:
                group = [sent.pop() for _ in range(min(len(sent), order.randint(1, 9)))]
                await feed.put(*group)
                if order.random() < 0.3:
                    await feed.settled(*(read_header(record).number for record in group))
        await feed.put(values(feed, LAST + 3, 1))
        await feed.settled(*range(1, LAST + 4))
        numbers, texts = await contents(database)
        wanted = [past + number for past, record in ((1000, 2), (1000, 3)) for number in (record, record / 2)]
        wanted += [past + part for past, end in ((2000, LAST), (3000, LAST + 2)) for number in range(5, end + 1)
                   if number % 4 for part in (number, number / 2)]  # fmt: skip
        assert numbers == sorted([*wanted, 1])
        assert texts == sorted(["1000 4", "2000 8", "2000 12", "3000 8", "3000 12"])
        assert feed.counters.get("ingest.reissued_records") == LAST - SNAPSHOT
        assert feed.counters.get("ingest.stored_records") == LAST + 3


async def test_what_is_packed_is_known_as_well(writer: Writer, database: Database) -> None:
    async with ingesting(writer, database) as feed:
        await begin(feed)
        one, two, again = values(feed, 2, 1, 2), values(feed, 3, 3), values(feed, 3, 4)
        await feed.put(one, two)
        await feed.settled(2, 3)
        packed = await pack_closed_slices(writer, datetime.now(UTC) + timedelta(hours=3))
        assert packed.values == 3
        await feed.put(one, two, again)
        await feed.put(values(feed, 4, 5))
        await feed.settled(4)
        assert (await contents(database))[0] == [1, 2, 3, 4, 5]
        assert feed.counters.get("ingest.reissued_records") == 1
        assert feed.counters.get("ingest.duplicate_records") == 2


async def test_a_number_that_means_another_item_after_the_snapshot_is_taken_for_neither(
    writer: Writer, database: Database
) -> None:
    """And other items that were declared since it are: what was asked for in both pasts is there."""
    async with ingesting(writer, database) as feed:
        await begin(feed)
        await feed.put(dictionary(feed, 2, "free"), values(feed, 3, 1, item=FIRST_NEW, version=2))
        await feed.settled(2, 3)
        set_back = [dictionary(feed, 2, "used"), dictionary(feed, 3, "new", FIRST_NEW + 1, 3)]
        await feed.put(*set_back, values(feed, 4, 2, item=FIRST_NEW, version=3))
        await feed.put(values(feed, 5, 3, item=FIRST_NEW + 1, version=3), values(feed, 6, 4))
        await feed.settled(4, 5, 6)
        assert (await contents(database))[0] == [1, 3, 4]
        assert "means two things" in feed.listener.refusals[4]
        async with database.connection() as connection:
            assert [each.number for each in await read_quarantined(connection)] == [4]
    async with ingesting(writer, database) as after:
        after.boot = feed.boot
        await after.put(*set_back, values(after, 7, 5, item=FIRST_NEW, version=3))
        await after.settled(7)
        assert 7 in after.listener.refusals, "the store remembers it"
        assert after.counters.get("ingest.reissued_records") == 0
