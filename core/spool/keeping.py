"""Late fsync at a source: what is acknowledged soon never needs one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.runtime.logging import Log
from core.spool.faults import SpoolFault

if TYPE_CHECKING:
    from core.runtime.clock import Clock
    from core.spool.spool import Spool

log = Log("spool")


async def keep_synced(spool: Spool, clock: Clock, after_seconds: float = 3.0) -> None:
    """Until cancelled, fsync what is neither acknowledged nor fsynced `after_seconds` after it was appended.

    An fsync that fails is logged once until one succeeds again, and tried again after the same time.
    The spool must have been opened with this clock's `monotonic`.
    """
    is_failing = False
    while True:
        since = spool.oldest_unsynced_at
        # with nothing unsynced, looking again after the full time is early enough for what comes right afterwards
        wait = after_seconds if since is None else since + after_seconds - clock.monotonic()
        if wait > 0:
            await clock.sleep(wait)
            continue
        try:
            await spool.sync()
        except SpoolFault as fault:
            if not is_failing:
                log.warning("The spool cannot be made durable", error=fault)
            is_failing = True
            await clock.sleep(after_seconds)
        else:
            if is_failing:
                log.info("The spool is durable again", folder=spool.folder)
            is_failing = False
