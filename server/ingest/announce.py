"""Problems, their events and the notices owed for them, written in the transaction that found them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.escalation.payload import Happening, write_payload
from server.escalation.route import route_opened
from server.escalation.telling import Occurrence, notices_of_ends
from server.store import escalations, outbox, problems
from server.store.outbox import Notice

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from server.escalation.audience import Audience
    from server.escalation.route import Address
    from server.evaluation.watch import Turn, Watch
    from server.store.database import Connection
    from server.store.problems import ProblemEvent
    from triggers.judgement.problem import Events


async def write_events(connection: Connection, watch: Watch, events: Events, audience: Audience, now: datetime) -> int:
    """Write the events' problems, notices and started escalations; returns how many of the latter two.

    The watch notes what opened and resolved.

    The caller restores the watch's snapshot when the transaction fails.
    """
    count = 0
    for turn in watch.turns(events):
        opened = await problems.open_problems(connection, [opening for _, opening in turn.openings])
        resolved = await problems.resolve_problems(connection, [resolution for _, resolution in turn.resolutions])
        notices = _of_openings(turn, opened, audience)
        notices += await notices_of_ends(connection, _occurrences(turn, watch, resolved), audience, now)
        started = _started(turn, opened, audience)
        await escalations.start(connection, started)
        await outbox.enqueue(connection, notices)
        watch.note(turn, opened, resolved)
        count += len(notices) + len(started)
    return count


def _started(turn: Turn, opened: Iterable[ProblemEvent], audience: Audience) -> list[tuple[int, str]]:
    """Return which escalations take the opened problems, as (problem, escalation)."""
    openings = {instance.place: (instance, opening) for instance, opening in turn.openings}
    found: list[tuple[int, str]] = []
    for event in opened:
        instance, opening = openings[event.trigger_id, event.host_id, event.parameter]
        names = audience.escalations_of(instance.wanted.identity.host, opening.severity)
        found += [(event.problem_id, name) for name in names]
    return found


def _of_openings(turn: Turn, opened: Iterable[ProblemEvent], audience: Audience) -> list[Notice]:
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
            description=instance.wanted.trigger.definition.description,
        )
        notices += _address(event, happening, route_opened(opening.severity, audience.at_once))
    return notices


def _occurrences(turn: Turn, watch: Watch, resolved: Sequence[ProblemEvent]) -> list[Occurrence]:
    resolutions = {instance.place: (instance, resolution) for instance, resolution in turn.resolutions}
    found: list[Occurrence] = []
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
            description=instance.wanted.trigger.definition.description,
        )
        found.append(Occurrence(event_id=event.event_id, happening=happening))
    return found


def _address(event: ProblemEvent, happening: Happening, addresses: Iterable[Address]) -> list[Notice]:
    payload = write_payload(happening)
    return [
        Notice(event_id=event.event_id, receiver=address.receiver, media=address.media, payload=payload)
        for address in addresses
    ]
