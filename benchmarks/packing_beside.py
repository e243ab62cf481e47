"""Closed hours of hot history for a running site, so that its server packs while it stores."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from benchmarks.host_values import ITEMS_A_HOST, host
from benchmarks.storage import ROUNDS, store_hot
from server.store.database import Database
from server.store.instants import HOUR_US, to_us
from server.store.lease import release, take
from server.store.slices import BATCHES, ensure_open_slices, ensure_slices
from server.store.transaction import Writer

if TYPE_CHECKING:
    from server.store.database import DatabaseOptions

WAIT_SECONDS: Final = 150.0
"""Maintenance looks once a minute."""
CLOSE = "UPDATE history_batch SET stored_at = stored_at - %s WHERE stored_at < %s"
# Packing holds this lock on the slice it reads, from its first statement to its COMMIT.
IS_PACKING = """
SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
               WHERE l.mode = 'ShareLock' AND c.relname LIKE 'history_batch_%%'),
       (SELECT coalesce(sum(cardinality(items)), 0) FROM history_batch WHERE stored_at < %s)::int8
"""


async def fill_hour(options: DatabaseOptions, values: int) -> datetime:
    """Store so many values, at least, as hosts of a hundred items would; returns an instant after the last of them."""
    lease = await take(options, endpoint="")
    if lease is None:
        raise RuntimeError("the lease is not free")
    writer = Writer(options, lease.epoch)
    random = np.random.default_rng(1)
    hosts = [host(random, ROUNDS) for _ in range(-(-values // (ROUNDS * ITEMS_A_HOST)))]
    async with Database(options) as database:
        async with database.connection() as connection:
            await ensure_open_slices(connection, lease.taken_at)
        await store_hot(writer, hosts, to_us(datetime.now(UTC)) // HOUR_US * HOUR_US - 3 * HOUR_US)
        await writer.close()
        async with database.connection() as connection:
            cursor = await connection.execute("SELECT clock_timestamp()")
            row = await cursor.fetchone()
            await release(connection, lease.epoch)
    if row is None:
        raise RuntimeError("the database has no clock")
    filled: datetime = row[0]
    return filled


async def close_hour(database: Database, filled: datetime) -> None:
    """Move what was stored before `filled` into a slice of two hours ago, which is closed."""
    back = timedelta(hours=2)
    async with database.connection(120.0) as connection:
        await ensure_slices(connection, BATCHES, [filled - back, filled - back - timedelta(hours=1)])
        await connection.execute(CLOSE, (back, filled))


async def await_packing(database: Database, filled: datetime, *, is_begin: bool) -> int:
    """Wait until packing has begun, or until all is packed; returns how many values wait still."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        async with database.connection(30.0) as connection:
            row = await (await connection.execute(IS_PACKING, (filled - timedelta(hours=1),))).fetchone()
        if row is None:
            raise RuntimeError("the database did not answer")
        is_packing, waiting = row
        if is_packing if is_begin else waiting == 0:
            return int(waiting)
        if time.monotonic() > deadline:
            raise RuntimeError("the server did not pack in time")
        await asyncio.sleep(0.05)
