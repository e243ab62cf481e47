"""What `watchkeep doctor` asks of the database: read only, and useful however little of it is in order."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg.rows import class_row

from server.own.identity import OWN_SOURCE
from server.store.definitions import read_definitions
from server.store.gap_ledger import read_totals
from server.store.lease import read_lease
from server.store.migrate import MigrationError, missing_migrations
from server.store.slices import timescale_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.inventory.plan import StoredDefinition
    from server.store.database import Connection
    from server.store.gap_ledger import SourceTotals
    from server.store.lease import LeaseView

FACTS = "SELECT pg_database_size(current_database()), current_setting('server_version')"
CLOCK = "SELECT extract(epoch FROM clock_timestamp())::float8"
# A source is shut out when it had keys and all of them are revoked. A proxy's poller (core/security/poller.py) is left
# out: with nothing to poll it is rightly silent.
SOURCES = """
SELECT s.name,
       (SELECT extract(epoch FROM clock_timestamp() - max(r.heard_at))::float8 FROM received r
        WHERE r.source_id = s.id) AS heard_seconds_ago,
       coalesce((SELECT bool_and(k.revoked_at IS NOT NULL) FROM peer_key k WHERE k.source_id = s.id), false)
           AS is_shut_out
FROM source s WHERE s.uuid <> %(own)s AND s.uuid NOT IN (
    SELECT encode(substring(sha256('watchkeep poller'::bytea || key) FROM 1 FOR 16), 'hex')::uuid
    FROM peer_key WHERE role = 'proxy'
) ORDER BY s.name
"""
# What is held until its receiver's hours begin does not wait yet.
NOTICES = """
SELECT count(*) FILTER (WHERE is_waiting) AS waiting,
       coalesce(extract(epoch FROM clock_timestamp() - min(created_at) FILTER (WHERE is_waiting)), 0)::float8
           AS oldest_waiting_seconds,
       count(*) FILTER (WHERE failed_at > now() - interval '1 day') AS failed_today,
       (SELECT receiver || ': ' || last_error FROM outbox WHERE last_error IS NOT NULL AND sent_at IS NULL
        ORDER BY id DESC LIMIT 1) AS last_error
FROM outbox, LATERAL (SELECT sent_at IS NULL AND failed_at IS NULL AND created_at <= now() AS is_waiting) AS judged
"""
COUNT_QUARANTINE = "SELECT count(*) FROM quarantine"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceView:
    """A source and how long ago the store last got something of it; None: never."""

    name: str
    heard_seconds_ago: float | None
    is_shut_out: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NoticeView:
    """What is owed to receivers; `last_error` names the receiver whose notice is not sent."""

    waiting: int
    oldest_waiting_seconds: float
    failed_today: int
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What the tables say; only there when the migrations are current."""

    lease: LeaseView
    sources: Sequence[SourceView]
    notices: NoticeView
    quarantined_records: int
    definitions: Sequence[StoredDefinition]
    totals: Sequence[SourceTotals]


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """The database as a doctor sees it. `skew_seconds`: this machine's clock less the database's."""

    server_version: str
    timescale_version: str | None
    size_bytes: int
    skew_seconds: float
    missing_migrations: Sequence[str]
    migration_fault: str
    ledger: Ledger | None


async def diagnose(connection: Connection) -> Diagnosis:
    """Read everything; the tables only when this version knows them. Raises the store's errors."""
    skew_seconds = await _read_skew(connection)
    facts = await (await connection.execute(FACTS)).fetchone()
    assert facts is not None  # noqa: S101 - a SELECT without FROM has one row
    missing: list[str] = []
    fault = ""
    try:
        missing = await missing_migrations(connection)
    except MigrationError as error:
        fault = str(error)
    return Diagnosis(
        server_version=str(facts[1]).split()[0],
        timescale_version=await timescale_version(connection),
        size_bytes=facts[0],
        skew_seconds=skew_seconds,
        missing_migrations=missing,
        migration_fault=fault,
        ledger=None if missing or fault else await _read_ledger(connection),
    )


async def _read_skew(connection: Connection) -> float:
    """Compare the clocks; right within half the way there and back."""
    before = time.time()
    row = await (await connection.execute(CLOCK)).fetchone()
    after = time.time()
    assert row is not None  # noqa: S101 - a SELECT without FROM has one row
    return (before + after) / 2 - float(row[0])


async def _read_ledger(connection: Connection) -> Ledger:
    async with connection.cursor(row_factory=class_row(SourceView)) as cursor:
        sources = await (await cursor.execute(SOURCES, {"own": OWN_SOURCE})).fetchall()
    async with connection.cursor(row_factory=class_row(NoticeView)) as notice_cursor:
        notices = await (await notice_cursor.execute(NOTICES)).fetchone()
    row = await (await connection.execute(COUNT_QUARANTINE)).fetchone()
    assert notices is not None  # noqa: S101 - aggregates have one row
    assert row is not None  # noqa: S101
    return Ledger(
        lease=await read_lease(connection),
        sources=sources,
        notices=notices,
        quarantined_records=row[0],
        definitions=await read_definitions(connection),
        totals=await read_totals(connection),
    )
