"""What people do about a problem: they take it over, and write notes. Written by either server, active or standby.

These transactions hold no lease: they write nothing that evaluation remembers, and only the active server sends what
they put into the outbox. They take the lock on events first, as ingest's do, so that neither can wait for the other in
a circle, and so that events become visible in the order of their numbers, by which pages follow them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row

if TYPE_CHECKING:
    from datetime import datetime

    from psycopg import AsyncConnection

LOCK = "LOCK TABLE event IN SHARE ROW EXCLUSIVE MODE"
ACKNOWLEDGE = """
WITH taken AS (
    UPDATE problem SET acknowledged_at = now(), acknowledged_by = %(by)s, acknowledgement_note = %(text)s
    WHERE id = %(problem)s AND resolved_at IS NULL AND acknowledged_at IS NULL RETURNING id
)
INSERT INTO event (problem_id, kind, at, by, text) SELECT id, 'acknowledged', now(), %(by)s, %(text)s FROM taken
RETURNING id, at
"""
# FOR UPDATE: what an escalation is about to tell, and the problem's end, come before or after this, not beside it.
HOLD = "SELECT id FROM problem WHERE id = %s FOR UPDATE"
NOTE = """
INSERT INTO event (problem_id, kind, at, by, text) VALUES (%(problem)s, 'note', now(), %(by)s, %(text)s)
RETURNING id, at
"""
EVENTS = "SELECT id, kind, at, stored_at, value, by, text FROM event WHERE problem_id = %s ORDER BY id"
MAX_NOTES = 1000
COUNT = "SELECT count(*) FROM event WHERE problem_id = %s AND kind = 'note'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """An acknowledgement or a note that was written: its event and its instant."""

    event_id: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """One event of a problem; `by` and `text` are a person's."""

    id: int
    kind: str
    at: datetime
    stored_at: datetime
    value: float | None
    by: str | None
    text: str | None


class TooManyNotes(Exception):
    """A problem has as many notes as it may have."""


async def acknowledge(connection: AsyncConnection[Any], problem_id: int, *, by: str, text: str | None) -> Remark | None:
    """Acknowledge an open problem within the caller's transaction; None when it is over or acknowledged already."""
    await connection.execute(LOCK)
    cursor = await connection.execute(ACKNOWLEDGE, {"problem": problem_id, "by": by, "text": text})
    row = await cursor.fetchone()
    return None if row is None else Remark(event_id=row[0], at=row[1])


async def add_note(connection: AsyncConnection[Any], problem_id: int, *, by: str, text: str) -> Remark:
    """Add a note within the caller's transaction; the problem has to exist. Raises TooManyNotes beyond a thousand."""
    await connection.execute(LOCK)
    await connection.execute(HOLD, (problem_id,))
    count = await (await connection.execute(COUNT, (problem_id,))).fetchone()
    if count is not None and count[0] >= MAX_NOTES:
        raise TooManyNotes(f"problem {problem_id} has {MAX_NOTES} notes already")
    row = await (await connection.execute(NOTE, {"problem": problem_id, "by": by, "text": text})).fetchone()
    assert row is not None  # noqa: S101 - an INSERT of VALUES returns its row or raises
    return Remark(event_id=row[0], at=row[1])


async def read_events(connection: AsyncConnection[Any], problem_id: int) -> list[StoredEvent]:
    """Return a problem's events, oldest first."""
    async with connection.cursor(row_factory=class_row(StoredEvent)) as cursor:
        return await (await cursor.execute(EVENTS, (problem_id,))).fetchall()
