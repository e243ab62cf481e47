"""Escalations under way: started with their problem, claimed when due, gone with the problem's end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row

from server.store.problems import SELECT_PROBLEMS, Problem

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from datetime import datetime

    from psycopg import AsyncConnection

START = """
INSERT INTO escalation (problem_id, name) SELECT * FROM unnest(%s::int8[], %s::text[]) ON CONFLICT DO NOTHING
"""
END = "DELETE FROM escalation WHERE problem_id = ANY (%s::int8[])"
# The problem's row is held until COMMIT: its end, or an acknowledgement, waits and then sees what is enqueued here.
# SKIP LOCKED, since nothing here may wait while it holds other problems: ingest updates them in its own order.
CLAIM = """
SELECT s.problem_id, s.name, e.id AS event_id FROM escalation s
JOIN problem p ON p.id = s.problem_id JOIN event e ON e.problem_id = p.id AND e.kind = 'opened'
WHERE s.due_at <= now() AND p.resolved_at IS NULL
ORDER BY s.due_at, s.problem_id, s.name LIMIT %s FOR UPDATE OF s SKIP LOCKED FOR SHARE OF p SKIP LOCKED
"""
RESCHEDULE = """
UPDATE escalation SET due_at = coalesce(wanted.due_at, 'infinity')
FROM unnest(%s::int8[], %s::text[], %s::timestamptz[]) AS wanted (problem_id, name, due_at)
WHERE escalation.problem_id = wanted.problem_id AND escalation.name = wanted.name
"""
REVIEW = "UPDATE escalation SET due_at = now() WHERE due_at > now()"
# A server of the version before resolves problems without knowing of escalations.
SWEEP = "DELETE FROM escalation USING problem p WHERE p.id = problem_id AND p.resolved_at IS NOT NULL"
NEXT_DUE = """
SELECT extract(epoch FROM min(due_at) - now())::float8 FROM escalation WHERE due_at < 'infinity'
"""
OF_PROBLEM = "SELECT name FROM escalation WHERE problem_id = %s ORDER BY name"


@dataclass(frozen=True, slots=True, kw_only=True)
class DueEscalation:
    """An escalation that has to be judged now; `event_id` is the problem's opening."""

    problem_id: int
    name: str
    event_id: int


async def start(connection: AsyncConnection[Any], started: Sequence[tuple[int, str]]) -> None:
    """Start escalations, given as (problem, name), within the transaction that opens the problems."""
    if started:
        await connection.execute(START, ([problem for problem, _ in started], [name for _, name in started]))


async def end(connection: AsyncConnection[Any], problem_ids: Collection[int]) -> None:
    """End everything under way for these problems, within the transaction that resolves them."""
    if problem_ids:
        await connection.execute(END, (list(problem_ids),))


async def claim(connection: AsyncConnection[Any], limit: int) -> list[DueEscalation]:
    """Take due escalations of open problems and hold them and their problems until the caller's transaction ends."""
    async with connection.cursor(row_factory=class_row(DueEscalation)) as cursor:
        return await (await cursor.execute(CLAIM, (limit,))).fetchall()


async def reschedule(connection: AsyncConnection[Any], wanted: Iterable[tuple[DueEscalation, datetime | None]]) -> None:
    """Set when these escalations are looked at again; None: not before their definitions change."""
    rows = list(wanted)
    columns = ([row.problem_id for row, _ in rows], [row.name for row, _ in rows], [due for _, due in rows])
    await connection.execute(RESCHEDULE, columns)


async def review(connection: AsyncConnection[Any]) -> None:
    """Have every escalation under way judged again: what is defined has changed."""
    await connection.execute(SWEEP)
    await connection.execute(REVIEW)


async def seconds_until_due(connection: AsyncConnection[Any]) -> float | None:
    """Return how long until an escalation is due (negative: overdue); None when none is."""
    row = await (await connection.execute(NEXT_DUE)).fetchone()
    return None if row is None or row[0] is None else float(row[0])


async def read_under_way(connection: AsyncConnection[Any], problem_id: int) -> list[str]:
    """Return the names of the escalations under way for a problem."""
    cursor = await connection.execute(OF_PROBLEM, (problem_id,))
    return [name for (name,) in await cursor.fetchall()]


async def read_problems_by_id(connection: AsyncConnection[Any], problem_ids: Collection[int]) -> dict[int, Problem]:
    """Return these problems as they are in the caller's transaction."""
    async with connection.cursor(row_factory=class_row(Problem)) as cursor:
        await cursor.execute(SELECT_PROBLEMS + " WHERE p.id = ANY (%s::int8[])", (list(problem_ids),))
        return {problem.id: problem for problem in await cursor.fetchall()}


async def read_now(connection: AsyncConnection[Any]) -> datetime:
    """Return the instant of the transaction by the database's clock, which all servers share."""
    row = await (await connection.execute("SELECT now()")).fetchone()
    assert row is not None  # noqa: S101 - a SELECT without FROM always answers
    instant: datetime = row[0]
    return instant
