"""The health document, and definitions by REST."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from core.runtime.clock import SystemClock
from server.api.facts import FactsKeeper
from server.api.refusals import RefusalCount
from server.api.services import PartHealth
from tests.integration.api.data import store_host, store_values
from tests.integration.api.site import USER, open_site

if TYPE_CHECKING:
    from server.store.database import Database
    from tests.integration.api.site import Site

TEMPLATE = {
    "items": [{"probe": "cpu", "every": "10s"}],
    "triggers": [{"name": "Busy", "expression": "avg(cpu.busy, 5m) > 90", "severity": "warning"}],
}


async def test_health_shows_parts_refusals_and_the_store(signed_in: Site) -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    signed_in.health.known_parts.append(
        PartHealth(kind="agent", name="db1", state="up", since=at, counters={"spool.held": 3}, notes=["late"])
    )
    signed_in.health.refused.append(RefusalCount(kind="link.unknown_key", count=4, last_at=at, last_detail="10.0.0.9"))
    signed_in.services.refusals.count("web.cross_site", "somebody")
    answer = await signed_in.get("/health")
    assert (answer["role"], answer["epoch"], answer["server"]) == ("active", 7, "one")
    (part,) = answer["parts"]
    assert part["counters"] == {"spool.held": 3}
    assert part["notes"] == ["late"]
    assert [(refusal["kind"], refusal["count"]) for refusal in answer["refusals"]] == [
        ("link.unknown_key", 4),
        ("web.cross_site", 1),
    ]
    assert answer["store"]["size_bytes"] > 1_000_000
    assert int(answer["store"]["database_version"].split(".")[0]) >= 15
    assert answer["store"]["timescale"] is False


async def test_the_standby_shows_its_own_health(database: Database) -> None:
    async with open_site(database, SystemClock()) as site:
        site.health.role = "standby"
        await site.sign_in()
        answer = await site.get("/health")
    assert answer["role"] == "standby"
    assert answer["parts"] == []


async def test_the_store_says_how_many_values_come_and_how_far_back_they_go(
    signed_in: Site, database: Database
) -> None:
    now_us = int(datetime.now(UTC).timestamp() * 1e6)
    host = await store_host(database, "db1", "cpu.busy")
    # Counted are batches that ended two to twelve seconds ago: this one has just begun to be counted.
    at_us = [now_us - 7_100_000 + n * 10_000 for n in range(500)]
    await store_values(database, host, "cpu.busy", at_us, [1.0] * 500)
    store = (await signed_in.get("/health"))["store"]
    assert store["values_per_second"] == 50.0
    assert datetime.fromisoformat(store["oldest_at"]).timestamp() * 1e6 <= now_us


async def test_a_database_that_is_away_is_shown_as_a_silent_part(signed_in: Site) -> None:
    class Away(FactsKeeper):
        async def read(self) -> Any:
            await signed_in.services.database.close()
            return await super().read()

    object.__setattr__(signed_in.services, "facts", Away(signed_in.services.database, signed_in.services.clock))
    answer = await signed_in.get("/health")
    (part,) = answer["parts"]
    assert (part["kind"], part["state"]) == ("database", "silent")
    assert answer["store"]["size_bytes"] is None


async def test_a_definition_is_made_shown_changed_and_deleted(signed_in: Site, database: Database) -> None:
    created = await _send(signed_in, "PUT", "/definitions/template/mine", TEMPLATE)
    assert [(change["action"], change["name"]) for change in created["changes"]] == [("create", "mine")]
    assert (await _send(signed_in, "PUT", "/definitions/template/mine", TEMPLATE))["changes"] == []
    shown = await signed_in.get("/definitions/template/mine")
    assert shown["document"] == {"kind": "template", "name": "mine", **TEMPLATE}
    assert (shown["via"], shown["changed_by"]) == ("web", USER)
    changed = await _send(signed_in, "PUT", "/definitions/template/mine", TEMPLATE | {"description": "New"})
    assert changed["changes"][0]["before"] == shown["document"]
    await _send(signed_in, "PUT", "/definitions/host/db1", {"templates": ["mine"]})
    listed = (await signed_in.get("/definitions"))["definitions"]
    assert [(found["kind"], found["name"]) for found in listed] == [("host", "db1"), ("template", "mine")]
    assert [found["name"] for found in (await signed_in.get("/definitions", kind="host"))["definitions"]] == ["db1"]
    refused = await _send(signed_in, "DELETE", "/definitions/template/mine", None, 422)
    assert "mine" in refused["errors"][0]["message"]
    await _send(signed_in, "DELETE", "/definitions/host/db1", None)
    await _send(signed_in, "DELETE", "/definitions/template/mine", None)
    await _send(signed_in, "DELETE", "/definitions/template/mine", None, 404)
    await signed_in.get("/definitions/template/mine", status=404)
    async with database.connection() as connection:
        cursor = await connection.execute(
            "SELECT actor, object FROM audit WHERE action = 'definitions.change' ORDER BY id"
        )
        assert await cursor.fetchall() == [
            (USER, "create template/mine"),
            (USER, "update template/mine"),
            (USER, "create host/db1"),
            (USER, "delete host/db1"),
            (USER, "delete template/mine"),
        ]


async def test_all_faults_are_told_at_once_and_nothing_is_changed(signed_in: Site) -> None:
    documents = [
        {"kind": "template", "name": "good", **TEMPLATE},
        {"kind": "template", "name": "bad", "items": [{"probe": "cpuu", "every": "10s"}]},
        {"kind": "host", "name": "db 1", "colour": "red"},
        {"kind": "host", "name": "db2", "templates": ["nowhere"]},
    ]
    for path in ("/definitions/check", "/definitions/apply"):
        refused = await _send(signed_in, "POST", path, {"documents": documents}, 422)
        assert len(refused["errors"]) >= 4
        for fault in refused["errors"]:
            assert fault["message"]
            assert fault["remedy"]
            assert {"file", "line", "path"} <= fault.keys()
    assert (await signed_in.get("/definitions"))["definitions"] == []


async def test_checking_says_what_would_change_and_changes_nothing(signed_in: Site) -> None:
    documents = {"documents": [{"kind": "template", "name": "mine", **TEMPLATE}]}
    planned = await _send(signed_in, "POST", "/definitions/check", documents)
    assert (await signed_in.get("/definitions"))["definitions"] == []
    assert await _send(signed_in, "POST", "/definitions/apply", documents) == planned
    assert len((await signed_in.get("/definitions"))["definitions"]) == 1


async def test_a_body_that_contradicts_its_address_is_refused(signed_in: Site) -> None:
    refused = await _send(signed_in, "PUT", "/definitions/host/db1", {"name": "db2"}, 400)
    assert "db1" in refused["error"]["message"]


async def _send(site: Site, method: str, path: str, body: Any, status: int = 200) -> Any:
    async with site.browser.request(method, site.api(path), json=body) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json()
