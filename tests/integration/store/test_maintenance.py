from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from core.runtime.clock import SystemClock
from core.runtime.counters import Counters
from server.inventory.effective import Inventory
from server.inventory.keep import Keep, Retention
from server.inventory.keeping import read_retention
from server.inventory.model import HostDefinition
from server.maintenance import maintain
from server.store.backfill import backfill_samples
from server.store.history import read_samples
from server.store.instants import to_us
from server.store.inventory import ItemDeclaration, ensure_hosts, ensure_items
from server.store.samples import Samples
from tests.support.waiting import until

if TYPE_CHECKING:
    from server.store.database import Database
    from server.store.transaction import Writer

DAY = timedelta(days=1)


async def test_the_active_server_keeps_each_item_as_long_as_its_host_says(database: Database, writer: Writer) -> None:
    now = datetime.now(UTC)
    async with database.connection() as connection:
        host = (await ensure_hosts(connection, ["db1"]))["db1"]
        ensured = await ensure_items(
            connection, [ItemDeclaration(host_id=host, key=key) for key in ("long", "as.usual")]
        )
        items = list(ensured.ids.values())
        days = [90, 60, 40, 20, 1]
        at_us = np.array([to_us(now - day * DAY) for day in days] * 2)
        values = np.arange(10.0)
        await backfill_samples(
            connection,
            Samples(items=np.repeat(np.array(items, np.int32), 5), at_us=at_us, values=values, late=values > 99),
        )
    defined = HostDefinition.model_validate(
        {"kind": "host", "name": "db1", "retention": [{"items": "long", "history": "70d"}]}
    )
    inventory = Inventory(revision=3, templates={}, hosts={"db1": defined}, receivers={}, revisions={})
    default = Keep(history=31 * DAY, trends=700 * DAY)
    counters = Counters()
    maintaining = asyncio.create_task(
        maintain(writer, SystemClock(), counters, Retention(default=default, inventory=lambda: inventory))
    )
    try:
        await until(lambda: counters.get("maintenance.expired_item_hours") > 0)
    finally:
        maintaining.cancel()
        with suppress(asyncio.CancelledError):
            await maintaining
    async with database.connection() as connection:
        kept = await read_samples(connection, items, now - 100 * DAY, now)
        told = (await read_retention(connection)).default
    by_key = {key: kept.of_item(item).values.tolist() for (_, key), item in ensured.ids.items()}
    first = {key: 5.0 * items.index(item) for (_, key), item in ensured.ids.items()}
    assert by_key == {
        "long": [first["long"] + place for place in (1, 2, 3, 4)],
        "as.usual": [first["as.usual"] + place for place in (3, 4)],
    }
    assert told == default
