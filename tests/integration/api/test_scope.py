"""A visitor restricted to host groups: what he may not see is not there for him, in answers and in streams."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from core.runtime.clock import SystemClock
from server.api import stream as stream_module
from server.restoring.station import RestoreStation
from server.store.outbox import Notice, enqueue
from server.store.users import By, Terms
from tests.integration.api.data import define, define_hosts, store_host, store_problem, store_values
from tests.integration.api.people import make_token, sign_in_new
from tests.integration.api.site import open_site
from tests.integration.api.test_stream import Events
from tests.integration.api.test_users import ask
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from server.store.database import Database
    from tests.integration.api.data import StoredHost
    from tests.integration.api.site import Site

TRIGGER = {"severity": "warning", "expression": "last(x.y) > 1"}


async def test_of_definitions_he_sees_his_hosts_and_their_templates(signed_in: Site, database: Database) -> None:
    await define(
        database,
        {"kind": "template", "name": "plain", "items": [{"item": "x.y"}], "triggers": [{"name": "A", **TRIGGER}]},
        {"kind": "template", "name": "other", "items": [{"item": "x.y"}]},
        {
            "kind": "template",
            "name": "naming",
            "items": [{"item": "x.y"}],
            "triggers": [{"name": "B", "severity": "high", "expression": 'last(host("db1"), x.y) > 1'}],
        },
        {"kind": "host", "name": "web1", "groups": ["web"], "templates": ["plain", "naming"]},
        {"kind": "host", "name": "db1", "groups": ["db"], "templates": ["other"]},
        {"kind": "receiver", "name": "all", "webhook": {"url": "http://127.0.0.1:1/"}},
    )
    anna = await sign_in_new(signed_in, "anna", "operator", ["web"])
    _, answer = await ask(signed_in, "GET", "/definitions", anna)
    assert [(each["kind"], each["name"]) for each in answer["definitions"]] == [("host", "web1"), ("template", "plain")]
    for path in ("template/other", "template/naming", "receiver/all", "host/db1", "host/nowhere"):
        assert (await ask(signed_in, "GET", f"/definitions/{path}", anna))[0] == 404, path
    assert (await ask(signed_in, "GET", "/definitions/template/plain", anna))[0] == 200


async def test_hidden_and_missing_things_get_the_same_answer(signed_in: Site, database: Database) -> None:
    await define_hosts(database, {"web1": ["web"], "db1": ["db"]})
    hidden = (await store_host(database, "db1", "cpu.busy")).items["cpu.busy"]
    anna = await sign_in_new(signed_in, "anna", "viewer", ["web"])
    answers = []
    for host, item in (("db1", hidden), ("db2", hidden + 1)):
        path = f"/history?item={item}&from=2026-01-01T00:00:00Z&to=2026-01-01T01:00:00Z"
        for asked in (f"/hosts/{host}", f"/items?host={host}", f"/problems?host={host}&state=all", path):
            status, answer = await ask(signed_in, "GET", asked, anna)
            answers.append((status, str(answer).replace(host, "HOST").replace(str(item), "ITEM")))
    assert answers[:4] == answers[4:]


async def test_who_was_told_of_a_problem_he_sees_by_name_but_not_why_telling_failed(
    signed_in: Site, database: Database
) -> None:
    await define_hosts(database, {"web1": ["web"]})
    event = await store_problem(database, await store_host(database, "web1"), "Busy", datetime.now(UTC))
    secret = "the relay refused the recipient anna@example.org"
    async with database.connection() as connection, connection.transaction():
        owed = Notice(event_id=event.event_id, receiver="night", media="email", payload={"event": "opened"})
        await enqueue(connection, [owed])
        await connection.execute("UPDATE outbox SET failed_at = now(), last_error = %s", (secret,))
    anna = await sign_in_new(signed_in, "anna", "viewer", ["web"])
    everything = await sign_in_new(signed_in, "boss", "viewer")
    for path in ("/problems", f"/problems/{event.problem_id}"):
        _, seen = await ask(signed_in, "GET", path, anna)
        assert "night" in str(seen), path
        assert secret not in str(seen), path
        assert secret in str((await ask(signed_in, "GET", path, everything))[1]), path


async def test_a_host_without_a_definition_is_for_the_unrestricted_only(signed_in: Site, database: Database) -> None:
    await store_host(database, "loose", "cpu.busy")
    anna = await sign_in_new(signed_in, "anna", "viewer", ["web"])
    assert (await ask(signed_in, "GET", "/hosts", anna))[1] == {"hosts": []}
    assert (await ask(signed_in, "GET", "/items", anna))[1] == {"items": [], "next": None}
    assert len((await signed_in.get("/hosts"))["hosts"]) == 1


async def test_a_stream_tells_of_visible_hosts_only_and_follows_changes_at_once(
    signed_in: Site, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_module, "CHECK_SECONDS", 0.1)
    await define_hosts(database, {"web1": ["web"], "db1": ["db"]})
    web, db = [await store_host(database, name, "cpu.busy") for name in ("web1", "db1")]
    items = {host.name: host.items["cpu.busy"] for host in (web, db)}
    token, _ = await _token(signed_in)
    async with signed_in.stranger.get(
        signed_in.api("/stream"), params={"items": f"{items['web1']},{items['db1']}", "problems": "1"}, headers=token
    ) as answer:
        events = Events(answer)
        await events.next("ping")
        await until(lambda: signed_in.services.live.looks > 0)
        now = time.time_ns() // 1000
        for host in (db, web):  # what must not be told is there first
            await store_values(database, host, "cpu.busy", [now], [1.0], number=1)
            await store_problem(database, host, f"Busy {host.name}", datetime.now(UTC))
        assert (await events.next("values")).keys() == {str(items["web1"])}
        (told,) = (await events.next("problems"))["problems"]
        assert told["host"] == "web1"
        await signed_in.services.users.change("anna", Terms(role="viewer", groups=("db",)), by=By(name="test"))
        number = await _until_told(database, db, events)
        for host in (web, db):
            await store_values(database, host, "cpu.busy", [time.time_ns() // 1000], [2.0], number=number)
        assert (await events.next("values")).keys() == {str(items["db1"])}
        await signed_in.services.users.remove("anna", by=By(name="test"))
        assert await events.ended()


async def _token(site: Site) -> tuple[dict[str, str], int]:
    await sign_in_new(site, "anna", "viewer", ["web"])
    return await make_token(site, "anna", "viewer")


async def _until_told(database: Database, host: StoredHost, events: Events) -> int:
    """Store values until one is told: the stream has followed the change. Return a number for the next batch."""
    for number in range(2, 200):
        await store_values(database, host, "cpu.busy", [time.time_ns() // 1000], [1.0], number=number)
        with suppress(TimeoutError):
            assert (await events.next("values", 1.0)).keys() == {str(host.items["cpu.busy"])}
            return number + 1
    raise AssertionError("the stream did not follow the change")


async def test_only_administrators_bring_back_watchkeeps_own_secrets(database: Database, tmp_path: Path) -> None:
    station = RestoreStation(tmp_path / "missing.toml", tmp_path / "scratch", SystemClock())
    async with open_site(database, SystemClock(), restoring=station) as site:
        anna, boss = [await sign_in_new(site, name, role) for name, role in
                      (("anna", "operator"), ("boss", "administrator"))]  # fmt: skip
        body = {"path": "keys/server.key", "at": "2026-01-01T00:00:00Z"}
        for name, user, expected in (
            ("watchkeep-files", anna, 403), ("watchkeep-files", boss, 202), ("files", anna, 202),
        ):  # fmt: skip
            path = f"/backups/web1/{name}/restoration"
            async with site.stranger.post(site.api(path), headers=user, json=body) as answer:
                assert answer.status == expected, (name, await answer.text())
                begun = await answer.json()
            if user is boss:
                await site.services.users.change("boss", Terms(role="operator"), by=By(name="test"))
                async with site.stranger.get(site.api(f"/restorations/{begun['id']}"), headers=boss) as answer:
                    assert answer.status == 403  # no longer an administrator: what he began is no longer his
