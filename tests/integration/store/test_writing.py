from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
import pytest

from core.model.ranges import RangeSet
from server.store.batches import BatchColumns, TextSample, copy_batches, copy_texts
from server.store.dictionary import DictionaryEntries, read_dictionaries, record_dictionaries
from server.store.errors import StoreRefused
from server.store.instants import to_datetime, to_us
from server.store.inventory import ItemDeclaration, ensure_hosts, ensure_items, read_items, search_items
from server.store.outbox import Notice, claim, enqueue, read_told, record_failed, record_retry, record_sent
from server.store.peers import (
    PeerKey,
    add_key,
    assign_source,
    ensure_group,
    ensure_source,
    read_assignments,
    read_keys,
    revoke_key,
)
from server.store.problems import (
    ProblemFilter,
    ProblemOpening,
    ProblemResolution,
    ensure_triggers,
    open_problems,
    read_open_problems,
    read_problems,
    resolve_problems,
)
from server.store.quarantine import PoisonRecord, count_quarantined, quarantine, read_quarantined
from server.store.received import ReceivedDelta, read_received, record_received
from tests.integration.store.making import declare_items, make_source

if TYPE_CHECKING:
    from server.store.database import Database
    from server.store.transaction import Writer

NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)


async def test_a_batch_comes_back_to_the_microsecond_and_the_last_bit(database: Database, writer: Writer) -> None:
    values = np.array([0.1, -0.0, np.inf, np.nan, 5e-324])
    offsets = np.array([0, 1, 2, 3, 1_800_000_000], dtype=np.int32)
    async with writer.transaction() as transaction:
        source = await make_source(transaction)
        items = np.array(await declare_items(transaction, source, 5), dtype=np.int32)
        batch = BatchColumns(
            source_id=source, boot=2**63 - 1, number=7, first_at_us=to_us(NOW), items=items, offsets=offsets,
            values=values, late=np.array([True, False, False, False, True]),
        )  # fmt: skip
        assert await copy_batches(transaction, [batch]) == 5
    async with database.connection() as connection:
        row = await (
            await connection.execute(
                'SELECT boot, number, first_at, last_at, items, offsets, "values", late FROM history_batch', binary=True
            )
        ).fetchone()
        assert row is not None
        assert row[:4] == (2**63 - 1, 7, NOW, NOW + timedelta(minutes=30))
        np.testing.assert_array_equal(row[4], items)
        np.testing.assert_array_equal(row[5], offsets)
        assert row[6].tobytes() == values.tobytes()
        assert row[7] == b"\x88"
        samples = await (
            await connection.execute("SELECT item_id, at FROM samples ORDER BY at DESC LIMIT 1")
        ).fetchone()
        assert samples == (items[-1], NOW + timedelta(minutes=30))


async def test_many_batches_of_different_lengths_keep_their_columns_apart(database: Database, writer: Writer) -> None:
    lengths = [1, 60, 3, 1000]
    async with writer.transaction() as transaction:
        source = await make_source(transaction)
        batches = [
            BatchColumns(
                source_id=source, boot=1, number=place + 1, first_at_us=to_us(NOW),
                items=np.full(length, place + 1, dtype=np.int32), offsets=np.arange(length, dtype=np.int32),
                values=np.full(length, place / 2),
            )
            for place, length in enumerate(lengths)
        ]  # fmt: skip
        await copy_batches(transaction, batches)
    async with database.connection() as connection:
        cursor = await connection.execute(
            "SELECT item_id, count(*), min(value), max(value) FROM samples GROUP BY item_id ORDER BY item_id"
        )
        assert await cursor.fetchall() == [
            (place + 1, length, place / 2, place / 2) for place, length in enumerate(lengths)
        ]


async def test_texts_come_back_and_a_nul_does_not_stop_them(database: Database, writer: Writer) -> None:
    async with writer.transaction() as transaction:
        source = await make_source(transaction)
        (item,) = await declare_items(transaction, source, 1)
        text = TextSample(source_id=source, boot=1, number=1, item_id=item, at_us=to_us(NOW), value="a\tb\\N\n\0ü")
        await copy_texts(transaction, [text])
    async with database.connection() as connection:
        cursor = await connection.execute("SELECT item_id, at, value FROM history_text")
        assert await cursor.fetchall() == [(item, NOW, "a\tb\\N\n␀ü")]


async def test_ranges_add_up_whatever_the_order(database: Database, writer: Writer) -> None:
    async with writer.transaction() as transaction:
        source = await make_source(transaction)
    for ranges in ([(5, 9)], [(1, 2), (20, 20)], [(3, 4)], [(5, 9)]):
        async with writer.transaction() as transaction:
            await record_received(
                transaction,
                [
                    ReceivedDelta(source_id=source, boot=8, ranges=RangeSet(ranges)),
                    ReceivedDelta(source_id=source, boot=9, ranges=RangeSet([(1, 1)])),
                ],
            )
    async with database.connection() as connection:
        received = await read_received(connection)
        only = await read_received(connection, [(source, 9), (source, 77)])
    assert received[source, 8].ranges == RangeSet([(1, 9), (20, 20)])
    assert list(only) == [(source, 9)]


async def test_a_number_that_arrives_after_all_is_not_lost_and_a_closed_life_knows_when_it_is_complete(
    database: Database, writer: Writer
) -> None:
    async with writer.transaction() as transaction:
        source = await make_source(transaction)
        await record_received(
            transaction,
            [
                ReceivedDelta(source_id=source, boot=8, ranges=RangeSet([(1, 4)]), lost=RangeSet([(5, 7)])),
                ReceivedDelta(source_id=source, boot=8, last_number=9),
            ],
        )
    async with writer.transaction() as transaction:
        await record_received(transaction, [ReceivedDelta(source_id=source, boot=8, ranges=RangeSet([(6, 6)]))])
    async with database.connection() as connection:
        life = (await read_received(connection))[source, 8]
    assert life.lost == RangeSet([(5, 5), (7, 7)])
    assert life.last_number == 9
    assert not life.is_complete
    async with writer.transaction() as transaction:
        await record_received(
            transaction,
            [ReceivedDelta(source_id=source, boot=8, ranges=RangeSet([(8, 8)]), refused=RangeSet([(9, 9)]))],
        )
    async with database.connection() as connection:
        life = (await read_received(connection))[source, 8]
    assert life.is_complete
    assert life.closed_at is not None


async def test_the_dictionary_of_a_life_comes_back_by_version(database: Database, writer: Writer) -> None:
    async with writer.transaction() as transaction:
        source = await make_source(transaction)
        items = await declare_items(transaction, source, 3)
        entries = [
            DictionaryEntries(source_id=source, boot=4, version=2, numbers=[4_000_000_000], items=items[2:]),
            DictionaryEntries(source_id=source, boot=4, version=1, numbers=[1, 2], items=items[:2]),
            DictionaryEntries(source_id=source, boot=5, version=1, numbers=[1], items=items[:1]),
        ]
        await record_dictionaries(transaction, entries)
        await record_dictionaries(transaction, entries[:1])
    async with database.connection() as connection:
        assert await read_dictionaries(connection, [(source, 4)]) == [entries[1], entries[0]]


async def test_items_are_made_once_and_follow_their_declaration(database: Database, writer: Writer) -> None:
    async with writer.transaction() as transaction:
        hosts = await ensure_hosts(transaction, ["a", "b", "a"])
        first = await ensure_items(
            transaction,
            [ItemDeclaration(host_id=hosts["a"], key="cpu.busy"), ItemDeclaration(host_id=hosts["b"], key="x")],
        )
    async with writer.transaction() as transaction:
        assert await ensure_hosts(transaction, ["b", "a"]) == hosts
        again = await ensure_items(
            transaction,
            [
                ItemDeclaration(host_id=hosts["a"], key="cpu.busy", unit="MB", description="said before"),
                ItemDeclaration(host_id=hosts["a"], key="cpu.busy", unit="%", description="busy"),
                ItemDeclaration(host_id=hosts["b"], key="x"),
            ],
        )
    busy, other = again.ids[hosts["a"], "cpu.busy"], again.ids[hosts["b"], "x"]
    assert again.ids == first.ids
    assert set(first.changed) == {busy, other}
    assert again.changed == [busy]
    async with database.connection() as connection:
        (item,) = await read_items(connection, [busy])
        assert (item.host, item.key, item.unit) == ("a", "cpu.busy", "%")
        found = await search_items(connection, host=None, search="CPU", after_id=0, limit=10)
        assert [each.key for each in found] == ["cpu.busy"]
        assert not await search_items(connection, host="b", search="%", after_id=0, limit=10)


async def test_a_revoked_key_never_comes_back(database: Database, writer: Writer) -> None:
    async with writer.transaction() as transaction:
        group = await ensure_group(transaction, "near")
        key = PeerKey(
            key=bytes(range(32)),
            role="proxy",
            name="p",
            source_id=None,
            source_uuid=None,
            group_id=group,
            revoked_at=None,
        )
        assert await add_key(transaction, key)
        assert await revoke_key(transaction, key.key)
        assert not await revoke_key(transaction, key.key)
        assert not await add_key(transaction, key)
    async with database.connection() as connection:
        (stored,) = await read_keys(connection)
    assert stored.revoked_at is not None


async def test_an_assignment_keeps_its_past(database: Database, writer: Writer) -> None:
    async with writer.transaction() as transaction:
        source = await ensure_source(transaction, uuid4(), "s", None)
        near, far = await ensure_group(transaction, "near"), await ensure_group(transaction, "far")
        for group in (near, near, far):
            await assign_source(transaction, source.id, group)
    async with database.connection() as connection:
        assignments = await read_assignments(connection)
    assert [(each.group_id, each.released_at is None) for each in assignments] == [(near, False), (far, True)]


async def test_a_problem_opens_and_resolves_once_each_with_one_event(database: Database, writer: Writer) -> None:
    async with writer.transaction() as transaction:
        host = (await ensure_hosts(transaction, ["a"]))["a"]
        trigger = (await ensure_triggers(transaction, [("t", "busy")]))["t", "busy"]
        opening = ProblemOpening(
            trigger_id=trigger, host_id=host, parameter="/", severity="high", name="full", at=NOW, value=91.5
        )
        (opened,) = await open_problems(transaction, [opening])
        assert await open_problems(transaction, [opening]) == []
    async with database.connection() as connection:
        (problem,) = await read_open_problems(connection)
    assert (problem.id, problem.host, problem.trigger, problem.value) == (opened.problem_id, "a", "busy", 91.5)
    async with writer.transaction() as transaction:
        resolution = ProblemResolution(problem_id=problem.id, at=NOW + timedelta(minutes=1), value=10.0)
        assert len(await resolve_problems(transaction, [resolution])) == 1
        assert await resolve_problems(transaction, [resolution]) == []
        assert len(await open_problems(transaction, [opening])) == 1
    async with database.connection() as connection:
        assert len(await read_problems(connection, ProblemFilter(state="all"))) == 2
        assert [p.id for p in await read_problems(connection, ProblemFilter(state="resolved"))] == [problem.id]
        assert await read_problems(connection, ProblemFilter(host="b")) == []


async def _notice(writer: Writer) -> None:
    async with writer.transaction() as transaction:
        host = (await ensure_hosts(transaction, ["a"]))["a"]
        trigger = (await ensure_triggers(transaction, [("t", "busy")]))["t", "busy"]
        opening = ProblemOpening(
            trigger_id=trigger, host_id=host, parameter="", severity="high", name="x", at=NOW, value=None
        )
        (event,) = await open_problems(transaction, [opening])
        notice = Notice(event_id=event.event_id, receiver="on-call", media="webhook", payload={"a": [1, "ü"]})
        await enqueue(transaction, [notice])
        await enqueue(transaction, [notice])


async def test_a_notice_is_claimed_by_one_and_its_receipt_counts_once(database: Database, writer: Writer) -> None:
    await _notice(writer)
    async with writer.transaction() as transaction:
        (claimed,) = await claim(transaction, epoch=writer.epoch)
        assert claimed.payload == {"a": [1, "ü"]}
        assert await claim(transaction, epoch=writer.epoch) == []
        assert await record_retry(transaction, claimed.id, epoch=writer.epoch, error="503", after_seconds=0)
    async with writer.transaction() as transaction:
        (again,) = await claim(transaction, epoch=writer.epoch)
        assert (again.key, again.attempts) == (claimed.key, 2)
        assert await record_sent(transaction, again.id, epoch=writer.epoch)
        assert not await record_sent(transaction, again.id, epoch=writer.epoch)
        assert not await record_failed(transaction, again.id, epoch=writer.epoch, error="late")
    async with database.connection() as connection:
        (problem,) = await read_open_problems(connection)
        (told,) = await read_told(connection, [problem.id])
    assert (told.state, told.attempts, told.kind) == ("sent", 2, "opened")


async def test_the_next_epoch_takes_over_claims_at_once_and_the_old_receipt_is_refused(writer: Writer) -> None:
    await _notice(writer)
    async with writer.transaction() as transaction:
        (claimed,) = await claim(transaction, epoch=writer.epoch)
        (taken,) = await claim(transaction, epoch=writer.epoch + 1)
        assert taken.key == claimed.key
        assert not await record_sent(transaction, claimed.id, epoch=writer.epoch)


async def test_poison_is_kept_whole_and_counted(database: Database, writer: Writer) -> None:
    source = uuid4()
    async with writer.transaction() as transaction:
        await quarantine(transaction, [PoisonRecord(source=source, boot=1, number=2, reason="bad\0", record=b"\0\1")])
    async with database.connection() as connection:
        assert await count_quarantined(connection) == 1
        (kept,) = await read_quarantined(connection)
    assert (kept.source, kept.number, kept.record_bytes) == (source, 2, 2)


async def test_data_the_database_refuses_is_told_apart_and_undoes_the_whole_transaction(
    database: Database, writer: Writer
) -> None:
    async def store() -> None:
        async with writer.transaction() as transaction:
            await ensure_hosts(transaction, ["kept?"])
            await record_received(transaction, [ReceivedDelta(source_id=999, boot=1)])

    with pytest.raises(StoreRefused):
        await store()
    async with database.connection() as connection:
        assert await (await connection.execute("SELECT FROM host")).fetchall() == []


def test_instants_are_exact() -> None:
    assert to_datetime(to_us(NOW)) == NOW
