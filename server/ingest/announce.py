"""Problems, their events and the notices owed for them, written in the transaction that found them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from server.store import outbox, problems

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from server.evaluation.watch import Instance, Turn, Watch
    from server.store.database import Connection
    from server.store.outbox import Notice
    from triggers.judgement.problem import Events


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFacts:
    """What there is to tell of an event."""

    event_id: int
    problem_id: int
    kind: Literal["opened", "resolved"]
    instance: Instance
    at: datetime
    value: float | None


class Router(Protocol):
    """Decides whom to tell of an event, and what; pure."""

    def __call__(self, facts: EventFacts) -> Sequence[Notice]:
        """Return the notices owed for the event."""


async def write_events(connection: Connection, watch: Watch, events: Events, router: Router) -> int:
    """Write the events' problems and notices; returns how many notices. The watch notes what opened and resolved.

    The caller restores the watch's snapshot when the transaction fails.
    """
    count = 0
    for turn in watch.turns(events):
        opened = await problems.open_problems(connection, [opening for _, opening in turn.openings])
        resolved = await problems.resolve_problems(connection, [resolution for _, resolution in turn.resolutions])
        watch.note(turn, opened, resolved)
        notices = [notice for facts in _facts(turn, opened, resolved) for notice in router(facts)]
        await outbox.enqueue(connection, notices)
        count += len(notices)
    return count


def _facts(
    turn: Turn, opened: Sequence[problems.ProblemEvent], resolved: Sequence[problems.ProblemEvent]
) -> list[EventFacts]:
    openings = {instance.place: (instance, opening) for instance, opening in turn.openings}
    resolutions = {instance.place: (instance, resolution) for instance, resolution in turn.resolutions}
    facts = []
    kinds: tuple[tuple[Literal["opened", "resolved"], Sequence[problems.ProblemEvent]], ...] = (
        ("opened", opened),
        ("resolved", resolved),
    )
    for kind, written in kinds:
        for event in written:
            place = (event.trigger_id, event.host_id, event.parameter)
            instance, change = openings[place] if kind == "opened" else resolutions[place]
            facts.append(
                EventFacts(
                    event_id=event.event_id,
                    problem_id=event.problem_id,
                    kind=kind,
                    instance=instance,
                    at=change.at,
                    value=change.value,
                )
            )
    return facts
