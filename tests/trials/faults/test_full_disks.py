"""R4: no room left under a spool or under the database: said, counted, nothing lost that was promised, goes on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psycopg
import pytest

from tests.trials.faults.ground import AGENT, PATIENCE_SECONDS, SERVER, WATCHED
from tests.trials.site import POSTGRES, PROXIES
from tests.trials.stack import until_true

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.trials.faults.ground import Ground

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.trial("R4"), pytest.mark.timeout(600)]
REMEDY = "free space on its file system"
_ACCOUNT = """
SELECT r.boot, r.last_number, upper(r.ranges), (int8multirange(int8range(1, upper(r.ranges))) - r.ranges - r.lost),
       r.lost
FROM received r JOIN source s ON s.id = r.source_id WHERE s.name = %s ORDER BY r.first_at DESC LIMIT 1
"""


async def test_full_disks_of_the_proxies_hold_the_sources_back_until_there_is_room(ground: Ground) -> None:
    since = {proxy: len(ground.log(proxy)) for proxy in PROXIES}
    try:
        for proxy in PROXIES:
            ground.disks[proxy].fill(leave_bytes=64 << 10)

        async def is_told() -> bool:
            return any(REMEDY in ground.log(proxy)[since[proxy] :] for proxy in PROXIES)

        await until_true(is_told, PATIENCE_SECONDS, "a proxy's word that its disk is full")
        full = next(proxy for proxy in PROXIES if REMEDY in ground.log(proxy)[since[proxy] :])
        line = next(line for line in ground.log(full)[since[full] :].splitlines() if REMEDY in line)
        assert str(ground.stack.site.data(full)) in line, "the folder is named"
        await ground.counted(full, "custody.is_full")
        notes = [note for part in (await ground.health())["parts"] if part["name"] == full for note in part["notes"]]
        assert any("takes nothing more" in note for note in notes)
        await ground.raised(f"Watchkeep: proxy {full} is not in order")
        assert ground.all_live()
    finally:
        for proxy in PROXIES:
            ground.disks[proxy].empty()
    await ground.says(full, "There is room again", since[full])
    await ground.ended(f"Watchkeep: proxy {full} is not in order")
    await ground.nothing_lost()
    assert ground.all_live()


async def test_a_full_disk_of_an_agent_loses_only_what_it_counts_and_is_a_problem(
    ground: Ground, figure: Callable[[str], None]
) -> None:
    since = len(ground.log(AGENT))
    await until_true(lambda: _has_values(ground), PATIENCE_SECONDS, "values of the agent")
    try:
        ground.disks[AGENT].fill()
        await ground.says(AGENT, REMEDY, since)
        line = next(line for line in ground.log(AGENT)[since:].splitlines() if REMEDY in line)
        assert str(ground.disks[AGENT].folder) in line
        assert ground.all_live()
    finally:
        ground.disks[AGENT].empty()
    await ground.says(AGENT, "The spool takes values again", since)
    again = asyncio.get_running_loop().time()

    async def is_raised() -> bool:
        problems = (await ground.ask("/problems", state="open", host=WATCHED))["problems"]
        return any(problem["trigger"] == "Values were lost" for problem in problems)

    await until_true(is_raised, PATIENCE_SECONDS, "a problem about what was lost")
    raised_seconds = asyncio.get_running_loop().time() - again

    async def is_counted() -> bool:
        ((_, _, _, uncounted, lost),) = await ground.stack.query(_ACCOUNT, (WATCHED,))
        items = (await ground.ask("/items", host=WATCHED, search="agent.lost_values"))["items"]
        return not uncounted and bool(lost) and bool(items) and items[0]["value"] > 0

    await until_true(is_counted, PATIENCE_SECONDS, "an account without a hole, and the count of what was lost")
    (own, *_) = (await ground.ask(f"/hosts/{WATCHED}/ledger"))["sources"]
    counts = own["lives"][0]["counts"]
    figure(
        f"R4: agent's disk full: a problem {raised_seconds:.1f} s after there was room, {counts['lost']} records LOST,"
        f" {counts['open']} unaccounted for"
    )
    await ground.nothing_lost()
    assert ground.all_live()


async def _has_values(ground: Ground) -> bool:
    return bool((await ground.ask("/items", host=WATCHED, search="agent.memory"))["items"])


async def test_a_full_disk_of_the_database_makes_everybody_wait(ground: Ground) -> None:
    since = len(ground.log(SERVER))
    before = await ground.counter(SERVER, "ingest.store_retries")
    try:
        ground.disks[POSTGRES].fill()
        await ground.says(SERVER, "storing waits for the database", since)
        await ground.says(SERVER, "make room in its data folder", since)
        await ground.holds(ground.all_live, 3, "every part lives on")
    finally:
        ground.disks[POSTGRES].empty()
    await ground.database_back()  # it may give up when its log has no room
    await ground.nothing_lost()
    await ground.counted(SERVER, "ingest.store_retries", before + 1)
    assert ground.all_live()
    with psycopg.connect(ground.stack.dsn) as connection:
        assert connection.execute("SELECT count(*) FROM quarantine").fetchone() == (0,)
