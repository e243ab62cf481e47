"""The lease: one server is active, under an epoch that grows at each takeover.

Decided by the database's clock alone. Before it raises the epoch, the taker terminates every connection that carries
an older or equal epoch in its name, and again whenever the lease row is still locked: the old holder may be frozen
inside a transaction, and one of its connections may have been opened in between.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg

from server.store.database import Database, watchdog
from server.store.errors import Fenced, StoreBusy, translated

if TYPE_CHECKING:
    from datetime import datetime

    from server.store.database import Connection, DatabaseOptions

READ = r"""
SELECT l.epoch, l.holder, l.endpoint, l.taken_at, l.released_at IS NOT NULL,
       extract(epoch FROM clock_timestamp() - h.at)::float8, extract(epoch FROM h.at)::float8,
       (extract(epoch FROM clock_timestamp()) * 1000000)::int8,
       EXISTS (SELECT FROM pg_stat_activity a WHERE a.datname = current_database()
               AND a.application_name ~ '^watchkeep/[^/]*/[0-9]{1,18}$'
               AND split_part(a.application_name, '/', 3)::int8 = l.epoch)
FROM lease l CROSS JOIN lease_heartbeat h
"""
BEAT = "UPDATE lease_heartbeat SET at = clock_timestamp() WHERE epoch = %s"
# One role for all servers is enough: pg_terminate_backend wants the same role, not a superuser.
TERMINATE_WRITERS = r"""
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
  AND application_name ~ '^watchkeep/[^/]*/[0-9]{1,18}$'
  AND split_part(application_name, '/', 3)::int8 <= %s
"""
LOCK_LEASE = "SELECT epoch, released_at IS NOT NULL FROM lease FOR UPDATE"
LOCK_HEARTBEAT = "SELECT clock_timestamp() - at > %s * interval '1 second' FROM lease_heartbeat FOR UPDATE"
RAISE_EPOCH = """
UPDATE lease SET epoch = epoch + 1, holder = %s, endpoint = %s, taken_at = clock_timestamp(), released_at = NULL
RETURNING epoch, taken_at
"""
FIRST_BEAT = "UPDATE lease_heartbeat SET epoch = %s, at = clock_timestamp()"
RELEASE = "UPDATE lease SET released_at = clock_timestamp() WHERE epoch = %s AND released_at IS NULL"
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '500ms'"

DEFAULT_STALE_AFTER_SECONDS = 3.0
_LAST_ROUND_SECONDS = 0.8  # a round waits half a second for the lock


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseView:
    """Who is active. `heartbeat_age_seconds` is by the database's clock; infinite before the first heartbeat.

    `heartbeat_at` is when it came (seconds since 1970, the database's clock); `is_holder_connected`: a connection of
    this epoch's writers is open; `seen_at_us`: the database's clock as it answered.
    """

    epoch: int
    holder: str
    endpoint: str
    taken_at: datetime
    is_released: bool
    heartbeat_age_seconds: float
    heartbeat_at: float = float("-inf")
    is_holder_connected: bool = True
    seen_at_us: int = 0

    def is_free(self, stale_after_seconds: float = DEFAULT_STALE_AFTER_SECONDS) -> bool:
        """Tell whether a standby may take over."""
        return self.is_released or self.heartbeat_age_seconds > stale_after_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Held by this server from `taken_at` (the database's clock) until someone raises the epoch."""

    epoch: int
    holder: str
    endpoint: str
    taken_at: datetime


async def read_lease(connection: Connection) -> LeaseView:
    """Return the state of the lease."""
    row = await (await connection.execute(READ)).fetchone()
    assert row is not None  # noqa: S101 - both rows are made by the migration
    return LeaseView(
        epoch=row[0],
        holder=row[1],
        endpoint=row[2],
        taken_at=row[3],
        is_released=row[4],
        heartbeat_age_seconds=row[5],
        heartbeat_at=row[6],
        seen_at_us=row[7],
        is_holder_connected=row[8],
    )


async def beat(connection: Connection, epoch: int) -> None:
    """Renew the heartbeat of our epoch. Raises Fenced when another server has taken over."""
    if (await connection.execute(BEAT, (epoch,))).rowcount != 1:
        raise Fenced(f"this server's epoch {epoch} is over: the heartbeat belongs to another")


async def release(connection: Connection, epoch: int) -> bool:
    """Hand over: the next standby that looks takes the lease at once. False when it is not ours any more.

    Waits for our own open transactions, so close the writer first.
    """
    return (await connection.execute(RELEASE, (epoch,))).rowcount == 1


async def take(
    options: DatabaseOptions,
    *,
    endpoint: str,
    stale_after_seconds: float = DEFAULT_STALE_AFTER_SECONDS,
    timeout_seconds: float = 10.0,
    database: Database | None = None,
) -> Lease | None:
    """Take the lease when its holder is silent for `stale_after_seconds` or has released it; None: it is not free.

    Terminates the old holder's connections first, frozen or not. Raises StoreAway; StoreBusy after `timeout_seconds`
    when something that is not ours to terminate kept the lease row locked; nothing has changed then. A `database` of
    the taker's own may have a connection ready.
    """
    database = database or Database(options, purpose="taker")
    connection = await database.dedicated(may_be_idle=True)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_seconds
    try:
        with translated(), watchdog(connection, timeout_seconds):
            view = await read_lease(connection)
            while view.is_free(stale_after_seconds):
                await connection.execute(TERMINATE_WRITERS, (view.epoch,))
                try:
                    return await _raise_epoch(connection, options.server, endpoint, stale_after_seconds)
                except psycopg.errors.LockNotAvailable as error:
                    if loop.time() + _LAST_ROUND_SECONDS > deadline:
                        raise StoreBusy(
                            f"the lease row was locked for {timeout_seconds} s by a connection that is no server's: "
                            "look for it in pg_stat_activity"
                        ) from error
                view = await read_lease(connection)
            return None
    finally:
        await connection.close()


async def _raise_epoch(connection: Connection, server: str, endpoint: str, stale_after_seconds: float) -> Lease | None:
    """Raise the epoch unless someone was faster or the holder has come back; LockNotAvailable after half a second."""
    async with connection.transaction():
        await connection.execute(LOCK_TIMEOUT)
        lease_row = await _one_row(connection, LOCK_LEASE)
        heartbeat_row = await _one_row(connection, LOCK_HEARTBEAT, stale_after_seconds)
        if not (lease_row[1] or heartbeat_row[0]):
            return None
        epoch, taken_at = await _one_row(connection, RAISE_EPOCH, server, endpoint)
        await connection.execute(FIRST_BEAT, (epoch,))
        return Lease(epoch=epoch, holder=server, endpoint=endpoint, taken_at=taken_at)


async def _one_row(connection: Connection, statement: str, *parameters: Any) -> tuple[Any, ...]:
    row = await (await connection.execute(statement, parameters)).fetchone()
    assert row is not None  # noqa: S101 - the single-row tables have their row
    return tuple(row)
