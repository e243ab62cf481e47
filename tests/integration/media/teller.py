"""What an active server runs to tell of problems, as a process of its own to be killed: teller.py DSN SECRETS."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from server.store.database import Database, DatabaseOptions
from server.store.lease import take
from server.store.transaction import Writer
from tests.integration.media.escalating import read_audience, telling


async def main(dsn: str, secrets: Path) -> None:
    """Take the lease over, as from a server that is dead, and tell until killed."""
    options = DatabaseOptions(dsn=dsn, server="teller")
    async with Database(options) as database:
        async with database.connection() as connection:
            await connection.execute("UPDATE lease_heartbeat SET at = '-infinity'")
        lease = await take(options, endpoint="here")
        assert lease is not None
        writer = Writer(options, lease.epoch)
        async with telling(writer, await read_audience(database), secrets):
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
