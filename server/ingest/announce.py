"""Problems, their events and the notices owed for them, written in the transaction that found them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.escalation.payload import Happening, write_payload
from server.escalation.route import Address, route_opened, route_resolved
from server.store import outbox, problems
from server.store.outbox import Notice

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from server.evaluation.watch import Turn, Watch
    from server.inventory.model import ReceiverDefinition
    from server.store.database import Connection
    from server.store.problems import ProblemEvent
    from triggers.judgement.problem import Events


async def write_events(
    connection: Connection, watch: Watch, events: Events, receivers: Collection[ReceiverDefinition]
) -> int:
    """Write the events' problems and notices; returns how many notices. The watch notes what opened and resolved.

    The caller restores the watch's snapshot when the transaction fails.
    """
    count = 0
    for turn in watch.turns(events):
        opened = await problems.open_problems(connection, [opening for _, opening in turn.openings])
        resolved = await problems.resolve_problems(connection, [resolution for _, resolution in turn.resolutions])
        notices = _of_openings(turn, opened, receivers)
        notices += await _of_resolutions(connection, turn, watch, resolved, receivers)
        await outbox.enqueue(connection, notices)
        watch.note(turn, opened, resolved)
        count += len(notices)
    return count


def _of_openings(turn: Turn, opened: Iterable[ProblemEvent], receivers: Collection[ReceiverDefinition]) -> list[Notice]:
    openings = {instance.place: (instance, opening) for instance, opening in turn.openings}
    notices: list[Notice] = []
    for event in opened:
        instance, opening = openings[event.trigger_id, event.host_id, event.parameter]
        identity = instance.wanted.identity
        happening = Happening(
            event="opened",
            problem_id=event.problem_id,
            host=identity.host,
            template=identity.template,
            trigger=identity.trigger,
            name=opening.name,
            parameter=identity.parameter,
            severity=opening.severity,
            value=opening.value,
            opened_at=opening.at,
        )
        notices += _address(event, happening, route_opened(opening.severity, receivers))
    return notices


async def _of_resolutions(
    connection: Connection,
    turn: Turn,
    watch: Watch,
    resolved: Sequence[ProblemEvent],
    receivers: Collection[ReceiverDefinition],
) -> list[Notice]:
    if not resolved:
        return []
    told: dict[int, list[Address]] = {}
    for each in await outbox.read_told(connection, [event.problem_id for event in resolved]):
        told.setdefault(each.problem_id, []).append(Address(each.receiver, each.media))
    resolutions = {instance.place: (instance, resolution) for instance, resolution in turn.resolutions}
    notices: list[Notice] = []
    for event in resolved:
        instance, resolution = resolutions[event.trigger_id, event.host_id, event.parameter]
        identity = instance.wanted.identity
        happening = Happening(
            event="resolved",
            problem_id=event.problem_id,
            host=identity.host,
            template=identity.template,
            trigger=identity.trigger,
            name=instance.wanted.title,
            parameter=identity.parameter,
            severity=instance.wanted.trigger.definition.severity,
            value=resolution.value,
            opened_at=watch.opened_at(instance),
            resolved_at=resolution.at,
        )
        notices += _address(event, happening, route_resolved(told.get(event.problem_id, ()), receivers))
    return notices


def _address(event: ProblemEvent, happening: Happening, addresses: Iterable[Address]) -> list[Notice]:
    payload = write_payload(happening)
    return [
        Notice(event_id=event.event_id, receiver=address.receiver, media=address.media, payload=payload)
        for address in addresses
    ]
