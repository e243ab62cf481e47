"""What opened or resolved since one looked last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.rows import class_row

from server.store.problems import SELECT_PROBLEMS, Problem

if TYPE_CHECKING:
    from psycopg import AsyncConnection

_MAX_AT_ONCE = 500


async def read_last_event(connection: AsyncConnection[Any]) -> int:
    """Return the newest event's id; 0 when there is none."""
    row = await (await connection.execute("SELECT coalesce(max(id), 0) FROM event")).fetchone()
    return 0 if row is None else int(row[0])


async def read_problems_since(connection: AsyncConnection[Any], event_id: int) -> tuple[list[Problem], int]:
    """Return the problems with events after `event_id`, as they are now, and the newest such event; 500 at most."""
    cursor = await connection.execute(
        "SELECT id, problem_id FROM event WHERE id > %s ORDER BY id LIMIT %s", (event_id, _MAX_AT_ONCE)
    )
    events = await cursor.fetchall()
    if not events:
        return [], event_id
    async with connection.cursor(row_factory=class_row(Problem)) as problems:
        await problems.execute(
            SELECT_PROBLEMS + " WHERE p.id = ANY (%s::int8[]) ORDER BY p.id", ([problem for _, problem in events],)
        )
        return await problems.fetchall(), events[-1][0]
