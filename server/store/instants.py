"""Instants as the store's columns carry them: µs since 1970 UTC, and as PostgreSQL's binary format does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

HOUR_US = 3_600_000_000
POSTGRES_EPOCH_US = 946_684_800_000_000
"""PostgreSQL's binary timestamps count µs from 2000-01-01 UTC; this is that instant in µs since 1970."""


def to_us(at: datetime) -> int:
    """Return an aware instant as µs since 1970 UTC, exact."""
    return (at - EPOCH) // _MICROSECOND


def to_datetime(at_us: int) -> datetime:
    """Return µs since 1970 UTC as an aware instant, exact."""
    return EPOCH + timedelta(microseconds=at_us)
