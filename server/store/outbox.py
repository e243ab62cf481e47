"""What is to be told: enqueued with its event, claimed by conditional update under the epoch, receipt recorded.

Between a claim and its receipt a notice is with the dispatcher; when that server dies, the claim runs out or the next
epoch takes it over at once. So a notice is told at least once, and always under the same key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from psycopg import AsyncConnection

# What is held counts as made when it is due: its attempts and its age begin then.
ENQUEUE = """
INSERT INTO outbox (key, event_id, receiver, media, payload, created_at, due_at, escalation, step, repetition)
SELECT key, event_id, receiver, media, payload, coalesce(due_at, now()), coalesce(due_at, now()), escalation, step,
       repetition
FROM unnest(%s::uuid[], %s::int8[], %s::text[], %s::text[], %s::jsonb[], %s::timestamptz[], %s::text[], %s::int4[],
            %s::int4[]) AS u (key, event_id, receiver, media, payload, due_at, escalation, step, repetition)
ON CONFLICT (key) DO NOTHING
"""
# SKIP LOCKED: two claimers of one server never wait for each other, and never take the same notice.
# An address hears of one problem in order: the next only after the one before it was taken, or given up.
CLAIM = """
UPDATE outbox SET claimed_by_epoch = %(epoch)s, attempts = attempts + 1,
                  claimed_until = now() + %(seconds)s * interval '1 second'
WHERE id IN (
    SELECT o.id FROM outbox o JOIN event e ON e.id = o.event_id
    WHERE o.sent_at IS NULL AND o.failed_at IS NULL AND o.due_at <= now()
      AND (o.claimed_until IS NULL OR o.claimed_until <= now() OR o.claimed_by_epoch < %(epoch)s)
      AND o.receiver <> ALL (%(busy)s::text[])
      AND NOT EXISTS (
          SELECT FROM event before JOIN outbox earlier ON earlier.event_id = before.id
          WHERE before.problem_id = e.problem_id AND earlier.id < o.id
            AND earlier.receiver = o.receiver AND earlier.media = o.media
            AND earlier.sent_at IS NULL AND earlier.failed_at IS NULL)
    ORDER BY o.due_at, o.id LIMIT %(limit)s FOR UPDATE OF o SKIP LOCKED
)
RETURNING id, key, event_id, receiver, media, payload, created_at, attempts
"""
RECORD_SENT = """
UPDATE outbox SET sent_at = now(), claimed_until = NULL, last_error = NULL
WHERE id = %s AND claimed_by_epoch = %s AND sent_at IS NULL
"""
RECORD_RETRY = """
UPDATE outbox SET due_at = now() + %s * interval '1 second', claimed_until = NULL, last_error = %s
WHERE id = %s AND claimed_by_epoch = %s AND sent_at IS NULL
"""
RECORD_FAILED = """
UPDATE outbox SET failed_at = now(), claimed_until = NULL, last_error = %s
WHERE id = %s AND claimed_by_epoch = %s AND sent_at IS NULL
"""
NEXT_DUE = """
SELECT extract(epoch FROM min(greatest(due_at, coalesce(claimed_until, due_at))) - now())::float8
FROM outbox WHERE sent_at IS NULL AND failed_at IS NULL
"""
TOLD = """
SELECT o.id, o.key, e.problem_id, coalesce(o.payload ->> 'event', e.kind) AS kind, o.receiver, o.media, o.created_at,
       o.attempts, o.sent_at, o.failed_at, o.last_error, o.due_at, o.escalation, o.step, o.repetition
FROM outbox o JOIN event e ON e.id = o.event_id WHERE e.problem_id = ANY (%s) ORDER BY o.id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something to tell a receiver about an event. `key` goes along with every attempt.

    `due_at` None is at once. `escalation`, `step` and `repetition` (both from 0) say what in an escalation told it.
    """

    event_id: int
    receiver: str
    media: str
    payload: Mapping[str, Any]
    key: UUID = field(default_factory=uuid4)
    due_at: datetime | None = None
    escalation: str | None = None
    step: int | None = None
    repetition: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedNotice:
    """A notice this server may send now; `attempts` counts this attempt too."""

    id: int
    key: UUID
    event_id: int
    receiver: str
    media: str
    payload: dict[str, Any]
    created_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What became of a notice; `kind` is what it says: opened, reminder, acknowledged, note or resolved."""

    id: int
    key: UUID
    problem_id: int
    kind: str
    receiver: str
    media: str
    created_at: datetime
    attempts: int
    sent_at: datetime | None
    failed_at: datetime | None
    last_error: str | None
    due_at: datetime
    escalation: str | None
    step: int | None
    repetition: int | None

    @property
    def state(self) -> str:
        """Return "sent", "failed" or "waiting"."""
        if self.sent_at is not None:
            return "sent"
        return "failed" if self.failed_at is not None else "waiting"


async def enqueue(connection: AsyncConnection[Any], notices: Sequence[Notice]) -> None:
    """Add notices within the transaction that writes their events; a known key is left alone."""
    if not notices:
        return
    columns = (
        [n.key for n in notices],
        [n.event_id for n in notices],
        [n.receiver for n in notices],
        [n.media for n in notices],
        [Jsonb(dict(n.payload)) for n in notices],
        [n.due_at for n in notices],
        [n.escalation for n in notices],
        [n.step for n in notices],
        [n.repetition for n in notices],
    )
    await connection.execute(ENQUEUE, columns)


async def claim(
    connection: AsyncConnection[Any],
    *,
    epoch: int,
    limit: int = 20,
    claim_seconds: float = 60.0,
    busy: Collection[str] = (),
) -> list[ClaimedNotice]:
    """Claim due notices within a fenced transaction; the caller may send them once that has committed.

    A claim lasts `claim_seconds`, which must exceed the longest attempt; a claim of an older epoch counts for nothing.
    Receivers in `busy` are left out.
    """
    async with connection.cursor(row_factory=class_row(ClaimedNotice)) as cursor:
        await cursor.execute(CLAIM, {"epoch": epoch, "limit": limit, "seconds": claim_seconds, "busy": list(busy)})
        return sorted(await cursor.fetchall(), key=lambda notice: notice.id)


async def record_sent(connection: AsyncConnection[Any], notice_id: int, *, epoch: int) -> bool:
    """Record the receipt; False when the claim is not this epoch's any more or a receipt is there."""
    return (await connection.execute(RECORD_SENT, (notice_id, epoch))).rowcount == 1


async def record_retry(
    connection: AsyncConnection[Any], notice_id: int, *, epoch: int, error: str, after_seconds: float
) -> bool:
    """Record a failed attempt and when the next one is due; False when the claim is not this epoch's any more."""
    return (await connection.execute(RECORD_RETRY, (after_seconds, error, notice_id, epoch))).rowcount == 1


async def record_failed(connection: AsyncConnection[Any], notice_id: int, *, epoch: int, error: str) -> bool:
    """Give a notice up; False when the claim is not this epoch's any more."""
    return (await connection.execute(RECORD_FAILED, (error, notice_id, epoch))).rowcount == 1


async def seconds_until_due(connection: AsyncConnection[Any]) -> float | None:
    """Return how long until a notice may be claimed (negative: overdue); None when none waits."""
    row = await (await connection.execute(NEXT_DUE)).fetchone()
    return None if row is None or row[0] is None else float(row[0])


async def read_told(connection: AsyncConnection[Any], problem_ids: Collection[int]) -> list[Told]:
    """Return what was told about these problems, oldest first."""
    async with connection.cursor(row_factory=class_row(Told)) as cursor:
        return await (await cursor.execute(TOLD, (list(problem_ids),))).fetchall()
