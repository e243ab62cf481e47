"""What the health page says of the store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.store.slices import timescale_version

if TYPE_CHECKING:
    from datetime import datetime

    from server.store.database import Connection

FACTS = """
SELECT pg_database_size(current_database()), current_setting('server_version'),
       least((SELECT min(at) FROM history), (SELECT min(at) FROM history_packed)) - interval '30 minutes',
       (SELECT min(stored_at) FROM history_batch),
       (SELECT coalesce(sum(cardinality(items)), 0) FROM history_batch
        WHERE stored_at > now() - %(seconds)s * interval '1 second') / %(seconds)s::float8,
       (SELECT count(*) FROM quarantine),
       (SELECT count(*) FROM outbox WHERE sent_at IS NULL AND failed_at IS NULL)
"""
RATE_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreHealth:
    """The store's state. `values_per_second` over the last minute; `oldest_at` within about an hour, None: empty."""

    size_bytes: int
    database_version: str
    timescale_version: str | None
    oldest_at: datetime | None
    values_per_second: float
    quarantined_records: int
    waiting_notices: int


async def read_health(connection: Connection) -> StoreHealth:
    """Return the store's state; takes some milliseconds, so ask every few seconds and not per request."""
    row = await (await connection.execute(FACTS, {"seconds": RATE_SECONDS})).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    size_bytes, version, oldest_cold, oldest_hot, rate, quarantined, waiting = row
    return StoreHealth(
        size_bytes=size_bytes,
        database_version=version.split()[0],
        timescale_version=await timescale_version(connection),
        oldest_at=min((at for at in (oldest_cold, oldest_hot) if at is not None), default=None),
        values_per_second=float(rate),
        quarantined_records=quarantined,
        waiting_notices=waiting,
    )
