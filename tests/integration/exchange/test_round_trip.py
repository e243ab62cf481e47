"""What is exported from one database and imported into an empty one is the same, sample by sample."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from core.runtime.clock import SystemClock
from server.exchange.exporting import Order, Selection, export, select_items
from server.exchange.importing import Import, import_history
from server.store.backfill import backfill_samples
from server.store.batches import BatchColumns, TextSample, copy_batches, copy_texts
from server.store.history import read_samples, read_texts
from server.store.instants import to_us
from server.store.inventory import ItemDeclaration, read_items
from server.store.samples import Samples
from server.store.trends import read_trends
from tests.integration.api.data import store_host

if TYPE_CHECKING:
    from server.exchange.form import Kind
    from server.exchange.importing import Imported
    from server.store.database import Database
    from tests.integration.api.data import StoredHost

HOUR = timedelta(hours=1)
EDGE = [0.0, -0.0, 0.1, 1e-320, -1.7976931348623157e308, 5e-324, float("inf"), float("-inf"), float("nan"), 2.0**53 + 1]


async def export_all(database: Database, form: str, kind: Kind = "samples", **chosen: Any) -> bytes:
    now = datetime.now(UTC)
    order = Order(kind=kind, form=form, begin=datetime(1970, 1, 1, tzinfo=UTC), end=now + HOUR)
    items = await select_items(database, Selection(**chosen))
    return b"".join([piece async for piece in export(database, items, order)])


async def import_all(database: Database, content: bytes, form: str) -> Imported:
    wanted = Import(stream=io.BytesIO(content), name=f"history.{form}", form=form, by="test")
    return await import_history(database, wanted, SystemClock())


async def everything(database: Database) -> dict[tuple[str, str, str, str], list[tuple[int, Any]]]:
    """Return every item with its samples; numbers by their bits, so that -0.0 and 0.0 differ."""
    begin, end = datetime(1970, 1, 1, tzinfo=UTC), datetime.now(UTC) + HOUR
    found: dict[tuple[str, str, str, str], list[tuple[int, Any]]] = {}
    async with database.connection(60.0) as connection:
        for item in await read_items(connection):
            name = (item.host, item.key, item.type, item.unit)
            if item.type == "number":
                samples = await read_samples(connection, [item.id], begin, end)
                found[name] = list(zip(samples.at_us.tolist(), samples.values.view(np.int64).tolist(), strict=True))
            else:
                texts = await read_texts(connection, [item.id], begin, end, limit=100_000)
                found[name] = sorted((to_us(text.at), text.value) for text in texts)
    return found


async def fill(database: Database, count: int) -> list[StoredHost]:
    """Store random samples of two hosts, packed, not packed and both in one hour, and texts with awkward letters."""
    random = np.random.default_rng(11)
    hosts = [
        await store_host(
            database, name, ItemDeclaration(host_id=0, key='net.bytes[eth0,"x"]', unit="B/s"), "cpu.busy",
            ItemDeclaration(host_id=0, key="log[/var/log/a]", type="text"),
            ItemDeclaration(host_id=0, key="command.document[q]", type="structured"),
        )
        for name in ("db1", "web1")
    ]  # fmt: skip
    begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - 20 * HOUR
    async with database.connection(60.0) as connection:
        for host in hosts:
            items = [id_ for key, id_ in host.items.items() if not key.startswith(("log", "command"))]
            at_us = to_us(begin) + random.choice(20 * 3_600_000_000, count, replace=False)
            values = np.concatenate([EDGE, random.normal(size=count - len(EDGE))])
            chosen = random.choice(np.array(items, dtype=np.int32), count)
            late = np.zeros(count, np.bool_)
            samples = Samples(items=chosen, at_us=at_us, values=values, late=late)
            await backfill_samples(connection, samples)
            recent = to_us(begin + 19 * HOUR) + np.arange(0, 1_000_000_000, 1_000_003)
            await copy_batches(
                connection,
                [
                    BatchColumns(
                        source_id=host.source, boot=1, number=1, first_at_us=int(recent[0]),
                        items=np.full(len(recent), items[0], np.int32),
                        offsets=(recent - recent[0]).astype(np.int32), values=random.normal(size=len(recent)),
                    )
                ],
            )  # fmt: skip
            log = host.items["log[/var/log/a]"]
            lines = [
                "plain",
                'with "quotes", commas',
                "two\nlines\r\n",
                " blanks ",
                "",
                "nan",
                "snow \u2603 \U0001f600",
            ]
            await copy_texts(
                connection,
                [
                    TextSample(
                        source_id=host.source, boot=1, number=1, item_id=log, value=lines[n % len(lines)],
                        at_us=to_us(begin) + n // 9 * 1_000_000,
                    )
                    for n in range(1300)
                ],
            )  # fmt: skip
            documents = [
                '{"a":"\\u0000 \\"q\\", x","b":[1,2.5,null]}',
                '["ä\U0001f600",-0.0,9223372036854775807]',
                "{}",
            ]
            await copy_texts(
                connection,
                [
                    TextSample(
                        source_id=host.source, boot=1, number=2, item_id=host.items["command.document[q]"],
                        at_us=to_us(begin) + n * 1_000_000, value=documents[n % len(documents)], is_structured=True,
                    )
                    for n in range(30)
                ],
            )  # fmt: skip
    return hosts


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
async def test_what_is_exported_and_imported_is_the_same_and_twice_doubles_nothing(
    databases: tuple[Database, Database], form: str
) -> None:
    source, target = databases
    await fill(source, 20_000)
    expected = await everything(source)
    content = await export_all(source, form)
    total = sum(len(samples) for samples in expected.values())
    first = await import_all(target, content, form)
    assert (first.faults, first.rows, first.stored, first.known) == ([], total, total, 0)
    assert (first.hosts_made, first.items_made) == (2, 8)
    assert await everything(target) == expected
    again = await import_all(target, content, form)
    assert (again.rows, again.stored, again.known, again.items_made) == (total, 0, total, 0)
    assert await everything(target) == expected
    assert await export_all(target, form, hosts=["db*"], items=["cpu.*"]) != b""
    same = await import_all(source, content, form)  # what was measured stays as it was measured
    assert (same.stored, same.known) == (0, total)
    assert await everything(source) == expected


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
async def test_trends_go_the_same_way(databases: tuple[Database, Database], form: str) -> None:
    source, target = databases
    await fill(source, 2_000)
    content = await export_all(source, form, "trends")
    first = await import_all(target, content, form)
    assert (first.faults, first.stored, first.known) == ([], first.rows, 0)
    assert first.rows >= 4 * 18
    again = await import_all(target, content, form)
    assert (again.stored, again.known) == (0, first.rows)
    assert await trends_of(target) == await trends_of(source)


async def trends_of(database: Database) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    async with database.connection(60.0) as connection:
        for item in await read_items(connection):
            trends = await read_trends(connection, [item.id], datetime(1970, 1, 1, tzinfo=UTC), datetime.now(UTC))
            columns = (trends.minimum, trends.average, trends.maximum)
            found[f"{item.host} {item.key}"] = [
                trends.at_us.tolist(), trends.count.tolist(), *(column.view(np.int64).tolist() for column in columns)
            ]  # fmt: skip
    return {name: columns for name, columns in found.items() if columns[0]}


@pytest.mark.parametrize(
    ("line", "column", "word"),
    [
        ('{"host":"h","item":"d","type":"structured","at":"AT","value":7}', "value", "expected a JSON object or list"),
        ('{"host":"h","item":"d","type":"structured","at":"AT","value":"{"}', "value", "is no JSON document"),
        ('{"host":"h","item":"d","type":"json","at":"AT","value":7}', "type", "expected number, text or structured"),
    ],
)
async def test_what_is_no_document_is_a_fault_of_its_line(
    databases: tuple[Database, Database], line: str, column: str, word: str
) -> None:
    content = line.replace("AT", datetime.now(UTC).isoformat()).encode() + b"\n"
    (fault,) = (await import_all(databases[0], content, "jsonl")).faults
    assert (fault.line, fault.column) == (1, column)
    assert word in fault.message


async def test_a_new_item_whose_value_is_an_object_is_structured(databases: tuple[Database, Database]) -> None:
    at = datetime.now(UTC).isoformat()
    line = f'{{"host":"h","item":"d","at":"{at}","value":{{"b":1, "a":[]}}}}\n'
    assert (await import_all(databases[0], line.encode(), "jsonl")).stored == 1
    assert b'"type":"structured"' in (content := await export_all(databases[0], "jsonl"))
    assert b'"value":{"a":[],"b":1}' in content
