"""Quarantine: records that could not be stored, kept whole, counted and shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID  # noqa: TC003 - class_row and dataclass fields resolve it

from psycopg.rows import class_row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from psycopg import AsyncConnection

INSERT = """
INSERT INTO quarantine (source, boot, number, reason, record)
SELECT * FROM unnest(%s::uuid[], %s::int8[], %s::int8[], %s::text[], %s::bytea[])
"""
MAX_REASON_CHARACTERS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class PoisonRecord:
    """A record the store refuses: its name, its bytes, and why."""

    source: UUID
    boot: int
    number: int
    reason: str
    record: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantinedRecord:
    """A quarantined record without its bytes."""

    id: int
    source: UUID
    boot: int
    number: int
    reason: str
    record_bytes: int
    stored_at: datetime


async def quarantine(connection: AsyncConnection[Any], records: Sequence[PoisonRecord]) -> None:
    """Keep poison records within the caller's transaction, which also records their numbers as refused."""
    if not records:
        return
    columns = (
        [r.source for r in records],
        [r.boot for r in records],
        [r.number for r in records],
        [r.reason.replace("\0", "\u2400")[:MAX_REASON_CHARACTERS] for r in records],
        [r.record for r in records],
    )
    await connection.execute(INSERT, columns)


async def count_quarantined(connection: AsyncConnection[Any]) -> int:
    """Return how many records lie in quarantine."""
    row = await (await connection.execute("SELECT count(*) FROM quarantine")).fetchone()
    return int(row[0]) if row else 0


async def read_quarantined(connection: AsyncConnection[Any], limit: int = 50) -> list[QuarantinedRecord]:
    """Return the newest quarantined records."""
    async with connection.cursor(row_factory=class_row(QuarantinedRecord)) as cursor:
        await cursor.execute(
            """SELECT id, source, boot, number, reason, octet_length(record) AS record_bytes, stored_at
            FROM quarantine ORDER BY id DESC LIMIT %s""",
            (limit,),
        )
        return await cursor.fetchall()
