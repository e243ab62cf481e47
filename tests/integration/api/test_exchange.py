"""History as files over HTTP: what comes, for whom, and what is refused."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from server.api import exchange, transfers
from server.exchange.exporting import select_items
from server.store.audit import AuditFilter, read_audit
from server.store.inventory import ItemDeclaration
from tests.integration.api.data import define_hosts, store_host, store_text, store_values
from tests.integration.api.people import sign_in_new

if TYPE_CHECKING:
    from server.store.database import Database
    from tests.integration.api.people import Headers
    from tests.integration.api.site import Site

MINUTE_US = 60_000_000


async def send(site: Site, content: bytes, headers: Headers | None = None, **query: str) -> tuple[int, Any]:
    sender = site.browser if headers is None else site.stranger
    async with sender.post(site.api("/history/import"), data=content, params=query, headers=headers) as answer:
        return answer.status, await answer.json()


async def fetch(site: Site, headers: Headers | None = None, **query: Any) -> tuple[int, str]:
    asking = site.browser if headers is None else site.stranger
    async with asking.get(site.api("/history/export"), params=query, headers=headers) as answer:
        return answer.status, await answer.text()


async def test_an_export_has_a_header_and_a_line_a_sample_of_what_was_chosen(
    signed_in: Site, database: Database
) -> None:
    await define_hosts(database, {"db1": ["db"], "web1": ["web"]})
    at_us = (int(datetime.now(UTC).timestamp()) - 600) * 1_000_000
    for name in ("db1", "web1"):
        host = await store_host(
            database, name, ItemDeclaration(host_id=0, key="cpu.busy", unit="%"), "load.1m",
            ItemDeclaration(host_id=0, key="log[a,b]", type="text"),
        )  # fmt: skip
        await store_values(database, host, "cpu.busy", [at_us, at_us + 500_000], [1.5, 0.1])
        await store_values(database, host, "load.1m", [at_us], [7.0], number=2)
        await store_text(database, host, "log[a,b]", at_us, 'he said "no"')
    at = f"{datetime.fromtimestamp(at_us / 1e6, UTC):%Y-%m-%dT%H:%M:%S}"
    status, text = await fetch(signed_in, group="db", item=["cpu.*", "log[*]"])
    assert status == 200
    assert text.splitlines() == [
        "host,item,type,unit,at,value,late",
        f"db1,cpu.busy,number,%,{at}.000000Z,1.5,false",
        f"db1,cpu.busy,number,%,{at}.500000Z,0.1,false",
        f'db1,"log[a,b]",text,,{at}.000000Z,"he said ""no""",false',
    ]
    _, text = await fetch(signed_in, host="web?", item="load*", format="jsonl", kind="trends")
    hour = f"{datetime.fromtimestamp(at_us // 3_600_000_000 * 3600, UTC):%Y-%m-%dT%H:%M:%S}.000000Z"
    assert [json.loads(line) for line in text.splitlines()] == [
        {"host": "web1", "item": "load.1m", "unit": "", "at": hour}
        | {"minimum": 7.0, "average": 7.0, "maximum": 7.0, "count": 1}
    ]  # fmt: skip


async def test_a_visitor_restricted_to_groups_gets_his_hosts_and_makes_none(
    signed_in: Site, database: Database
) -> None:
    await define_hosts(database, {"db1": ["db"], "web1": ["web"]})
    at_us = (int(datetime.now(UTC).timestamp()) - 600) * 1_000_000
    for name in ("db1", "web1"):
        await store_values(database, await store_host(database, name, "cpu.busy"), "cpu.busy", [at_us], [1.0])
    anna = await sign_in_new(signed_in, "anna", "viewer", ["web"])
    status, text = await fetch(signed_in, anna)
    assert (status, len(text.splitlines())) == (200, 2)
    assert "db1" not in text
    assert (await fetch(signed_in, anna, host="db1"))[1] == "host,item,type,unit,at,value,late\n"


async def test_an_import_says_what_became_of_every_row_and_stands_in_the_audit_log(
    signed_in: Site, database: Database
) -> None:
    now = datetime.now(UTC)
    instants = [
        now - timedelta(minutes=2),
        now - timedelta(minutes=1),
        now - timedelta(days=40),
        now + timedelta(hours=1),
    ]
    lines = ["host,item,unit,at,value", *(f"new1,shop.orders,1/s,{at.isoformat()},4" for at in instants)]
    content = "\n".join(lines).encode()
    status, answer = await send(signed_in, content)
    expected = {"rows": 4, "stored": 2, "known": 0, "too_old": 1, "ahead": 1, "hosts_made": 1, "items_made": 1}
    assert (status, answer) == (200, expected)
    async with signed_in.browser.post(
        signed_in.api("/history/import"), data=gzip.compress(content), headers={"Content-Encoding": "gzip"}
    ) as again:
        assert await again.json() == expected | {"stored": 0, "known": 2, "hosts_made": 0, "items_made": 0}
    (item,) = (await signed_in.get("/items", host="new1"))["items"]
    assert (item["key"], item["unit"], item["type"]) == ("shop.orders", "1/s", "number")
    async with database.connection() as connection:
        entries = await read_audit(connection, AuditFilter(action="history.import"))
        problems = await (await connection.execute("SELECT count(*) FROM event")).fetchall()
    assert [(entry.actor, entry.detail["items_made"]) for entry in entries] == [("admin", 0), ("admin", 1)]
    assert problems == [(0,)]


async def test_with_any_fault_nothing_is_stored_and_every_fault_has_its_place(
    signed_in: Site, database: Database
) -> None:
    await store_host(database, "db1", "cpu.busy", ItemDeclaration(host_id=0, key="log", type="text"))
    at = datetime.now(UTC).isoformat()
    rows = [
        {"host": "db1", "item": "cpu.busy", "at": at, "value": 1},
        {"host": "db1", "item": "cpu.busy", "at": at, "value": "much"},
        {"host": "db1", "item": "cpu.busy", "at": "yesterday", "value": 1},
        {"host": "db1", "item": "cpu.busy", "value": 1},
        {"host": "no blanks", "item": "cpu.busy", "at": at, "value": 1},
        {"host": "db1", "item": "log", "at": at, "value": 3},
        {"host": "db1", "item": "cpu.busy", "type": "text", "at": at, "value": 3},
    ]
    content = "\n".join([*map(json.dumps, rows), "{"]).encode()
    status, answer = await send(signed_in, content, format="jsonl")
    assert status == 422
    places = {(fault["line"], fault["column"]) for fault in answer["errors"]}
    assert places == {(2, "value"), (3, "at"), (4, "at"), (5, "host"), (6, "value"), (7, "type"), (8, "")}
    assert all(fault["message"] and fault["remedy"] for fault in answer["errors"])
    assert len((await fetch(signed_in))[1].splitlines()) == 1
    status, answer = await send(signed_in, b"host,item,when,value\n")
    assert (status, [fault["column"] for fault in answer["errors"]]) == (422, ["when", "at"])
    status, answer = await send(signed_in, b'host,item,at,value\ndb1,cpu.busy\n"db1,\n')
    assert (status, [fault["line"] for fault in answer["errors"]]) == (422, [2, 3])
    for form in ("csv", "jsonl", "parquet"):
        assert (await send(signed_in, bytes(range(128, 256)) * 4, format=form))[0] == 422, form


async def test_an_export_ends_with_its_session_and_does_not_look_whole(
    signed_in: Site, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = await store_host(database, "db1", "cpu.busy")
    await store_values(database, host, "cpu.busy", [int(datetime.now(UTC).timestamp() - 60) * 1_000_000], [1.0])

    async def sign_out_and_select(*arguments: Any) -> Any:
        async with database.connection() as connection:
            await connection.execute("DELETE FROM session")
        return await select_items(*arguments)

    monkeypatch.setattr(exchange, "CHECK_SECONDS", 0.0)
    monkeypatch.setattr(exchange, "select_items", sign_out_and_select)
    async with signed_in.browser.get(signed_in.api("/history/export")) as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.text()


async def test_an_export_over_a_damaged_hour_breaks_off_and_the_log_names_it(
    signed_in: Site, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    host = await store_host(database, "db1", "cpu.busy")
    await store_values(database, host, "cpu.busy", [int(datetime.now(UTC).timestamp() - 60) * 1_000_000], [1.0])
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO history_packed SELECT date_trunc('hour', now(), 'UTC') - interval '90 minutes', id, 1, '\\x00'"
            " FROM item WHERE key = 'cpu.busy'"
        )
    async with signed_in.browser.get(signed_in.api("/history/export")) as answer:
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.text()
    told = [record for record in caplog.records if record.message == "an export broke off"]
    assert ["is damaged" in record.__dict__["error"] for record in told] == [True]


async def test_what_is_too_large_and_what_is_too_many_is_refused(
    signed_in: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "MAX_IMPORT_BYTES", 1000)
    status, answer = await send(signed_in, b"host,item,at,value\n" + b"x" * 2000)
    assert (status, answer["error"]["code"]) == (413, "too_large")
    monkeypatch.setattr(transfers, "MAX_TRANSFERS", 0)
    for status, answer in (await send(signed_in, b""), (503, json.loads((await fetch(signed_in))[1]))):
        assert (status, answer["error"]["code"]) == (503, "too_many_transfers")
