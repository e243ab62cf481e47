"""Late fsync at a source: what is acknowledged soon never needs one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.runtime.clock import Clock
    from core.spool.spool import Spool


async def keep_synced(spool: Spool, clock: Clock, after_seconds: float = 3.0) -> None:
    """Until cancelled, fsync what is neither acknowledged nor fsynced `after_seconds` after it was appended."""
    raise NotImplementedError
