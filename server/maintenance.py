"""Keeps the store in shape while this server is active: open slices ahead of time, pack closed ones, drop old ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from core.runtime.logging import Log
from server.store.errors import StoreAway
from server.store.instants import to_datetime
from server.store.packing import pack_closed_slices
from server.store.retention import RetentionPolicy, expire
from server.store.slices import ensure_open_slices

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from core.runtime.clock import Clock
    from core.runtime.counters import Counters
    from server.store.transaction import Writer

log = Log("maintenance")

ROUND_SECONDS: Final = 60.0
CERTAIN_SECONDS: Final = 600.0
"""Nothing is dropped for its age while the clocks of server and database differ by more: one of them is wrong."""


async def maintain(
    writer: Writer,
    clock: Clock,
    counters: Counters,
    retention: timedelta,
    skew_seconds: Callable[[], float] = lambda: 0.0,
) -> None:
    """Work in rounds until cancelled; what could not be done goes on in the next. Raises Fenced."""
    while True:
        now = to_datetime(clock.now_us())
        try:
            async with writer.database.connection() as connection:
                await ensure_open_slices(connection, now)
            packed = await pack_closed_slices(writer, now)
            counters.add("maintenance.packed_values", packed.values)
            if abs(skew_seconds()) <= CERTAIN_SECONDS:
                await expire(writer, RetentionPolicy(history=retention, texts=retention), now)
            else:
                counters.add("maintenance.postponed")
                log.warning("nothing is dropped while the clocks disagree", skew_seconds=round(skew_seconds()))
        except StoreAway as error:
            counters.add("maintenance.postponed")
            log.warning("maintenance is postponed", error=error)
        await clock.sleep(ROUND_SECONDS)
