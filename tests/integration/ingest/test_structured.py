"""Structured values from a program that prints them to the database: kept in one form, and what is none refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from agent.outlet import Outlet
from core.model.record import ItemEntry, pack_dictionary, pack_texts, read_header, renumber
from core.runtime.counters import Counters
from core.spool.outbox import Outbox
from core.spool.spool import SpoolLimits
from probes.command import Parameters, run_command
from probes.declaration import Reading
from probes.visit import Visit
from server.store.quarantine import read_quarantined
from tests.integration.ingest.reigning import SOURCE, ingesting

if TYPE_CHECKING:
    from server.store.database import Database
    from server.store.transaction import Writer
    from tests.integration.ingest.reigning import Feed


async def stored(database: Database) -> list[tuple[str, str, str]]:
    async with database.connection() as connection:
        cursor = await connection.execute(
            "SELECT i.key, i.type, t.value FROM history_text t JOIN item i ON i.id = t.item_id ORDER BY t.at, t.number"
        )
        return await cursor.fetchall()


def document(feed: Feed, *texts: str) -> bytes:
    now = feed.clock.now_us()
    return pack_texts(feed.origin, feed.next_number(), 1, [1] * len(texts), [now] * len(texts), texts)


async def test_what_a_program_prints_is_stored_as_one_document(
    writer: Writer, database: Database, tmp_path: Path
) -> None:
    async with ingesting(writer, database) as feed:
        outbox = Outbox.open(tmp_path, SOURCE, SpoolLimits(), feed.clock)
        outlet = Outlet(outbox, Counters(), lambda: None)
        command = ("/bin/sh", "-c", """echo '{"state": "ready", "jobs": [{"id": 7, "load": 0.50}]}'""")
        found = run_command.read(
            Visit(commands=[Path("/bin/sh")]),
            Parameters(command=command, name="queue", output="document", timeout=timedelta(minutes=1)),
        )
        assert isinstance(found, Iterator)
        items = {item.key: item for item in run_command.items}
        readings = [reading for reading in found if isinstance(reading, Reading)]
        outlet.publish(feed.clock.now_us(), [(items[r.item], outlet.check(items[r.item], r)) for r in readings])
        records = [bytes(record) for record in outbox.spool.find(SOURCE.bytes, outbox.boot, 1, outbox.last_number)]
        feed.boot = outbox.boot
        await feed.put(*records)
        await feed.settled(*(read_header(record).number for record in records))
    assert await stored(database) == [
        ("command.document[queue]", "structured", '{"jobs":[{"id":7,"load":0.5}],"state":"ready"}')
    ]


async def test_a_document_is_brought_to_its_form_and_a_record_without_one_is_put_aside_also_after_a_restart(
    writer: Writer, database: Database
) -> None:
    async with ingesting(writer, database) as feed:
        entries = [ItemEntry(number=1, key="d", type="structured"), ItemEntry(number=2, key="t", type="text")]
        dictionary = pack_dictionary(feed.origin, feed.next_number(), 1, entries, feed.clock.now_us())
        now = feed.clock.now_us()
        text = pack_texts(feed.origin, feed.next_number(), 1, [2], [now], ['{ "b": 1}'])
        await feed.put(dictionary, text, document(feed, '{ "b": 1, "a": 2}'), document(feed, "{}", "ready"))
        await feed.settled(1, 2, 3, 4)
        assert feed.listener.refusals == {4: "'ready' is no JSON document: Expecting value: line 1 column 1 (char 0)"}
        boot = feed.boot
    async with ingesting(writer, database) as again:
        again.boot = boot
        await again.put(
            renumber(document(again, '[7, {"y": 0, "x": 0}]'), boot, 5), renumber(document(again, "7"), boot, 6)
        )
        await again.settled(5, 6)
        assert again.listener.refusals == {6: "expected a JSON object or list, found 7"}
    assert await stored(database) == [
        ("t", "text", '{ "b": 1}'), ("d", "structured", '{"a":2,"b":1}'),
        ("d", "structured", '[7,{"x":0,"y":0}]'),
    ]  # fmt: skip
    async with database.connection() as connection:
        assert {record.number for record in await read_quarantined(connection)} == {4, 6}
