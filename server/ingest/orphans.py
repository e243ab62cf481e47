"""Ends problems that nothing speaks for any more: their trigger, template, host or item is no longer defined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.escalation.payload import Happening, write_payload
from server.escalation.route import Address, route_resolved
from server.store import outbox
from server.store.outbox import Notice
from server.store.problems import ProblemResolution, read_open_problems, resolve_problems

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from server.inventory.model import ReceiverDefinition
    from server.store.database import Connection


async def resolve_orphans(
    connection: Connection, problem_ids: Collection[int], receivers: Collection[ReceiverDefinition], now: datetime
) -> None:
    """Resolve these problems at `now`, without a value, and owe notices to those who were told that they opened."""
    orphans = {problem.id: problem for problem in await read_open_problems(connection) if problem.id in problem_ids}
    resolutions = [
        ProblemResolution(problem_id=problem.id, at=max(now, problem.opened_at), value=None)
        for problem in orphans.values()
    ]
    resolved = await resolve_problems(connection, resolutions)
    told: dict[int, list[Address]] = {}
    for each in await outbox.read_told(connection, list(orphans)):
        told.setdefault(each.problem_id, []).append(Address(each.receiver, each.media))
    notices = []
    for event in resolved:
        problem = orphans[event.problem_id]
        happening = Happening(
            event="resolved",
            problem_id=problem.id,
            host=problem.host,
            template=problem.template,
            trigger=problem.trigger,
            name=problem.name,
            parameter=problem.parameter,
            severity=problem.severity,
            value=None,
            opened_at=problem.opened_at,
            resolved_at=max(now, problem.opened_at),
        )
        payload = write_payload(happening)
        notices += [
            Notice(event_id=event.event_id, receiver=address.receiver, media=address.media, payload=payload)
            for address in route_resolved(told.get(problem.id, ()), receivers)
        ]
    await outbox.enqueue(connection, notices)
