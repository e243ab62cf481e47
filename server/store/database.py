"""Connections to the database: few, named, and no use of one ever waits without a bound.

A frozen database (SIGSTOP, a hung disk) acknowledges TCP and answers nothing, so neither keepalives nor
statement_timeout end a wait for it: every use of a connection runs under a watchdog that shuts the socket down.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import socket
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import psycopg
from psycopg.conninfo import make_conninfo

from core.runtime.cancellation import honour_cancellation
from server.store.columns import register_columns
from server.store.errors import StoreAway, StoreBusy, StoreError, StoreFull, translated

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from datetime import datetime
    from types import TracebackType
    from typing import Self


Connection = psycopg.AsyncConnection[Any]
_log = logging.getLogger(__name__)

# A silent peer is given up after 2 s and three probes of 1 s, unacknowledged data after 5 s;
# the same is set at the other end.
_CLIENT_TCP = {
    "keepalives": 1,
    "keepalives_idle": 2,
    "keepalives_interval": 1,
    "keepalives_count": 3,
    "tcp_user_timeout": 5000,
}
_SERVER_TCP = {
    "tcp_keepalives_idle": "2",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "5000",
}
MAX_NAME_CHARACTERS = 40
"""PostgreSQL cuts application_name at 63 bytes; the epoch behind the server's name has to survive that."""


@dataclass(frozen=True, kw_only=True)
class DatabaseOptions:
    """Where the database is, under which server's name we connect, and how long anything may take."""

    dsn: str
    server: str
    max_connections: int = 6
    connect_timeout_seconds: float = 3.0
    statement_timeout_seconds: float = 30.0
    lock_timeout_seconds: float = 5.0
    idle_in_transaction_timeout_seconds: float = 20.0

    def __repr__(self) -> str:
        return f"DatabaseOptions(server={self.server!r})"  # the DSN carries a password


@dataclass(frozen=True, slots=True)
class Backend:
    """A server process that served a connection: a process id alone may come back, with its start it does not."""

    pid: int
    started_at: datetime


def application_name(server: str, purpose: str) -> str:
    """Return the name under which a connection shows in pg_stat_activity: `watchkeep/<server>/<purpose or epoch>`."""
    plain = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in server)
    return f"watchkeep/{plain.encode('ascii', 'replace').decode()[:MAX_NAME_CHARACTERS]}/{purpose}"


class Database:
    """A bounded set of connections under one application name; safe for use by many tasks of one event loop."""

    def __init__(self, options: DatabaseOptions, purpose: str = "read") -> None:
        self._options = options
        self._name = application_name(options.server, purpose)
        self._conninfo = make_conninfo(options.dsn, application_name=self._name, **_CLIENT_TCP)
        self._idle: list[Connection] = []
        self._slots = asyncio.Semaphore(options.max_connections)
        self._is_closed = False
        self._backends: WeakKeyDictionary[Connection, Backend] = WeakKeyDictionary()

    @property
    def options(self) -> DatabaseOptions:
        """The options this was made with."""
        return self._options

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close idle connections; those in use are closed when they come back."""
        self._is_closed = True
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.close()

    @asynccontextmanager
    async def connection(self, timeout_seconds: float = 10.0) -> AsyncIterator[Connection]:
        """Lend a connection in autocommit mode; the whole use, waiting for it included, ends within the timeout.

        Raises StoreAway when the database cannot be reached or does not answer, StoreBusy when all connections are
        in use. Errors of statements come out as the store's. A connection that failed, or that was left inside a
        transaction or a COPY, is closed and not used again. On cancellation it is closed too.
        """
        if self._is_closed:
            raise StoreAway("this server's connections to the database are closed")
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        try:
            # Not wait_for: in Python 3.11 it loses a cancellation that comes as the wait ends (python/cpython#86296).
            async with asyncio.timeout(timeout_seconds):
                await self._slots.acquire()
        except TimeoutError:
            raise StoreBusy(
                f"all {self._options.max_connections} connections to the database were busy for {timeout_seconds} s"
            ) from None
        connection: Connection | None = None
        is_sound = False
        try:
            with translated():
                connection = self._take_idle() or await self._connect()
                with watchdog(connection, max(deadline - loop.time(), 0.1)):
                    yield connection
                honour_cancellation()
            is_sound = True
        except StoreAway as error:
            honour_cancellation()
            if not isinstance(error, StoreBusy | StoreFull):
                await self._drop_idle()  # what broke one connection broke the others
            raise
        except StoreError:
            raise
        except Exception:
            is_sound = True  # the caller's own matter
            raise
        finally:
            self._slots.release()
            if connection is not None:
                await self._give_back(connection, is_sound=is_sound)

    async def backend(self, connection: Connection) -> Backend:
        """Return which server process serves a connection lent by `connection`; asked once in its life."""
        if connection not in self._backends:
            self._backends[connection] = await backend_of(connection)
        return self._backends[connection]

    async def dedicated(self, *, may_be_idle: bool = False) -> Connection:
        """Return a connection outside the set, in autocommit mode; the caller closes it. Raises StoreAway.

        may_be_idle: one of the set will do, if one is idle; the set forgets it.
        """
        with translated():
            idle = self._take_idle() if may_be_idle else None
            return idle or await self._connect()

    async def warm(
        self, count: int, look: Callable[[Connection], Awaitable[None]] | None = None, timeout_seconds: float = 3.0
    ) -> None:
        """Have at least `count` connections idle, each of the new ones having had a `look`. Raises StoreAway."""
        while len(self._idle) < min(count, self._options.max_connections) and not self._is_closed:
            with translated():
                connection = await self._connect()
                is_sound = False
                try:
                    with watchdog(connection, timeout_seconds):
                        await self.backend(connection)
                        if look is not None:
                            await look(connection)
                    is_sound = True
                finally:
                    await self._give_back(connection, is_sound=is_sound)

    async def _connect(self) -> Connection:
        limit = self._options.connect_timeout_seconds
        try:
            async with asyncio.timeout(limit):
                connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
        except TimeoutError:
            raise StoreAway(f"the database did not answer a connection attempt within {limit} s") from None
        try:
            register_columns(connection)
            with watchdog(connection, limit):
                await connection.execute(
                    "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS u (name, value)",
                    self._settings(connection),
                )
        except BaseException:  # cancelled too: nobody else knows of this connection yet
            connection.pgconn.finish()
            raise
        return connection

    def _settings(self, connection: Connection) -> tuple[list[str], list[str]]:
        options = self._options
        settings = {
            "statement_timeout": f"{options.statement_timeout_seconds * 1000:.0f}",
            "lock_timeout": f"{options.lock_timeout_seconds * 1000:.0f}",
            "idle_in_transaction_session_timeout": f"{options.idle_in_transaction_timeout_seconds * 1000:.0f}",
            "timezone": "UTC",
        }
        if not connection.info.host.startswith("/"):
            settings |= _SERVER_TCP  # a Unix socket has none of these, and says so in the server's log
        return list(settings), list(settings.values())

    def _take_idle(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed and not _has_something_to_read(connection):
                return connection
            connection.pgconn.finish()  # an idle connection with something to read was told goodbye
        return None

    async def _give_back(self, connection: Connection, *, is_sound: bool) -> None:
        is_idle = connection.pgconn.transaction_status == psycopg.pq.TransactionStatus.IDLE
        if not is_idle and is_sound:
            _log.error("a connection came back inside a transaction and was closed", extra={"connection": self._name})
        if is_sound and is_idle and not connection.closed and not self._is_closed:
            self._idle.append(connection)
        else:
            await connection.close()

    async def _drop_idle(self) -> None:
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.close()


@contextmanager
def watchdog(connection: Connection, seconds: float) -> Iterator[None]:
    """Shut the connection's socket down when the block takes longer.

    The waiting statement then fails: StoreAway that names the bound.
    """
    own = socket.socket(fileno=os.dup(connection.fileno()))  # a descriptor of ours: no number is ever reused under us
    has_bitten = False

    def bite() -> None:
        nonlocal has_bitten
        has_bitten = True
        with suppress(OSError):  # it had gone by itself
            own.shutdown(socket.SHUT_RDWR)

    timer = asyncio.get_running_loop().call_later(seconds, bite)
    try:
        yield
    except psycopg.OperationalError as error:
        if has_bitten:
            raise StoreAway(f"the database did not answer within {seconds:.1f} s") from error
        raise
    finally:
        timer.cancel()
        own.close()


def _has_something_to_read(connection: Connection) -> bool:
    readable, _, _ = select.select([connection.fileno()], [], [], 0)
    return bool(readable)


async def backend_of(connection: Connection) -> Backend:
    """Return which server process serves this connection."""
    cursor = await connection.execute("SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()")
    row = await cursor.fetchone()
    assert row is not None  # noqa: S101 - a backend always sees itself
    return Backend(row[0], row[1])
