"""Keeps the store in shape while this server is active: open slices ahead of time, pack closed ones, drop old ones."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from core.runtime.logging import Log
from server.inventory.keeping import write_default
from server.store.errors import StoreAway
from server.store.instants import to_datetime
from server.store.inventory import read_items
from server.store.packing import pack_closed_slices
from server.store.retention import ItemRetention, RetentionPolicy, expire, expire_items
from server.store.slices import ensure_open_slices

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from core.runtime.clock import Clock
    from core.runtime.counters import Counters
    from server.inventory.keep import Retention
    from server.store.transaction import Writer

log = Log("maintenance")

ROUND_SECONDS: Final = 60.0
ITEMS_SECONDS: Final = 3600.0
"""How often items' own retention is looked at: whole hours go, so more often would find nothing."""
CERTAIN_SECONDS: Final = 600.0
"""Nothing is dropped for its age while the clocks of server and database differ by more: one of them is wrong."""


async def maintain(
    writer: Writer,
    clock: Clock,
    counters: Counters,
    retention: Retention,
    skew_seconds: Callable[[], float] = lambda: 0.0,
) -> None:
    """Work in rounds until cancelled; what could not be done goes on in the next. Raises Fenced."""
    next_items = 0.0
    while True:
        now = to_datetime(clock.now_us())
        is_certain = abs(skew_seconds()) <= CERTAIN_SECONDS
        try:
            async with writer.database.connection() as connection:
                await ensure_open_slices(connection, now)
            packed = await pack_closed_slices(writer, now)
            counters.add("maintenance.packed_values", packed.values)
            if not is_certain:
                counters.add("maintenance.postponed")
                log.warning("nothing is dropped while the clocks disagree", skew_seconds=round(skew_seconds()))
            else:
                await _expire_slices(writer, retention, now)
                if clock.monotonic() >= next_items:
                    counters.add("maintenance.expired_item_hours", await _expire_items(writer, retention, now))
                    next_items = clock.monotonic() + ITEMS_SECONDS
        except StoreAway as error:
            counters.add("maintenance.postponed")
            log.warning("maintenance is postponed", error=error)
        await clock.sleep(ROUND_SECONDS)


async def _expire_slices(writer: Writer, retention: Retention, now: datetime) -> None:
    """Drop whole what is past the longest retention of all."""
    longest = retention.longest()
    await expire(writer, RetentionPolicy(history=longest.history, trends=longest.trends), now)


async def _expire_items(writer: Writer, retention: Retention, now: datetime) -> int:
    async with writer.transaction() as transaction:
        await write_default(transaction, retention.default)
    async with writer.database.connection(60.0) as connection:
        items = [(item.id, item.host, item.key) for item in await read_items(connection)]
    kept = await asyncio.to_thread(retention.differing, items)
    rules = [
        ItemRetention(item_id=item, history=keep.history, trends=keep.trends, samples=keep.samples)
        for item, keep in kept.items()
    ]
    return (await expire_items(writer, rules, now)).item_hours
