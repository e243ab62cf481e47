"""The notices owed for a problem's end and for what people do about it: to those who were told of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.escalation.payload import write_payload
from server.escalation.route import Address, route_resolved
from server.store import escalations, outbox
from server.store.outbox import Notice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from server.escalation.audience import Audience
    from server.escalation.payload import Happening
    from server.store.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """An event that was written, and what is to be told of it."""

    event_id: int
    happening: Happening


async def notices_of_ends(
    connection: Connection, ended: Sequence[Occurrence], audience: Audience, now: datetime
) -> list[Notice]:
    """End the escalations of problems that were resolved in this transaction, and return who is owed to hear so.

    Whatever a receiver asks for by now, who heard of a problem hears of its end, unless the escalation that told it
    says otherwise. Outside a receiver's hours that waits for their begin.
    """
    await escalations.end(connection, [each.happening.problem_id for each in ended])
    return await _notices(connection, ended, audience, audience.hears_end, now)


async def notices_of_updates(
    connection: Connection, updates: Sequence[Occurrence], audience: Audience, now: datetime
) -> list[Notice]:
    """Return who is owed to hear of acknowledgements and notes: those told of the problem, but for their author."""
    notices = await _notices(connection, updates, audience, audience.hears_updates, now)
    authors = {each.event_id: each.happening.by for each in updates}
    return [notice for notice in notices if audience.receivers[notice.receiver].user != authors[notice.event_id]]


async def _notices(
    connection: Connection,
    occurrences: Sequence[Occurrence],
    audience: Audience,
    hears: Callable[[str | None], bool],
    now: datetime,
) -> list[Notice]:
    if not occurrences:
        return []
    told: dict[int, list[Address]] = {}
    for each in await outbox.read_told(connection, [each.happening.problem_id for each in occurrences]):
        # Updates and ends go back to an escalation only through the notices it made itself.
        if each.kind in {"opened", "reminder"} and hears(each.escalation):
            told.setdefault(each.problem_id, []).append(Address(each.receiver, each.media))
    return [
        Notice(
            event_id=each.event_id,
            receiver=address.receiver,
            media=address.media,
            payload=write_payload(each.happening),
            due_at=audience.due_at(address.receiver, now),
        )
        for each in occurrences
        for address in route_resolved(told.get(each.happening.problem_id, ()), audience.receivers.values())
    ]
