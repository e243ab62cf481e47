"""Places under a limit as the active server gives them, from what hosts said; the queue as an operator sees it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from core.runtime.clock import SystemClock
from server.inventory.effective import Inventory
from server.ordering.keeper import OrderKeeper
from server.ordering.orders import RunOrders
from server.store.definitions import read_definitions
from server.store.inventory import ItemDeclaration
from server.store.lease import take
from server.store.transaction import Writer
from tests.integration.api.data import define, store_host, store_text
from tests.integration.inventory.test_commands import watchkeep
from watchkeep.installation import Installation

if TYPE_CHECKING:
    from pathlib import Path

    from server.store.database import Database, DatabaseOptions
    from tests.integration.api.data import StoredHost

NOW = datetime.now(UTC).replace(microsecond=0)


class Hosts:
    """Two hosts whose sets `files` wait, and what was heard of them."""

    def __init__(self, database: Database, known: dict[str, StoredHost]) -> None:
        self.database = database
        self._known = known
        self._said = 0

    @classmethod
    async def make(cls, database: Database) -> Hosts:
        limit = {"kind": "limit", "name": "store", "at_once": 1, "targets": ["store"]}
        await define(database, *({"kind": "host", "name": name} for name in ("db1", "db2")), limit)
        items = [ItemDeclaration(host_id=0, key=f"backup.{name}[files]", type="text") for name in ("claim", "order")]
        return cls(database, {name: await store_host(database, name, *items) for name in ("db1", "db2")})

    async def say(self, host: str, item: str, text: str) -> None:
        self._said += 1
        at_us = SystemClock().now_us() + self._said
        await store_text(self.database, self._known[host], f"backup.{item}[files]", at_us, text)

    async def wait(self, host: str, minutes: int) -> None:
        since = (NOW - timedelta(minutes=minutes)).isoformat()
        await self.say(host, "claim", f"{since} {since} store")

    async def orders(self) -> list[tuple[Any, ...]]:
        async with self.database.connection() as connection:
            text = "SELECT host, state, claimed_epoch FROM backup_order ORDER BY id"
            return await (await connection.execute(text)).fetchall()

    async def change(self, statement: str) -> None:
        async with self.database.connection() as connection:
            await connection.execute(statement.encode())


async def reign(options: DatabaseOptions, database: Database) -> tuple[OrderKeeper, Writer]:
    lease = await take(options, endpoint="here", stale_after_seconds=0.0)
    assert lease is not None
    async with database.connection() as connection:
        inventory = Inventory.from_stored(1, await read_definitions(connection))
    writer = Writer(options, lease.epoch)
    return OrderKeeper(writer, RunOrders(), lambda: inventory, SystemClock()), writer


async def test_the_next_in_line_gets_the_place_that_comes_back_and_a_taker_over_gives_none_twice(
    database: Database, database_options: DatabaseOptions, tmp_path: Path
) -> None:
    hosts = await Hosts.make(database)
    await hosts.wait("db1", 5)
    await hosts.wait("db2", 8)
    first, old_writer = await reign(database_options, database)
    for _ in range(2):
        await first.look()
    assert await hosts.orders() == [("db2", "ordered", 1)]
    second, writer = await reign(database_options, database)
    await second.look()
    assert await hosts.orders() == [("db2", "ordered", 2)]

    Installation(dsn=database_options.dsn, url="http://127.0.0.1:1", server="one").write(tmp_path)
    (limit,) = json.loads(watchkeep(tmp_path, "backup", "queue", "--json").stdout)["limits"]
    assert (limit["taken"], limit["at_once"], limit["runs"][0]["host"]) == (1, 1, "db2")
    assert [(wait["host"], wait["sign"]) for wait in limit["waits"]] == [("db1", "waits")]
    assert "store: 1 of 1 places taken, 1 wait" in watchkeep(tmp_path, "backup", "queue").stdout

    due = (NOW - timedelta(minutes=8)).isoformat()
    await hosts.say("db2", "order", f"{due} ok")
    await second.look()  # db2 still claims what it has had, as far as is known
    assert await hosts.orders() == [("db2", "ok", 2), ("db1", "ordered", 2)]
    # A host that was not there for its place gets it again, after the others.
    await hosts.change("UPDATE backup_order SET expires_at = now() - interval '1 hour' WHERE host = 'db1'")
    await second.look()
    assert (await hosts.orders())[1:] == [("db1", "expired", 2)]
    await hosts.change("UPDATE backup_order SET ordered_at = now() - interval '1 hour'")
    await second.look()
    assert (await hosts.orders())[1:] == [("db1", "ordered", 2)]
    for each in (old_writer, writer):
        await each.close()
