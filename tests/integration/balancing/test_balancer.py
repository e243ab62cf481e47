"""The balancing of a reign, and what the next one knows of it."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from click.testing import CliRunner

from core.security.keys import key_text
from server.balancing.overview import read_overview
from server.store.placements import NewHome, place_sources, read_placements
from tests.integration.balancing.ground import PROXIES, Ground, uuid_of
from watchkeep.__main__ import cli
from watchkeep.installation import Installation

if TYPE_CHECKING:
    from pathlib import Path

    from server.store.database import Database, DatabaseOptions
    from server.store.transaction import Writer

NAMES = [f"s{number}" for number in range(8)]
RATES = dict.fromkeys(NAMES, 1) | {"s0": 4, "s1": 4}
SHUT_OUT = "UPDATE peer_key SET revoked_at = now() WHERE name = 'b'"


async def evened(database: Database, writer: Writer) -> Ground:
    """Eight sources, all of which came to proxy a, some minutes later."""
    ground = Ground(database, writer, linked=dict.fromkeys(NAMES, "a"), rates=dict(RATES))
    await ground.settle()
    await ground.pass_time(55)
    assert set(ground.linked.values()) == {"a"}, "nothing moves before a minute has shown the loads"
    await ground.pass_time(600)
    return ground


async def test_sources_that_all_came_to_one_proxy_are_spread_by_what_they_send(
    database: Database, writer: Writer
) -> None:
    ground = await evened(database, writer)
    sent = {proxy: sum(RATES[name] for name, at in ground.linked.items() if at == proxy) for proxy in PROXIES}
    assert abs(sent["a"] - sent["b"]) <= 2
    assert ground.counters.get("balance.came") == len(NAMES)
    moved = ground.counters.get("balance.moved")
    assert 1 <= moved <= 4
    await ground.pass_time(1800)
    assert ground.counters.get("balance.moved") == moved
    async with database.connection() as connection:
        (group,) = await read_overview(connection)
    assert {source.source: source.home for source in group.sources} == ground.linked
    assert {proxy.name: proxy.source_count for proxy in group.proxies} == {
        proxy: list(ground.linked.values()).count(proxy) for proxy in PROXIES
    }
    assert abs(sum(proxy.part for proxy in group.proxies) - 1.0) < 1e-6
    reason = next(source.reason for source in group.sources if source.kind == "moved")
    assert reason.startswith("a carried ")
    burdens = ground.placements.burdens
    assert max(burden.share for burden in burdens.values()) <= 1.25


async def test_the_next_reign_says_the_same_order_and_moves_nothing(database: Database, writer: Writer) -> None:
    ground = await evened(database, writer)
    orders = {name: ground.order(name) for name in NAMES}
    assert all(orders[name][0] == key_text(PROXIES[at]) for name, at in ground.linked.items())
    ground.begin()
    await ground.picture.look()
    await ground.balancer.recall()
    assert {name: ground.order(name) for name in NAMES} == orders, "before anything was heard of anybody"
    await ground.pass_time(1800)
    assert [name for name in ground.counters.snapshot() if name.startswith("balance.")] == []


async def test_sources_of_a_proxy_that_fell_silent_live_where_they_went_and_do_not_go_back_in_a_crowd(
    database: Database, writer: Writer
) -> None:
    ground = await evened(database, writer)
    orphans = [name for name, at in ground.linked.items() if at == "b"]
    ground.up.discard("b")
    for name in orphans:
        ground.linked[name] = "a"
    await ground.pass_time(25)
    assert ground.counters.get("balance.followed") == 0, "a proxy that is started anew keeps its sources"
    await ground.pass_time(20)
    assert ground.counters.get("balance.followed") == len(orphans)
    assert all(ground.order(name)[0] == key_text(PROXIES["a"]) for name in NAMES)
    ground.up.add("b")
    await ground.pass_time(60)
    assert list(ground.linked.values()).count("b") <= 1, "it has to stand for a minute, then it is filled slowly"
    await ground.pass_time(2400)
    sent = {proxy: sum(RATES[name] for name, at in ground.linked.items() if at == proxy) for proxy in PROXIES}
    assert abs(sent["a"] - sent["b"]) <= 4


async def test_a_proxy_with_a_full_disk_or_a_backlog_is_given_nothing(database: Database, writer: Writer) -> None:
    ground = Ground(database, writer, linked=dict.fromkeys(NAMES, "a"), rates=dict(RATES))
    await ground.settle()
    ground.full.add("b")
    await ground.pass_time(600)
    assert set(ground.linked.values()) == {"a"}
    ground.full.clear()
    ground.behind.add("b")
    await ground.pass_time(600)
    assert set(ground.linked.values()) == {"a"}
    ground.behind.clear()
    await ground.pass_time(600)
    assert set(ground.linked.values()) == {"a", "b"}


async def test_an_agent_that_does_not_know_the_proxy_stays_and_is_not_asked_again_soon(
    database: Database, writer: Writer
) -> None:
    ground = Ground(database, writer, linked=dict.fromkeys(NAMES, "a"), rates=dict(RATES))
    await ground.settle()
    await ground.pass_time(1800, obeys=False)
    sent = ground.counters.get("balance.moved")
    assert ground.counters.get("balance.stayed") == sent >= 2
    assert sent <= len(NAMES)
    assert all(placed.home_key == PROXIES["a"] for placed in ground.placements.by_source.values())


async def test_a_revoked_proxy_serves_nobody(database: Database, writer: Writer) -> None:
    ground = await evened(database, writer)
    async with database.connection() as connection:
        await connection.execute(SHUT_OUT)
    ground.up.discard("b")
    ground.linked = dict.fromkeys(NAMES, "a")
    await ground.pass_time(60)
    assert all(ground.order(name) == [key_text(PROXIES["a"])] for name in NAMES)
    assert all(placed.home_key == PROXIES["a"] for placed in ground.placements.by_source.values())


async def test_the_number_of_an_order_grows_also_when_the_clock_was_set_back(
    database: Database, writer: Writer
) -> None:
    ground = await evened(database, writer)
    known = ground.placements.by_source[uuid_of("s0").bytes]
    home = NewHome(source_id=known.source_id, home_key=PROXIES["a"], kind="moved", reason="r", moves=2)
    gone = NewHome(source_id=99_999, home_key=PROXIES["a"], kind="moved", reason="r", moves=2)
    async with writer.transaction() as connection:
        (placed,) = await place_sources(connection, [home, gone], known.since.replace(year=2001))
    assert placed.number == known.number + 1
    async with database.connection() as connection:
        assert placed in await read_placements(connection)


async def test_the_command_shows_who_serves_whom_and_why(
    database: Database, writer: Writer, database_options: DatabaseOptions, tmp_path: Path
) -> None:
    await evened(database, writer)
    Installation(dsn=database_options.dsn, url="http://127.0.0.1:1/", server="test").write(tmp_path)
    answer = await asyncio.to_thread(CliRunner().invoke, cli, ["balance", "--json", "--data", str(tmp_path)])
    assert answer.exit_code == 0, answer.output
    (group,) = json.loads(answer.stdout)["groups"]
    assert {source["source"] for source in group["sources"]} == set(NAMES)
    told = await asyncio.to_thread(CliRunner().invoke, cli, ["balance", "--sources", "--data", str(tmp_path)])
    assert told.exit_code == 0, told.output
    assert all(word in told.output for word in ("proxy group default", *NAMES))
