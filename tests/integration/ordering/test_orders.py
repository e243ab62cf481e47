"""Runs that people order: once whoever asks, told under the epoch that claimed them, answered by the host's items."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from core.runtime.clock import SystemClock
from server.inventory.effective import Inventory
from server.ordering.keeper import OrderKeeper
from server.ordering.orders import RunOrders
from server.store.errors import Fenced
from server.store.inventory import ItemDeclaration
from server.store.lease import take
from server.store.transaction import Writer
from tests.integration.api.data import define_hosts, store_host, store_text
from tests.integration.api.people import sign_in_new
from tests.integration.api.site import open_site

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.store.database import Database, DatabaseOptions
    from tests.integration.api.data import StoredHost
    from tests.integration.api.site import Site


@asynccontextmanager
async def site_of(database: Database) -> AsyncIterator[Site]:
    """Serve the API over the database, its browser signed in; no server reigns."""
    async with open_site(database, SystemClock()) as site:
        assert await site.sign_in() == 200
        yield site


async def store_set(database: Database) -> StoredHost:
    await define_hosts(database, {"db1": []})
    texts = [ItemDeclaration(host_id=0, key=f"backup.{name}[files]", type="text") for name in ("order", "phase")]
    return await store_host(database, "db1", "backup.status[files]", *texts)


async def ask(site: Site, due_at: datetime | None = None) -> tuple[int, dict[str, Any]]:
    body = {} if due_at is None else {"due_at": due_at.isoformat()}
    async with site.browser.post(site.api("/backups/db1/files/runs"), json=body) as answer:
        return answer.status, await answer.json()


async def reign(options: DatabaseOptions) -> tuple[OrderKeeper, RunOrders, Writer]:
    """Take the lease and return what an active server keeps orders by."""
    lease = await take(options, endpoint="here", stale_after_seconds=0.0)
    assert lease is not None
    writer, orders = Writer(options, lease.epoch), RunOrders()
    nothing = Inventory(revision=0, templates={}, hosts={}, receivers={}, revisions={})
    return OrderKeeper(writer, orders, lambda: nothing, SystemClock()), orders, writer


async def test_the_same_run_asked_for_at_two_servers_at_once_is_one_order(database: Database) -> None:
    """Trial B-7: two servers order the same run; what the agent makes of it: tests/integration/agent."""
    await store_set(database)
    due_at = datetime.now(UTC).replace(microsecond=0)
    async with site_of(database) as one:
        answers = await asyncio.gather(*(ask(one, due_at) for _ in range(8)))
        assert {(status, found["id"]) for status, found in answers} == {(202, answers[0][1]["id"])}
        status, other = await ask(one, due_at + timedelta(seconds=1))
        assert (status, other["error"]["code"]) == (409, "run_under_way")  # a set has one open order
        status, wrong = await ask(one, due_at + timedelta(hours=1))
        assert (status, wrong["error"]["code"]) == (400, "bad_instant")
    async with database.connection() as connection:
        cursor = await connection.execute("SELECT count(*) FROM backup_order")
        assert await cursor.fetchone() == (1,)
        cursor = await connection.execute("SELECT count(*) FROM audit WHERE action = 'backup.run'")
        assert await cursor.fetchone() == (1,)


async def test_an_order_is_told_under_the_epoch_that_claimed_it_and_a_server_that_was_replaced_tells_none(
    database: Database, database_options: DatabaseOptions
) -> None:
    await store_set(database)
    async with site_of(database) as site:
        _, made = await ask(site)
    first, told, old_writer = await reign(database_options)
    assert told.amended("db1", {"version": 1}) == {"version": 1}
    await first.look()
    (entry,) = told.amended("db1", {"version": 1})["backup_runs"]
    assert (entry["set"], datetime.fromisoformat(entry["due_at"])) == ("files", datetime.fromisoformat(made["due_at"]))
    assert told.amended("db2", {"version": 1}) == {"version": 1}
    second, now_told, new_writer = await reign(database_options)
    with pytest.raises(Fenced):
        await first.look()
    await second.look()
    assert now_told.amended("db1", {})["backup_runs"] == [entry]  # the same id: the agent runs it once
    await old_writer.close()
    await new_writer.close()


async def test_what_the_host_answers_is_the_orders_state_until_it_has_ended(
    database: Database, database_options: DatabaseOptions
) -> None:
    host = await store_set(database)
    keeper, orders, writer = await reign(database_options)
    async with site_of(database) as site:

        async def said(state: str, seconds: int, note: str = "") -> tuple[str, str, str | None]:
            at_us = SystemClock().now_us() + seconds * 1_000_000
            await store_text(database, host, "backup.order[files]", at_us, f"{due} {state} {note}".strip())
            await keeper.look()
            newest = (await site.get("/backups/db1/files/runs"))["runs"][0]
            return newest["state"], newest["note"], newest["phase"]

        due = datetime.fromisoformat((await ask(site))[1]["due_at"]).isoformat()
        await keeper.look()
        await store_text(database, host, "backup.phase[files]", SystemClock().now_us(), "comparing")
        assert await said("started", 0) == ("started", "", "comparing")
        async with site.browser.delete(site.api("/backups/db1/files/runs/1")) as answer:
            assert (answer.status, (await answer.json())["cancelled_by"]) == (202, "admin")
        await keeper.look()
        assert orders.amended("db1", {})["backup_runs"][0]["is_cancelled"] is True
        assert await said("cancelled", 1, "it was cancelled") == ("cancelled", "it was cancelled", None)
        assert orders.amended("db1", {}) == {}
        assert (await said("ok", 2))[0] == "cancelled"  # what has ended stays ended
        status, again = await ask(site, datetime.fromisoformat(due) + timedelta(seconds=5))
        assert (status, again["state"]) == (202, "ordered")  # the set is free again
    await writer.close()


async def test_an_order_nobody_answers_expires_and_blocks_the_set_no_longer(
    database: Database, database_options: DatabaseOptions
) -> None:
    await store_set(database)
    keeper, orders, writer = await reign(database_options)
    async with site_of(database) as site:
        await ask(site)
        async with database.connection() as connection:
            await connection.execute("UPDATE backup_order SET expires_at = now() - interval '2 minutes'")
        await keeper.look()
        (run,) = (await site.get("/backups/db1/files/runs"))["runs"]
        assert (run["state"], run["note"]) == ("expired", "its host did not answer")
        assert orders.amended("db1", {}) == {}
    await writer.close()


async def test_viewers_watch_runs_and_order_none(database: Database) -> None:
    await store_set(database)
    async with site_of(database) as site:
        headers = await sign_in_new(site, "looker", "viewer")
        async with site.stranger.post(site.api("/backups/db1/files/runs"), json={}, headers=headers) as answer:
            assert answer.status == 403
        async with site.stranger.get(site.api("/backups/db1/files/runs"), headers=headers) as answer:
            assert (answer.status, await answer.json()) == (200, {"runs": []})
