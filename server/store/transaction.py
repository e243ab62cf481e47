"""The fenced transaction: nothing is written by a server that does not hold the lease.

Invariant: a transaction that commits held a share lock on the lease row of its own epoch from its first statement to
its COMMIT. The taker of the lease updates that row, so it waits for such a transaction, or terminates it, before the
epoch grows. A plain SELECT would let the old holder commit after the takeover (tests/integration/store/test_fence.py
shows both).
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import psycopg

from server.store.database import Database
from server.store.errors import Fenced, StoreAway, StoreBusy
from server.store.received import read_received

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from server.store.database import Backend, Connection, DatabaseOptions
    from server.store.received import Received

LOCK_EPOCH = "SELECT epoch FROM lease FOR SHARE"
FIND_BACKEND = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND backend_start = %s"
TERMINATE_BACKEND = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = %s AND backend_start = %s"
_LOOK_AGAIN_SECONDS = 0.05


class OutcomeUnknown(StoreAway):
    """The connection broke between COMMIT and its answer: ask `settle_outcome` before anything is repeated."""

    def __init__(self, backend: Backend) -> None:
        super().__init__("the connection to the database broke during COMMIT; whether it committed is not known yet")
        self.backend = backend


class Writer:
    """The active server's connections in one epoch; every one of them carries the epoch in its name.

    The taker of the lease finds these connections by that name and terminates them.
    """

    def __init__(self, options: DatabaseOptions, epoch: int) -> None:
        self.epoch = epoch
        self._database = Database(options, purpose=str(epoch))

    @property
    def database(self) -> Database:
        """The connections themselves, for statements that need no fence."""
        return self._database

    async def close(self) -> None:
        """Close the connections."""
        await self._database.close()

    @asynccontextmanager
    async def transaction(self, timeout_seconds: float = 20.0) -> AsyncIterator[Connection]:
        """Open a transaction that holds the lease's epoch; COMMIT at the block's end, ROLLBACK on an exception.

        Raises Fenced when another server holds the lease; OutcomeUnknown when the answer to COMMIT did not arrive;
        StoreAway, StoreBusy, StoreFull, StoreRefused with everything undone. Cancelled inside the block: undone.
        Cancelled during COMMIT: unknown, as after a kill.
        """
        async with self._database.connection(timeout_seconds) as connection:
            backend = await self._database.backend(connection)
            await connection.execute("BEGIN")
            try:
                await self._lock_epoch(connection)
                yield connection
            except BaseException:
                await _roll_back(connection)
                raise
            await _commit(connection, backend)

    async def _lock_epoch(self, connection: Connection) -> None:
        row = await (await connection.execute(LOCK_EPOCH)).fetchone()
        current = row[0] if row else None
        if current != self.epoch:
            raise Fenced(f"this server's epoch {self.epoch} is over; the lease is at epoch {current}")


async def _roll_back(connection: Connection) -> None:
    """Undo; a connection that cannot is closed by its owner, which undoes too."""
    try:
        if connection.pgconn.transaction_status != psycopg.pq.TransactionStatus.ACTIVE and not connection.closed:
            await connection.execute("ROLLBACK")
    except psycopg.Error:
        await connection.close()


async def _commit(connection: Connection, backend: Backend) -> None:
    try:
        cursor = await connection.execute("COMMIT")
    except psycopg.Error as error:
        if connection.closed or error.sqlstate is None or error.sqlstate.startswith(("57P", "08")):
            raise OutcomeUnknown(backend) from error
        raise
    if cursor.statusmessage != "COMMIT":  # PostgreSQL answers ROLLBACK when a statement of the block had failed
        raise StoreAway(f"the transaction was undone: COMMIT was answered with {cursor.statusmessage}")


async def settle_outcome(
    database: Database, backend: Backend, lives: Iterable[tuple[int, int]], timeout_seconds: float = 10.0
) -> dict[tuple[int, int], Received]:
    """Return what is stored of these (source, boot)s once the old backend can change nothing any more.

    Terminates the backend and waits until it has left pg_stat_activity; then the ranges tell whether it had
    committed. Raises StoreBusy when the backend did not go in time, StoreAway; either way ask again.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_seconds
    async with database.connection(timeout_seconds) as connection:
        while True:
            await connection.execute(TERMINATE_BACKEND, (backend.pid, backend.started_at))
            row = await (await connection.execute(FIND_BACKEND, (backend.pid, backend.started_at))).fetchone()
            if row is None or row[0] == 0:
                return await read_received(connection, lives)
            if loop.time() > deadline - 2 * _LOOK_AGAIN_SECONDS:
                raise StoreBusy(f"the old server process {backend.pid} did not go within {timeout_seconds} s")
            await asyncio.sleep(_LOOK_AGAIN_SECONDS)
