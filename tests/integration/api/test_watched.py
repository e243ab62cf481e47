"""Hosts, items, problems and their history as the pages read them."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from server.api.services import AgentFacts
from server.inventory.apply import apply, check_documents, propose
from server.inventory.check import documents_from_plain
from server.store.definitions import Author
from server.store.inventory import ItemDeclaration
from tests.integration.api.data import (
    define,
    resolve_problem,
    store_host,
    store_notice,
    store_problem,
    store_text,
    store_values,
)

if TYPE_CHECKING:
    from server.store.database import Database
    from tests.integration.api.site import Site

SECOND = 1_000_000
MINUTE = 60 * SECOND


def _now_us() -> int:
    return time.time_ns() // 1000


def _iso(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, tz=UTC).isoformat()


def _span(begin_us: int, end_us: int) -> dict[str, Any]:
    return {"from": _iso(begin_us), "to": _iso(end_us)}


async def test_items_come_with_their_newest_values(signed_in: Site, database: Database) -> None:
    now = _now_us()
    host = await store_host(
        database,
        "db1",
        ItemDeclaration(host_id=0, key="cpu.busy", unit="%", description="Busy"),
        "filesystem.used_percent[/]",
        ItemDeclaration(host_id=0, key="kernel.release", type="text"),
        "never.sampled",
    )
    await store_values(database, host, "cpu.busy", [now - 20 * SECOND, now - 10 * SECOND], [5.0, 7.5])
    await store_values(database, host, "filesystem.used_percent[/]", [now - 40 * MINUTE], [61.0], number=2)
    await store_text(database, host, "kernel.release", now - MINUTE, "6.1 <b>")
    answer = await signed_in.get("/items", host="db1")
    items = {item["key"]: item for item in answer["items"]}
    assert answer["next"] is None
    assert items["cpu.busy"]["value"] == 7.5
    assert datetime.fromisoformat(items["cpu.busy"]["at"]) == datetime.fromisoformat(_iso(now - 10 * SECOND))
    assert (items["cpu.busy"]["unit"], items["cpu.busy"]["description"]) == ("%", "Busy")
    assert items["filesystem.used_percent[/]"]["value"] == 61.0
    assert items["filesystem.used_percent[/]"]["parameter"] == "/"
    assert items["filesystem.used_percent[/]"]["name"] == "filesystem.used_percent"
    assert items["kernel.release"]["value"] == "6.1 <b>"
    assert items["never.sampled"]["value"] is None
    assert items["never.sampled"]["at"] is None


async def test_a_structured_item_comes_as_the_document_it_is(signed_in: Site, database: Database) -> None:
    now = _now_us()
    host = await store_host(database, "db1", ItemDeclaration(host_id=0, key="command.document[q]", type="structured"))
    await store_text(database, host, "command.document[q]", now - MINUTE, '{"jobs":[]}')
    await store_text(database, host, "command.document[q]", now, '{"jobs":[{"id":7}],"late":null}')
    (item,) = (await signed_in.get("/items", host="db1"))["items"]
    assert (item["type"], item["value"]) == ("structured", {"jobs": [{"id": 7}], "late": None})
    assert (await signed_in.get(f"/items/{item['id']}"))["value"] == item["value"]
    (series,) = (await signed_in.get("/history", item=item["id"], **_span(now - MINUTE, now + 1)))["series"]
    assert series["at"] == []


async def test_a_late_batch_does_not_hide_the_newest_value(signed_in: Site, database: Database) -> None:
    now = _now_us()
    host = await store_host(database, "db1", "cpu.busy")
    await store_values(database, host, "cpu.busy", [now - 5 * SECOND], [2.0], number=2)
    await store_values(database, host, "cpu.busy", [now - 30 * SECOND], [1.0], number=1)
    (item,) = (await signed_in.get("/items"))["items"]
    assert item["value"] == 2.0


async def test_the_newest_value_is_found_in_packed_history_too(signed_in: Site, database: Database) -> None:
    host = await store_host(database, "db1", "cpu.busy")
    middle = datetime(2026, 1, 1, tzinfo=UTC)
    async with database.connection() as connection:
        await connection.execute(
            'INSERT INTO history (item_id, at, offsets, "values")'
            " VALUES (%s, date_trunc('hour', now() - interval '2 days'), '{0,1000000}', '{3,4}')",
            (host.items["cpu.busy"],),
        )
    (item,) = (await signed_in.get("/items"))["items"]
    assert item["value"] == 4.0
    assert datetime.fromisoformat(item["at"]) > middle


async def test_items_are_found_by_host_and_text_a_page_at_a_time(signed_in: Site, database: Database) -> None:
    await store_host(database, "db1", *(f"disk.read[sd{letter}]" for letter in "abcde"), "cpu.busy")
    await store_host(database, "db2", "disk.read[sda]")
    found: list[str] = []
    after: int | None = 0
    while after is not None:
        page = await signed_in.get("/items", host="db1", search="DISK", limit=2, after=after)
        assert len(page["items"]) <= 2
        found += [item["key"] for item in page["items"]]
        after = page["next"]
    assert sorted(found) == [f"disk.read[sd{letter}]" for letter in "abcde"]
    assert (await signed_in.get("/items", search="100%_"))["items"] == []


async def test_a_host_is_up_while_values_come_and_silent_when_only_others_do(
    signed_in: Site, database: Database
) -> None:
    now = _now_us()
    fresh = await store_host(database, "fresh", "cpu.busy")
    quiet = await store_host(database, "quiet", "cpu.busy")
    await store_values(database, quiet, "cpu.busy", [now - 5 * MINUTE], [1.0])
    async with database.connection() as connection:
        await connection.execute("INSERT INTO host (name) VALUES ('never')")
    before = {host["name"]: host["state"] for host in (await signed_in.get("/hosts"))["hosts"]}
    assert (before["quiet"], before["never"]) == ("unknown", "unknown")  # nothing comes: whose fault is open
    await store_values(database, fresh, "cpu.busy", [now], [1.0])
    states = {host["name"]: host["state"] for host in (await signed_in.get("/hosts"))["hosts"]}
    assert states == {"fresh": "up", "quiet": "silent", "never": "unknown"}


async def test_a_host_without_an_agent_is_judged_by_what_its_proxy_polls(signed_in: Site, database: Database) -> None:
    now = _now_us()
    ports = [await store_host(database, name, "snmp.uptime", "poll.available[snmp]") for name in ("alive", "dead")]
    await store_host(database, "never")
    async with database.connection() as connection:
        await connection.execute("UPDATE source SET host_id = NULL")
    for host, seen in zip(ports, (now - 90 * SECOND, now - 10 * MINUTE), strict=True):
        await store_values(database, host, "snmp.uptime", [seen], [1.0])
        await store_values(database, host, "poll.available[snmp]", [now - SECOND], [0.0], number=2)
    hosts = {host["name"]: host for host in (await signed_in.get("/hosts"))["hosts"]}
    assert {name: host["state"] for name, host in hosts.items()} == {
        "alive": "up", "dead": "silent", "never": "unknown",
    }  # fmt: skip
    assert datetime.fromisoformat(hosts["alive"]["last_at"]) == datetime.fromisoformat(_iso(now - 90 * SECOND))
    assert datetime.fromisoformat(hosts["dead"]["last_at"]) == datetime.fromisoformat(_iso(now - 10 * MINUTE))
    assert hosts["never"]["last_at"] is None
    assert (await signed_in.get("/hosts/alive"))["state"] == "up"


async def test_a_host_is_summed_up_by_processor_memory_and_its_fullest_disk(
    signed_in: Site, database: Database
) -> None:
    now = _now_us()
    keys = ("cpu.busy", "memory.used_percent", "filesystem.used_percent[/]", "filesystem.used_percent[/srv]")
    host = await store_host(database, "db1", *keys)
    for number, (key, value) in enumerate(zip(keys, (12.0, 34.0, 50.0, 91.0), strict=True), 1):
        await store_values(database, host, key, [now], [value], number)
    await store_problem(database, host, "Disk", datetime.now(UTC), severity="high", parameter="/srv")
    await store_problem(database, host, "Disk", datetime.now(UTC), severity="high", parameter="/")
    document: dict[str, object] = {"kind": "host", "name": "db1", "templates": ["mine"]}
    await _define(database, {"kind": "template", "name": "mine"}, document)
    (view,) = (await signed_in.get("/hosts"))["hosts"]
    assert view["summary"] == {"cpu_busy": 12.0, "memory_used_percent": 34.0, "disk_used_percent": 91.0}
    assert view["problems"] == {"high": 2}
    assert view["items"] == 4
    assert view["templates"] == ["mine"]
    detail = await signed_in.get("/hosts/db1")
    assert {name: detail[name] for name in view} == view


async def test_a_host_is_shown_with_what_its_link_tells_of_its_agent(signed_in: Site, database: Database) -> None:
    await store_host(database, "db1")
    signed_in.health.agents["db1"] = AgentFacts(software="0.1.0", upstream="proxy1", clock_skew_seconds=0.25)
    assert (await signed_in.get("/hosts/db1"))["agent"] == {
        "boot": f"{77:016x}",
        "software": "0.1.0",
        "upstream": "proxy1",
        "clock_skew_seconds": 0.25,
        "spool_bytes": None,
    }
    missing = await signed_in.get("/hosts/db2", status=404)
    assert "db2" in missing["error"]["message"]


async def test_an_item_says_how_long_it_is_kept(signed_in: Site, database: Database) -> None:
    host = await store_host(database, "db1", "cpu.busy", "load.1m")
    ids = [host.items[key] for key in ("cpu.busy", "load.1m")]
    default = {"history_seconds": 31 * 86400.0, "samples": None, "trends_seconds": 732 * 86400.0}
    assert (await signed_in.get(f"/items/{ids[0]}"))["retention"] == default
    await define(
        database,
        {"kind": "template", "name": "short", "retention": [{"items": "cpu.*", "history": "7d", "samples": 500}]},
        {"kind": "host", "name": "db1", "templates": ["short"]},
    )
    busy, load = [await signed_in.get(f"/items/{item}") for item in ids]
    assert busy["retention"] == default | {"history_seconds": 7 * 86400.0, "samples": 500}
    assert (load["retention"], load["key"], load["value"]) == (default, "load.1m", None)
    await signed_in.get(f"/items/{max(ids) + 1}", status=404)


async def test_history_comes_as_it_was_when_it_is_short(signed_in: Site, database: Database) -> None:
    now = _now_us() // 1000 * 1000
    host = await store_host(database, "db1", ItemDeclaration(host_id=0, key="cpu.busy", unit="%"), "cpu.user")
    at_us = [now - 30 * SECOND, now - 20 * SECOND, now - 10 * SECOND]
    await store_values(database, host, "cpu.busy", at_us, [1.0, 3.0, 2.0])
    answer = await signed_in.get(
        "/history",
        item=[host.items["cpu.busy"], host.items["cpu.user"]],
        **_span(now - MINUTE, now),
    )
    busy, user = answer["series"]
    assert now // 1000 - 1000 <= busy.pop("known_since") <= _now_us() // 1000
    assert busy == {
        "item": host.items["cpu.busy"],
        "unit": "%",
        "source": "values",
        "at": [at // 1000 for at in at_us],
        "value": [1.0, 3.0, 2.0],
        "minimum": [1.0, 3.0, 2.0],
        "maximum": [1.0, 3.0, 2.0],
    }
    assert user["at"] == []


async def test_a_range_in_which_nothing_was_sampled_is_empty(signed_in: Site, database: Database) -> None:
    now = _now_us() // 1000 * 1000
    host = await store_host(database, "db1", "cpu.busy")
    await store_values(database, host, "cpu.busy", [now - 30 * SECOND], [1.0])
    span = _span(now - 20 * SECOND, now - 20 * SECOND + 12_000)
    (series,) = (await signed_in.get("/history", item=host.items["cpu.busy"], points=10, **span))["series"]
    assert series["at"] == []


async def test_thinned_history_keeps_the_peaks(signed_in: Site, database: Database) -> None:
    now = _now_us()
    host = await store_host(database, "db1", "cpu.busy")
    at_us = [now - 1500 * SECOND + second * SECOND for second in range(1500)]
    values = [10.0] * 1500
    values[700], values[701] = 99.5, -5.0
    await store_values(database, host, "cpu.busy", at_us, values)
    answer = await signed_in.get(
        "/history",
        item=host.items["cpu.busy"],
        points=50,
        **_span(now - 1800 * SECOND, now),
    )
    (series,) = answer["series"]
    assert 25 <= len(series["at"]) <= 50
    assert max(series["maximum"]) == 99.5
    assert min(series["minimum"]) == -5.0
    assert series["at"] == sorted(series["at"])


async def test_a_long_range_is_drawn_from_trends(signed_in: Site, database: Database) -> None:
    host = await store_host(database, "db1", "cpu.busy")
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO trends (item_id, at, minimum, average, maximum, count)"
            " SELECT %s, %s - n * interval '1 hour', 1, 5, 40 + (n = 300)::int * 50, 360"
            " FROM generate_series(1, 2000) AS s (n)",
            (host.items["cpu.busy"], hour),
        )
    now = int(hour.timestamp()) * SECOND
    span = _span(now - 60 * 24 * 60 * MINUTE, now)
    answer = await signed_in.get("/history", item=host.items["cpu.busy"], points=500, **span)
    (series,) = answer["series"]
    assert series["source"] == "trends"
    assert 250 <= len(series["at"]) <= 500
    assert max(series["maximum"]) == 90.0
    assert min(series["minimum"]) == 1.0
    assert set(series["value"]) == {5.0}


async def test_where_values_are_kept_a_shorter_time_than_trends_the_older_part_is_not_left_out(
    signed_in: Site, database: Database
) -> None:
    host = await store_host(database, "db1", "cpu.busy", "cpu.new")
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    now = int(hour.timestamp()) * SECOND
    for number, key in enumerate(("cpu.busy", "cpu.new")):
        await store_values(database, host, key, [now - 2 * SECOND, now - SECOND], [7.0, 8.0], number=number)
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO trends (item_id, at, minimum, average, maximum, count)"
            " SELECT %s, %s - n * interval '1 hour', 1, 5, 90, 360 FROM generate_series(2, 480) AS s (n)",
            (host.items["cpu.busy"], hour),
        )
    items = [str(host.items[key]) for key in ("cpu.busy", "cpu.new")]
    span = _span(now - 20 * 24 * 60 * MINUTE, now)
    busy, new = (await signed_in.get("/history", item=items, points=1000, **span))["series"]
    assert (busy["source"], len(busy["at"])) == ("trends", 480)  # the last hour is not packed yet, and is in it
    assert busy["maximum"][-1] == 8.0
    assert (new["source"], new["value"]) == ("values", [7.0, 8.0])


@pytest.mark.trial("S-10")
async def test_history_refuses_ranges_and_numbers_of_items_that_cost_too_much(
    signed_in: Site, database: Database
) -> None:
    host = await store_host(database, "db1", "cpu.busy")
    item = host.items["cpu.busy"]
    span: dict[str, Any] = {"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}
    unfit: tuple[dict[str, Any], ...] = (
        {"item": [str(item)] * 21},
        {"item": item, "points": 100_000},
        {"item": item, "from": "1900-01-01T00:00:00Z"},
        {"item": item, "from": "2026-01-03T00:00:00Z"},
        {"item": item, "from": "2026-01-01T00:00:00"},
        {"item": item, "from": "0001-01-01T00:00:00+23:59", "to": "0001-01-01T01:00:00+23:59"},
        {"item": item, "to": "9999-12-31T23:59:59-23:59"},
        {"item": 0},
        {"item": 2**31},
    )
    for bad in unfit:
        await signed_in.get("/history", status=400, **(span | bad))
    await signed_in.get("/history", status=404, **(span | {"item": item + 1}))


async def test_problems_come_newest_first_with_who_was_told(signed_in: Site, database: Database) -> None:
    now = datetime.now(UTC)
    host = await store_host(database, "db1")
    first = await store_problem(database, host, "Busy", now - timedelta(hours=1), severity="warning")
    second = await store_problem(database, host, "Disk", now, severity="high", parameter="/srv", name="Disk /srv low")
    await store_notice(database, second, "on-call")
    await resolve_problem(database, first, now)
    (problem,) = (await signed_in.get("/problems"))["problems"]
    assert problem["id"] == second.problem_id
    assert (problem["host"], problem["trigger"], problem["name"]) == ("db1", "Disk", "Disk /srv low")
    assert (problem["severity"], problem["parameter"], problem["value"]) == ("high", "/srv", 91.5)
    (told,) = problem["told"]
    assert (told["receiver"], told["media"], told["state"], told["attempts"]) == ("on-call", "webhook", "waiting", 0)
    (resolved,) = (await signed_in.get("/problems", state="resolved"))["problems"]
    assert datetime.fromisoformat(resolved["resolved_at"]) == now
    everything = (await signed_in.get("/problems", state="all"))["problems"]
    assert [found["id"] for found in everything] == [second.problem_id, first.problem_id]
    older = (await signed_in.get("/problems", state="all", before=second.problem_id))["problems"]
    assert [found["id"] for found in older] == [first.problem_id]
    chosen = (await signed_in.get("/problems", state="all", severity=["warning", "disaster"], host="db1"))["problems"]
    assert [found["id"] for found in chosen] == [first.problem_id]
    assert (await signed_in.get("/problems", state="all", host="db2"))["problems"] == []


async def test_problems_come_worst_first_when_asked_so(signed_in: Site, database: Database) -> None:
    host, now = await store_host(database, "db1"), datetime.now(UTC)
    severities = ("high", "information", "disaster", "high", "average")
    stored = [
        await store_problem(database, host, f"Trigger {place}", now, severity=severity)
        for place, severity in enumerate(severities)
    ]
    expected = [stored[place].problem_id for place in (2, 3, 0, 4, 1)]  # of equals the newer one first
    found: list[int] = []
    while page := (
        await signed_in.get("/problems", order="severity", limit=2, **({"before": found[-1]} if found else {}))
    )["problems"]:
        found += [problem["id"] for problem in page]
    assert found == expected


async def test_hostile_text_comes_out_as_text_in_json(signed_in: Site, database: Database) -> None:
    hostile = "</script><script>alert(1)</script>"
    host = await store_host(database, "db1")
    await store_problem(database, host, "Busy", datetime.now(UTC), name=hostile)
    async with signed_in.browser.get(signed_in.api("/problems")) as answer:
        assert answer.content_type == "application/json"
        assert (await answer.json())["problems"][0]["name"] == hostile


async def _define(database: Database, *documents: dict[str, object]) -> None:
    proposal = await propose(database, check_documents(documents_from_plain(documents)), via="file")
    await apply(database, proposal, Author(name="test", via="file"))
