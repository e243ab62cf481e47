"""Problems and their events, written in the ingest transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from psycopg.rows import class_row

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from psycopg import AsyncConnection

ENSURE_TRIGGERS = """
WITH wanted AS (
    SELECT DISTINCT template, name FROM unnest(%(templates)s::text[], %(names)s::text[]) AS u (template, name)
),
made AS (INSERT INTO trigger (template, name) SELECT template, name FROM wanted ORDER BY template, name
         ON CONFLICT (template, name) DO NOTHING RETURNING id, template, name)
SELECT id, template, name FROM made UNION SELECT id, template, name FROM trigger JOIN wanted USING (template, name)
"""
# A problem that is open already stays as it is: the opening returns nothing and so brings no second event.
OPEN = """
WITH wanted AS (
    SELECT trigger_id, host_id, parameter, severity, name, value, at, unit,
           string_to_array(nullif(items, ''), ',')::int4[] AS items
    FROM unnest(%s::int4[], %s::int4[], %s::text[], %s::text[], %s::text[], %s::float8[], %s::timestamptz[], %s::text[],
                %s::text[]) AS u (trigger_id, host_id, parameter, severity, name, value, at, unit, items)
), opened AS (
    INSERT INTO problem (trigger_id, host_id, parameter, severity, name, value, opened_at, unit, items)
    SELECT trigger_id, host_id, parameter, severity, name, value, at, unit, coalesce(items, '{}') FROM wanted
    ON CONFLICT (trigger_id, host_id, parameter) WHERE resolved_at IS NULL DO NOTHING
    RETURNING id, trigger_id, host_id, parameter, value, opened_at
), told AS (
    INSERT INTO event (problem_id, kind, at, value) SELECT id, 'opened', opened_at, value FROM opened
    RETURNING id, problem_id
)
SELECT told.id AS event_id, opened.id AS problem_id, trigger_id, host_id, parameter
FROM told JOIN opened ON opened.id = told.problem_id
"""
RESOLVE = """
WITH wanted AS (SELECT * FROM unnest(%s::int8[], %s::float8[], %s::timestamptz[]) AS u (problem_id, value, at)),
resolved AS (
    UPDATE problem SET resolved_at = wanted.at FROM wanted
    WHERE problem.id = wanted.problem_id AND problem.resolved_at IS NULL
    RETURNING problem.id, problem.trigger_id, problem.host_id, problem.parameter, wanted.at, wanted.value
), told AS (
    INSERT INTO event (problem_id, kind, at, value) SELECT id, 'resolved', at, value FROM resolved
    RETURNING id, problem_id
)
SELECT told.id AS event_id, resolved.id AS problem_id, trigger_id, host_id, parameter
FROM told JOIN resolved ON resolved.id = told.problem_id
"""
SELECT_PROBLEMS = """
SELECT p.id, p.trigger_id, t.template, t.name AS trigger, p.host_id, h.name AS host, p.parameter, p.severity, p.name,
       p.value, p.unit, p.items, p.opened_at, p.opened_stored_at, p.resolved_at, p.acknowledged_at, p.acknowledged_by,
       p.acknowledgement_note,
       coalesce((SELECT x ->> 'description' FROM definition d, jsonb_array_elements(d.body -> 'triggers') x
                 WHERE d.kind = 'template' AND d.name = t.template AND x ->> 'name' = t.name LIMIT 1
       ), '') AS description
FROM problem p JOIN trigger t ON t.id = p.trigger_id JOIN host h ON h.id = p.host_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemOpening:
    """A trigger's instance (host, parameter) became true at the instant of a sample; `items`: of its expression."""

    trigger_id: int
    host_id: int
    parameter: str
    severity: str
    name: str
    at: datetime
    value: float | None
    unit: str = ""
    items: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemResolution:
    """A problem's trigger became false at the instant of a sample."""

    problem_id: int
    at: datetime
    value: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemEvent:
    """An event that was written, and the problem it belongs to."""

    event_id: int
    problem_id: int
    trigger_id: int
    host_id: int
    parameter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A problem as it is stored; `opened_at` is a sample's instant, `opened_stored_at` when we knew.

    `description` is its trigger's as it is defined now, empty when it is not any more.
    """

    id: int
    trigger_id: int
    template: str
    trigger: str
    host_id: int
    host: str
    parameter: str
    severity: str
    name: str
    value: float | None
    unit: str
    items: Sequence[int]
    opened_at: datetime
    opened_stored_at: datetime
    resolved_at: datetime | None
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    acknowledgement_note: str | None = None
    description: str = ""


SEVERITIES: Final = ("information", "warning", "average", "high", "disaster")
"""As the schema has them, worst last."""
NEWEST_FIRST = """
              AND (%(before)s::int8 IS NULL OR p.id < %(before)s)
            ORDER BY p.id DESC LIMIT %(limit)s
"""
WORST_FIRST = """
              AND (%(before)s::int8 IS NULL OR (array_position(%(ranks)s::text[], p.severity), p.id) <
                   (SELECT array_position(%(ranks)s::text[], b.severity), b.id FROM problem b WHERE b.id = %(before)s))
            ORDER BY array_position(%(ranks)s::text[], p.severity) DESC, p.id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemFilter:
    """Which problems to read: `state` "open", "resolved" or "all"; `before_id` goes on after that one of a page.

    Newest first, or worst first and newest among equals. `only_hosts` leaves out those of all other hosts.
    """

    state: str = "open"
    host: str | None = None
    only_hosts: Collection[str] | None = None
    severities: Collection[str] | None = None
    before_id: int | None = None
    limit: int = 100
    is_worst_first: bool = False


async def ensure_triggers(
    connection: AsyncConnection[Any], triggers: Collection[tuple[str, str]]
) -> dict[tuple[str, str], int]:
    """Return the ids of the triggers given as (template, name), made where they are missing."""
    if not triggers:
        return {}
    columns = {"templates": [template for template, _ in triggers], "names": [name for _, name in triggers]}
    rows = await (await connection.execute(ENSURE_TRIGGERS, columns)).fetchall()
    return {(template, name): trigger_id for trigger_id, template, name in rows}


async def open_problems(connection: AsyncConnection[Any], openings: Sequence[ProblemOpening]) -> list[ProblemEvent]:
    """Open problems, each with its event, within the caller's transaction; those already open are left out."""
    if not openings:
        return []
    columns = (
        [o.trigger_id for o in openings],
        [o.host_id for o in openings],
        [o.parameter for o in openings],
        [o.severity for o in openings],
        [o.name for o in openings],
        [o.value for o in openings],
        [o.at for o in openings],
        [o.unit for o in openings],
        [",".join(str(item) for item in o.items) for o in openings],
    )
    async with connection.cursor(row_factory=class_row(ProblemEvent)) as cursor:
        return await (await cursor.execute(OPEN, columns)).fetchall()


async def resolve_problems(
    connection: AsyncConnection[Any], resolutions: Sequence[ProblemResolution]
) -> list[ProblemEvent]:
    """Resolve problems, each with its event, within the caller's transaction; those not open are left out."""
    if not resolutions:
        return []
    columns = ([r.problem_id for r in resolutions], [r.value for r in resolutions], [r.at for r in resolutions])
    async with connection.cursor(row_factory=class_row(ProblemEvent)) as cursor:
        return await (await cursor.execute(RESOLVE, columns)).fetchall()


async def read_problems(connection: AsyncConnection[Any], wanted: ProblemFilter) -> list[Problem]:
    """Return the problems the filter asks for, in its order."""
    async with connection.cursor(row_factory=class_row(Problem)) as cursor:
        await cursor.execute(
            SELECT_PROBLEMS
            + """
            WHERE (%(state)s = 'all' OR (p.resolved_at IS NULL) = (%(state)s = 'open'))
              AND (%(host)s::text IS NULL OR h.name = %(host)s)
              AND (%(only_hosts)s::text[] IS NULL OR h.name = ANY (%(only_hosts)s::text[]))
              AND (%(severities)s::text[] IS NULL OR p.severity = ANY (%(severities)s::text[]))
            """
            + (WORST_FIRST if wanted.is_worst_first else NEWEST_FIRST),
            {
                "state": wanted.state,
                "host": wanted.host,
                "only_hosts": None if wanted.only_hosts is None else list(wanted.only_hosts),
                "severities": None if wanted.severities is None else list(wanted.severities),
                "before": wanted.before_id,
                "limit": wanted.limit,
                "ranks": list(SEVERITIES),
            },
        )
        return await cursor.fetchall()


async def read_open_problems(connection: AsyncConnection[Any]) -> list[Problem]:
    """Return every open problem: what evaluation starts from at a takeover."""
    async with connection.cursor(row_factory=class_row(Problem)) as cursor:
        return await (await cursor.execute(SELECT_PROBLEMS + " WHERE p.resolved_at IS NULL ORDER BY p.id")).fetchall()


async def find_problem(connection: AsyncConnection[Any], problem_id: int) -> Problem | None:
    """Return one problem, or None."""
    async with connection.cursor(row_factory=class_row(Problem)) as cursor:
        return await (await cursor.execute(SELECT_PROBLEMS + " WHERE p.id = %s", (problem_id,))).fetchone()
