"""The database of a local installation: started first, kept running, stopped last."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, NoReturn

from core.runtime.logging import Log
from server.store.embedded import EmbeddedPostgres
from server.store.errors import StoreError
from watchkeep.up.faults import UpError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from watchkeep.up.layout import Layout

log = Log("up")

LOOK_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 30.0


@asynccontextmanager
async def running_database(layout: Layout) -> AsyncIterator[EmbeddedPostgres]:
    """The embedded database, running; shut down at the end. Raises UpError."""
    postgres = EmbeddedPostgres(layout.postgres)
    try:
        await asyncio.to_thread(postgres.start)
    except (StoreError, OSError) as error:
        raise UpError(f"the database did not start: {error}") from error
    try:
        yield postgres
    finally:
        await asyncio.shield(asyncio.to_thread(postgres.stop))


async def keep_database(postgres: EmbeddedPostgres) -> NoReturn:
    """Start the database again, at the same port, whenever its process is gone, until cancelled."""
    pause = LOOK_SECONDS
    while True:
        await asyncio.sleep(pause)
        if postgres.is_alive():
            pause = LOOK_SECONDS
            continue
        log.error("the database ended and is started again", log=postgres.folder / "logs")
        starting = asyncio.ensure_future(asyncio.to_thread(postgres.start))
        try:
            await asyncio.shield(starting)
        except asyncio.CancelledError:
            await asyncio.wait([starting])  # only what has finished starting can be stopped
            raise
        except (StoreError, OSError) as error:
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            log.error("the database does not start; trying again", error=error, pause=pause)
