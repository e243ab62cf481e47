"""A lease holder as a process of its own, to be frozen and killed from outside: `python -m … MODE DSN SERVER`.

Takes the lease, then per MODE: `stall` opens a fenced transaction and sends half a COPY; `naive` does the same but
reads the epoch with a plain SELECT; `beat` only keeps the heartbeat going. Says what it did on stdout, a line each, and
ends the transaction when a line arrives on stdin.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING
from unittest.mock import patch

from server.store import transaction as store_transaction
from server.store.copying import SIGNATURE, TRAILER
from server.store.database import DatabaseOptions
from server.store.errors import StoreError
from server.store.lease import beat, take
from server.store.transaction import Writer

if TYPE_CHECKING:
    from server.store.database import Connection

ROW = b"\x00\x01\x00\x00\x00\x04kept"


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - the test reads this process's stdout


async def stall(writer: Writer) -> None:
    """Store half of a COPY, wait for a line on stdin, then try to finish and commit."""
    try:
        async with writer.transaction(timeout_seconds=100) as connection:
            await copy_slowly(connection)
        say("committed")
    except StoreError as error:
        say(f"refused {type(error).__name__}")
    try:
        async with writer.transaction() as connection:
            await connection.execute("INSERT INTO written (name) VALUES ('again')")
        say("committed again")
    except StoreError as error:
        say(f"refused {type(error).__name__}")


async def copy_slowly(connection: Connection) -> None:
    async with (
        connection.cursor() as cursor,
        cursor.copy("COPY written (name) FROM STDIN (FORMAT BINARY)") as copy,
    ):
        await copy.write(SIGNATURE + ROW)
        say("stalled")
        await asyncio.to_thread(sys.stdin.readline)
        await copy.write(ROW + TRAILER)


async def keep_beating(writer: Writer) -> None:
    while True:
        try:
            async with writer.database.connection(2.0) as connection:
                await beat(connection, writer.epoch)
            say("beat")
        except StoreError as error:
            say(f"refused {type(error).__name__}")
            return
        await asyncio.sleep(0.2)


async def main(mode: str, dsn: str, server: str) -> None:
    # What it is to fail by is the fence, not a busy machine.
    options = DatabaseOptions(
        dsn=dsn, server=server, connect_timeout_seconds=30.0, statement_timeout_seconds=100.0,
        idle_in_transaction_timeout_seconds=100.0,
    )  # fmt: skip
    lease = await take(options, endpoint=server)
    assert lease is not None
    writer = Writer(options, lease.epoch)
    say(f"took {lease.epoch}")
    lock = "SELECT epoch FROM lease" if mode == "naive" else store_transaction.LOCK_EPOCH
    with patch.object(store_transaction, "LOCK_EPOCH", lock):
        await (keep_beating(writer) if mode == "beat" else stall(writer))
    await writer.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
