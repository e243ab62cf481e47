"""What can go wrong with the store, told apart by what the caller should do."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
from psycopg import errors as sql

if TYPE_CHECKING:
    from collections.abc import Iterator


class StoreError(Exception):
    """The root of this room's errors."""


class StoreAway(StoreError):
    """The database cannot be reached or stopped answering: a passing fault, retry with backoff.

    Whatever the transaction did is undone, unless the subclass OutcomeUnknown says otherwise.
    """


class StoreBusy(StoreAway):
    """A bounded wait for a lock, a statement or a free connection ran out; retry."""


class StoreFull(StoreAway):
    """The database's disk is full: make room on it; nothing was stored, retry keeps what is held."""


class Fenced(StoreError):
    """Another server holds the lease: this one must stop writing and commanding, for good in this epoch."""


class StoreRefused(StoreError):
    """The database refuses the data itself (a value, a reference, a constraint): do not retry it as it is."""


# Passing faults of a server that is alive: it shuts down, starts, fails over, or runs out of connections or memory.
_AWAY = (
    sql.AdminShutdown, sql.CrashShutdown, sql.CannotConnectNow, sql.IdleInTransactionSessionTimeout,
    sql.DatabaseDropped, sql.TooManyConnections, sql.OutOfMemory, sql.ReadOnlySqlTransaction, sql.IoError,
)  # fmt: skip
_BUSY = (sql.LockNotAvailable, sql.QueryCanceled, sql.DeadlockDetected, sql.SerializationFailure)


def translate(error: psycopg.Error) -> StoreError:
    """Return the store's error for the driver's one; the caller raises it `from` the original."""
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, sql.DiskFull):
        return StoreFull(
            f"the database's disk is full ({text}): make room in its data folder, then it goes on by itself"
        )
    if isinstance(error, _BUSY):
        return StoreBusy(f"the database did not finish in time: {text}")
    if isinstance(error, _AWAY):
        return StoreAway(f"the database is not available: {text}")
    if isinstance(error, psycopg.DataError | psycopg.IntegrityError | sql.ProgramLimitExceeded):
        return StoreRefused(f"the database refuses the data: {text}")
    if isinstance(error, psycopg.OperationalError) or (isinstance(error, psycopg.Error) and error.sqlstate is None):
        return StoreAway(f"the connection to the database failed: {text}")
    return StoreError(f"the database reports: {text}")


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into the store's; bugs (syntax, unknown columns) stay what they are."""
    try:
        yield
    except (psycopg.errors.SyntaxErrorOrAccessRuleViolation, psycopg.ProgrammingError) as error:
        if not isinstance(error, sql.LockNotAvailable | sql.InsufficientPrivilege):
            raise
        raise translate(error) from error
    except psycopg.Error as error:
        raise translate(error) from error
