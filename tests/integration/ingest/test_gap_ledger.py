"""H5: how every record came and where numbers are missing stands in the store, written with the records themselves."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import numpy as np

from core.model.gaps import Gap
from core.model.ranges import RangeSet
from core.model.record import pack_closing, pack_lost, pack_values
from server.ingest import group
from server.inventory.apply import apply, check_documents, propose
from server.inventory.check import documents_from_plain
from server.store.definitions import Author
from server.store.gaps import read_gaps
from server.store.problems import ProblemFilter, read_problems
from server.store.received import read_received
from tests.integration.ingest.reigning import ingesting
from tests.support.waiting import until

if TYPE_CHECKING:
    import pytest

    from server.store.database import Database
    from server.store.received import Received
    from server.store.transaction import Writer
    from tests.integration.ingest.reigning import Feed

TEMPLATE = {
    "kind": "template",
    "name": "t",
    "items": [{"item": "load"}],
    "triggers": [{"name": "Busy", "expression": "last(load) > 90", "severity": "high"}],
}
HOST = {"kind": "host", "name": "h", "templates": ["t"]}
SECOND = 1_000_000


def sample(feed: Feed, at_us: int, number: int | None = None) -> bytes:
    number = feed.next_number() if number is None else number
    return pack_values(feed.origin, number, 1, array("I", [1]), [at_us], array("d", [1.0]))


async def received(database: Database, feed: Feed) -> tuple[Received, list[Gap]]:
    async with database.connection() as connection:
        (row,) = (await read_received(connection)).values()
        gaps = await read_gaps(connection, [(row.source_id, feed.boot)])
    return row, list(gaps.get((row.source_id, feed.boot), ()))


async def test_a_record_counts_as_in_time_late_or_replayed(writer: Writer, database: Database) -> None:
    checked = check_documents(documents_from_plain([TEMPLATE, HOST]))
    await apply(database, await propose(database, checked, via="file"), Author(name="test", via="file"))
    async with ingesting(writer, database) as feed:
        await feed.put(feed.dictionary("load"))
        await feed.settled(1)
        await feed.bound()
        now = feed.clock.now_us()
        await feed.put(sample(feed, now - 300 * SECOND), sample(feed, now - 200 * SECOND))  # a backlog
        await feed.settled(2, 3)
        await feed.put(sample(feed, now))
        await feed.settled(4)
        old = sample(feed, now - 100 * SECOND)  # behind what was evaluated, however old
        await feed.put(old, sample(feed, now - SECOND), sample(feed, now + SECOND))
        await feed.settled(5, 6, 7)
        await feed.put(old)
        await feed.put(sample(feed, now + 2 * SECOND))
        await feed.settled(8)
        row, _ = await received(database, feed)
    assert (row.ranges, row.replayed, row.late) == (RangeSet([(1, 8)]), 2, 2)
    assert row.newest_us == now + 2 * SECOND


async def test_gaps_lie_between_the_instants_of_their_stored_neighbours_and_outlive_a_reign(
    writer: Writer, database: Database
) -> None:
    async with ingesting(writer, database) as feed:
        now = feed.clock.now_us()
        await feed.put(feed.dictionary("load"), sample(feed, now, 2), sample(feed, now + 30, 11))
        await feed.settled(1, 2, 11)
        row, gaps = await received(database, feed)
        assert gaps == [Gap(3, 10, now, now + 30)]
        await feed.put(sample(feed, now + 20, 6), sample(feed, now + 21, 7))  # by another proxy
        await feed.settled(6, 7)
        row, gaps = await received(database, feed)
        assert gaps == [Gap(3, 5, now, now + 20), Gap(8, 10, now + 21, now + 30)]
    async with ingesting(writer, database) as later:
        later.boot = feed.boot
        lost = pack_lost(later.origin, 12, [(later.boot, 3, 4), (later.boot, 8, 9)], now + 40)
        closing = pack_closing(later.origin, 13, [(later.boot, 13)], now + 50)
        await later.put(later.dictionary("load"), lost, closing, sample(later, now + 15, 5), sample(later, now + 5, 3))
        await later.settled(3, 5, 12, 13)
        row, gaps = await received(database, later)
        assert gaps == [Gap(4, 4, now + 5, now + 15), Gap(8, 10, now + 21, now + 30)]
        assert (row.lost, row.last_number, row.is_complete) == (RangeSet([(4, 4), (8, 9)]), 13, False)
        await later.put(sample(later, now + 29, 10), sample(later, now + 25, 8))
        await later.settled(8, 10)
        row, gaps = await received(database, later)
        assert gaps == [Gap(4, 4, now + 5, now + 15), Gap(9, 9, now + 25, now + 29)]
        assert row.is_complete
        assert row.ranges.count + row.lost.count + row.refused.count == row.last_number


async def test_a_refused_number_is_no_longer_lost_and_its_gap_stays(writer: Writer, database: Database) -> None:
    async with ingesting(writer, database) as feed:
        now = feed.clock.now_us()
        lost = pack_lost(feed.origin, 4, [(feed.boot, 2, 3)], now + 10)
        await feed.put(feed.dictionary("load"), lost, sample(feed, now + 86_400 * SECOND, 2))
        await feed.settled(1, 2, 4)
        row, gaps = await received(database, feed)
    assert (row.refused, row.lost) == (RangeSet([(2, 2)]), RangeSet([(3, 3)]))
    assert [gap[:2] for gap in gaps] == [(2, 3)]
    assert gaps[0].before_us == now + 10


async def test_what_triggers_look_back_on_is_unknown_while_records_are_missing_there(
    writer: Writer, database: Database
) -> None:
    windowed = {**TEMPLATE, "triggers": [{"name": "Busy", "expression": "max(load, 1m) < 90", "severity": "high"}]}
    checked = check_documents(documents_from_plain([windowed, HOST]))
    await apply(database, await propose(database, checked, via="file"), Author(name="test", via="file"))

    async def problems() -> int:
        async with database.connection() as connection:
            return len(await read_problems(connection, ProblemFilter(state="all")))

    async with ingesting(writer, database) as feed:
        await feed.put(feed.dictionary("load"))
        await feed.settled(1)
        await feed.bound()
        begin = feed.clock.now_us() - 200 * SECOND
        # 2 to 9 were lost, with the values over 90 that kept the trigger quiet
        await feed.put(sample(feed, begin, 10), sample(feed, begin + 59 * SECOND, 11))
        await feed.settled(10, 11)
        assert await problems() == 0
        await feed.put(sample(feed, begin + 61 * SECOND, 12))
        await feed.settled(12)
        assert await problems() == 1, "a minute later all that it looks back on is known"


async def test_what_triggers_look_back_on_is_known_again_when_the_missing_records_were_stored_late(
    writer: Writer, database: Database
) -> None:
    windowed = {**TEMPLATE, "triggers": [{"name": "Busy", "expression": "count(load, 5m) >= 8", "severity": "high"}]}
    checked = check_documents(documents_from_plain([windowed, HOST]))
    await apply(database, await propose(database, checked, via="file"), Author(name="test", via="file"))

    async def problems() -> int:
        async with database.connection() as connection:
            return len(await read_problems(connection, ProblemFilter(state="all")))

    async with ingesting(writer, database) as feed:
        await feed.put(feed.dictionary("load"))
        await feed.settled(1)
        await feed.bound()
        item = np.array([1], np.int32)
        feed.watch.evaluator.watched_since(item, np.array([0]))
        begin = feed.clock.now_us() - 100 * SECOND
        await feed.put(sample(feed, begin, 2), sample(feed, begin + 50 * SECOND, 9))
        await feed.settled(2, 9)
        assert feed.watch.evaluator.gapped().items.tolist() == [1]
        backlog = [sample(feed, begin + number * SECOND, number) for number in range(3, 9)]
        await feed.put(*backlog[:3])
        await feed.settled(3, 4, 5)
        assert feed.watch.evaluator.gapped().items.tolist() == [1], "some are missing still"
        await feed.put(*backlog[3:])
        await feed.settled(6, 7, 8)
        await until(lambda: not len(feed.watch.evaluator.gapped().items), what="the healing")
        await feed.put(sample(feed, begin + 60 * SECOND, 10))
        await feed.settled(10)
        assert await problems() == 1, "all nine of them are counted"


async def test_losses_in_ever_more_pieces_are_counted_and_not_noted(
    writer: Writer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group, "MOST_PIECES", 2)
    async with ingesting(writer, database) as feed:
        now = feed.clock.now_us()
        rows = [(feed.boot, number, number) for number in (3, 5, 7, 9)]
        await feed.put(feed.dictionary("load"), sample(feed, now, 20), pack_lost(feed.origin, 21, rows, now))
        await feed.settled(1, 20, 21)
        row, _ = await received(database, feed)
        assert row.lost == RangeSet([(3, 3), (5, 5)])
        assert feed.counters.get("ingest.unkept_losses") == 2
