"""Ends problems that nothing speaks for any more: their trigger, template, host or item is no longer defined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.escalation.payload import happening_of
from server.escalation.telling import Occurrence, notices_of_ends
from server.store import outbox
from server.store.problems import ProblemResolution, read_open_problems, resolve_problems

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from server.escalation.audience import Audience
    from server.store.database import Connection


async def resolve_orphans(
    connection: Connection, problem_ids: Collection[int], audience: Audience, now: datetime
) -> None:
    """Resolve these problems at `now`, without a value, and owe notices to those who were told that they opened."""
    orphans = {problem.id: problem for problem in await read_open_problems(connection) if problem.id in problem_ids}
    resolutions = [
        ProblemResolution(problem_id=problem.id, at=max(now, problem.opened_at), value=None)
        for problem in orphans.values()
    ]
    ended = []
    for event in await resolve_problems(connection, resolutions):
        problem = orphans[event.problem_id]
        at = max(now, problem.opened_at)
        happening = happening_of(problem, "resolved", value=None, resolved_at=at)
        ended.append(Occurrence(event_id=event.event_id, happening=happening))
    await outbox.enqueue(connection, await notices_of_ends(connection, ended, audience, now))
