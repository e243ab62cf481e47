"""What ingest stores, and what it does with what cannot be stored, on a real database."""

from __future__ import annotations

from array import array
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from core.model.record import ItemEntry, pack_dictionary, pack_values
from core.runtime.clock import SystemClock
from server.evaluation.watch import Watch
from server.ingest.orphans import resolve_orphans
from server.inventory.apply import apply, check_documents, propose
from server.inventory.check import documents_from_plain
from server.picture import Picture
from server.store.definitions import Author
from server.store.escalations import read_under_way
from server.store.lease import take
from server.store.outbox import claim, read_told
from server.store.problems import ProblemFilter, read_open_problems, read_problems
from server.store.quarantine import read_quarantined
from server.store.transaction import Writer
from tests.integration.ingest.reigning import Feed, ingesting
from tests.support.cutting import cutter

if TYPE_CHECKING:
    from server.store.database import Connection, Database, DatabaseOptions

TEMPLATE = {
    "kind": "template",
    "name": "t",
    "items": [{"item": "load"}],
    "triggers": [{"name": "Busy on {host}", "expression": "last(load) > 90", "severity": "high"}],
}
HOST = {"kind": "host", "name": "h", "templates": ["t"]}
RECEIVER = {"kind": "receiver", "name": "r", "webhook": {"url": "https://example.org/"}}


async def stored_values(connection: Connection) -> list[float]:
    rows = await (await connection.execute("SELECT value FROM samples ORDER BY value")).fetchall()
    return [row[0] for row in rows]


async def define(database: Database, *more: dict[str, Any]) -> None:
    checked = check_documents(documents_from_plain([TEMPLATE, HOST, RECEIVER, *more]))
    proposal = await propose(database, checked, via="file")
    await apply(database, proposal, Author(name="test", via="file"))


async def test_what_arrives_twice_in_any_order_is_stored_once_and_always_acknowledged(
    writer: Writer, database: Database
) -> None:
    async with ingesting(writer, database) as feed:
        dictionary, one, two, three = feed.dictionary("load"), feed.values(1), feed.values(2), feed.values(3)
        await feed.put(three, dictionary, one)
        await feed.settled(1, 2, 4)
        await feed.put(one, two, three, three)
        await feed.settled(1, 2, 3, 4)
        assert feed.counters.get("ingest.duplicate_records") == 3
        async with database.connection() as connection:
            assert await stored_values(connection) == [1, 2, 3]


async def test_what_a_source_says_of_another_host_is_refused_and_counted_and_its_own_is_stored(
    writer: Writer, database: Database
) -> None:
    async with ingesting(writer, database) as feed:
        entries = [ItemEntry(number=1, key="load"), ItemEntry(number=2, key="load", host="another")]
        now = feed.clock.now_us()
        dictionary = pack_dictionary(feed.origin, feed.next_number(), 1, entries, now)
        both = pack_values(feed.origin, feed.next_number(), 1, array("I", [1, 2]), [now, now], array("d", [5.0, 6.0]))
        await feed.put(dictionary, both, feed.values(7.0, item=2))
        await feed.settled(1, 2, 3)
        assert feed.counters.get("ingest.foreign_values") == 2
        async with database.connection() as connection:
            assert await stored_values(connection) == [5.0]
            rows = await (await connection.execute("SELECT name FROM host")).fetchall()
        assert rows == [("h",)]


async def test_samples_that_outrun_their_dictionary_wait_for_it(writer: Writer, database: Database) -> None:
    async with ingesting(writer, database) as feed:
        dictionary, early = feed.dictionary("load"), feed.values(7)
        await feed.put(early)
        await feed.put(dictionary)
        await feed.settled(1, 2)
        assert not feed.listener.refusals
        async with database.connection() as connection:
            assert await stored_values(connection) == [7]


async def test_a_second_copy_of_a_record_that_waits_for_its_dictionary_is_not_acknowledged(
    writer: Writer, database: Database
) -> None:
    async with ingesting(writer, database) as feed:
        dictionary, early, late = feed.dictionary("load"), feed.values(7), feed.dictionary("free", version=2, first=2)
        twice = feed.values(8, item=2, version=2)
        await feed.put(dictionary, early, twice, twice)
        await feed.settled(1, 2)
        assert 4 not in feed.listener.stored_numbers, "nobody may forget what is only in memory"
        await feed.put(late)
        await feed.settled(3, 4)
        async with database.connection() as connection:
            assert await stored_values(connection) == [7, 8]


async def test_a_poison_record_goes_to_quarantine_and_its_neighbours_are_stored(
    writer: Writer, database: Database
) -> None:
    async with ingesting(writer, database) as feed:
        good, foreign, bad_key = feed.dictionary("load"), feed.values(5, item=99), feed.dictionary("", version=2)
        after = feed.values(6)
        await feed.put(good, foreign, bad_key, after)
        await feed.settled(1, 2, 3, 4)
        assert set(feed.listener.refusals) == {2, 3}
        async with database.connection() as connection:
            assert await stored_values(connection) == [6]
            kept = {each.number: each.reason for each in await read_quarantined(connection)}
    assert "item number 99" in kept[2]
    assert "refuses the data" in kept[3]


async def test_a_problem_opens_and_resolves_with_its_samples_and_its_notices_are_owed(
    writer: Writer, database: Database
) -> None:
    await define(database)
    async with ingesting(writer, database) as feed:
        await feed.put(feed.dictionary("load"), feed.values(10))
        await feed.settled(1, 2)
        await feed.bound()
        spike = feed.values(95, 99, 20)
        await feed.put(spike)
        await feed.settled(3)
        await feed.put(spike)
        await feed.put(feed.values(30))
        await feed.settled(4)
    async with database.connection() as connection:
        (problem,) = await read_problems(connection, ProblemFilter(state="all"))
        assert (problem.name, problem.value, problem.resolved_at is None) == ("Busy on h", 95, False)
        cursor = await connection.execute("SELECT kind FROM event ORDER BY id")
        assert [row[0] for row in await cursor.fetchall()] == ["opened", "resolved"]
        first = await claim(connection, epoch=writer.epoch)
        assert [notice.payload["event"] for notice in first] == ["opened"], "its end is told after its beginning"


async def test_after_an_outage_live_values_are_judged_and_the_backlog_is_stored_late_without_an_event(
    writer: Writer, database: Database
) -> None:
    await define(database)
    async with ingesting(writer, database) as feed, database.connection(100) as connection:
        await feed.put(feed.dictionary("load"), feed.values(10))
        await feed.settled(1, 2)
        await feed.bound()
        backlog = [feed.values(95, 96, age_seconds=7_200), feed.values(97, age_seconds=3_600)]
        await feed.put(feed.values(20))
        await feed.settled(5)
        await feed.put(*backlog, feed.values(98))
        await feed.settled(3, 4, 6)
        (problem,) = await read_problems(connection, ProblemFilter(state="all"))
        assert problem.value == 98, "opened by what is so now, not by what was so in the outage"
        assert await stored_values(connection) == [10, 20, 95, 96, 97, 98]
        cursor = await connection.execute("SELECT number FROM history_batch WHERE late IS NOT NULL ORDER BY number")
        assert [row[0] for row in await cursor.fetchall()] == [3, 4]


async def test_an_escalation_starts_with_its_problem_and_goes_with_it(writer: Writer, database: Database) -> None:
    steps = [{"after": "1h", "tell": ["r"]}]
    taking = {"kind": "escalation", "name": "taking", "for": {"hosts": ["h"]}, "steps": steps}
    await define(database, taking, {"kind": "escalation", "name": "other", "for": {"groups": ["x"]}, "steps": steps})
    async with ingesting(writer, database) as feed, database.connection(100) as connection:
        await feed.put(feed.dictionary("load"), feed.values(10))
        await feed.settled(1, 2)
        await feed.bound()
        await feed.put(feed.values(95))
        await feed.settled(3)
        (problem,) = await read_problems(connection, ProblemFilter())
        assert await read_under_way(connection, problem.id) == ["taking"]
        assert await read_told(connection, [problem.id]) == [], "an escalation's receiver is told by its steps only"
        await feed.put(feed.values(20))
        await feed.settled(4)
        assert await read_under_way(connection, problem.id) == []
        assert await read_told(connection, [problem.id]) == [], "never told of the beginning, so not of the end"


async def test_a_problem_whose_trigger_is_gone_ends_and_who_was_told_of_it_is_told(
    writer: Writer, database: Database
) -> None:
    await define(database)
    async with ingesting(writer, database) as feed:
        await feed.put(feed.dictionary("load"))
        await feed.settled(1)
        await feed.bound()
        await feed.put(feed.values(95))
        await feed.settled(2)
    picture = Picture(database, SystemClock())
    await picture.look()
    async with database.connection() as connection:
        watch = Watch(await read_open_problems(connection))
    orphans = {problem.problem_id for problem in watch.orphans()}
    async with writer.transaction() as connection:
        await resolve_orphans(connection, orphans, picture.audience(), datetime.now(UTC))
    async with database.connection() as connection:
        (problem,) = await read_problems(connection, ProblemFilter(state="all"))
        assert problem.resolved_at is not None
        told = await read_told(connection, [problem.id])
    assert [(each.receiver, each.kind) for each in told] == [("r", "opened"), ("r", "resolved")]


@pytest.mark.parametrize("harm", ["after", "before"])
async def test_an_unanswered_commit_is_settled_by_what_is_stored(
    database_options: DatabaseOptions, database: Database, harm: str
) -> None:
    await define(database)
    address = conninfo_to_dict(database_options.dsn)
    async with cutter(str(address["host"]), int(str(address["port"]))) as cut:
        cut_options = replace(database_options, dsn=make_conninfo(database_options.dsn, port=cut.port))
        lease = await take(cut_options, endpoint="here")
        assert lease is not None
        writer = Writer(cut_options, lease.epoch)
        try:
            async with ingesting(writer, database) as feed:
                await feed.put(feed.dictionary("load"), feed.values(10))
                await feed.settled(1, 2)
                await feed.bound()
                cut.arm(b"COMMIT\0", harm)
                await feed.put(feed.values(95))
                await feed.settled(3)
                await feed.put(feed.values(20))
                await feed.settled(4)
                assert feed.counters.get("ingest.unknown_commits") == 1
                assert feed.counters.get("ingest.duplicate_records") == 0
        finally:
            await writer.close()
    assert cut.done.is_set()
    async with database.connection() as connection:
        assert await stored_values(connection) == [10, 20, 95]
        cursor = await connection.execute("SELECT kind FROM event ORDER BY id")
        assert [row[0] for row in await cursor.fetchall()] == ["opened", "resolved"]


async def test_a_sample_older_than_what_an_earlier_reign_evaluated_raises_no_event(
    writer: Writer, database: Database
) -> None:
    """Also when the window of its trigger reaches back to none of them."""
    windowed = {**TEMPLATE, "triggers": [{"name": "Busy", "expression": "max(load, 1m) > 90", "severity": "high"}]}
    checked = check_documents(documents_from_plain([windowed, HOST]))
    await apply(database, await propose(database, checked, via="file"), Author(name="test", via="file"))

    def sample(feed: Feed, value: float, minutes_ago: int) -> bytes:
        at = feed.clock.now_us() - minutes_ago * 60_000_000
        return pack_values(feed.origin, feed.next_number(), 1, array("I", [1]), [at], array("d", [value]))

    async with ingesting(writer, database) as first:
        await first.put(first.dictionary("load"), sample(first, 10, 20))
        await first.settled(1, 2)
    async with database.connection() as connection:
        await connection.execute("UPDATE item SET created_at = now() - interval '1 day'")
    async with ingesting(writer, database) as second:
        await second.bound()
        await second.put(second.dictionary("load"), sample(second, 99, 30))
        await second.settled(1, 2)
        async with database.connection() as connection:
            assert await stored_values(connection) == [10, 99]
            assert await read_problems(connection, ProblemFilter(state="all")) == []
        await second.put(sample(second, 99, 10))
        await second.settled(3)
        async with database.connection() as connection:
            assert len(await read_problems(connection, ProblemFilter(state="all"))) == 1


async def test_what_was_stored_under_an_earlier_reign_is_a_duplicate_in_the_next(
    writer: Writer, database: Database
) -> None:
    async with ingesting(writer, database) as first:
        records = [first.dictionary("load"), first.values(1)]
        await first.put(*records)
        await first.settled(1, 2)
    async with ingesting(writer, database) as second:
        await second.put(*records)
        more = Feed(second.reception, second.listener, second.counters, second.watch)
        more.boot = first.boot
        more._number = 2
        await more.put(more.values(2))
        await more.settled(1, 2, 3)
        assert second.counters.get("ingest.duplicate_records") == 2
        async with database.connection() as connection:
            assert await stored_values(connection) == [1, 2]
