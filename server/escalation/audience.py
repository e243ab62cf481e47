"""Who may be told of problems, as definitions say now: directly, or by the steps of an escalation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from triggers.escalation.hours import parse_hours
from triggers.escalation.policy import Reachable, Step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from typing import Self

    from server.inventory.effective import Inventory
    from server.inventory.escalations import Conditions, EscalationDefinition
    from server.inventory.model import HostDefinition, ReceiverDefinition
    from triggers.escalation.hours import Hours

_NO_DELAY: Final = timedelta(0)
DIRECT: Final = ""
"""The name of the escalation nobody defines: one step at once, for direct receivers that have hours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Drawn from one inventory. `at_once` are told in the opening's own transaction: no escalation names them and they
    have no hours; `receivers` are all by name.
    """

    receivers: Mapping[str, ReceiverDefinition]
    at_once: Sequence[ReceiverDefinition]
    reachable: Mapping[str, Reachable]
    hosts: Mapping[str, HostDefinition]
    escalations: Mapping[str, EscalationDefinition]
    steps: Mapping[str, tuple[Step, ...]]

    @classmethod
    def draw(cls, inventory: Inventory) -> Self:
        """Draw the audience of an inventory."""
        named = {name for escalation in inventory.escalations.values() for name in escalation.receivers()}
        direct = [receiver for receiver in inventory.receivers.values() if receiver.name not in named]
        held = tuple(receiver.name for receiver in direct if receiver.hours is not None)
        steps = {name: _steps(escalation) for name, escalation in inventory.escalations.items()}
        if held:
            steps[DIRECT] = (Step(after=_NO_DELAY, tell=held),)
        return cls(
            receivers=inventory.receivers,
            at_once=[receiver for receiver in direct if receiver.hours is None],
            reachable={name: _reachable(receiver) for name, receiver in inventory.receivers.items()},
            hosts=inventory.hosts,
            escalations=inventory.escalations,
            steps=steps,
        )

    def escalations_of(self, host: str, severity: str) -> list[str]:
        """Return the names of the escalations that take a problem of this severity on this host."""
        defined = self.hosts.get(host)
        found = [
            name
            for name, escalation in self.escalations.items()
            if _fits(escalation.conditions, host, defined, severity)
        ]
        held = self.steps.get(DIRECT)
        if held and any(severity in self.reachable[name].severities for name in held[0].tell):
            found.append(DIRECT)
        return found

    def hears_end(self, escalation: str | None) -> bool:
        """Tell whether those whom this escalation told (None: directly) are told of the problem's end."""
        defined = None if escalation is None else self.escalations.get(escalation)
        return defined is None or defined.recovery

    def hears_updates(self, escalation: str | None) -> bool:
        """Tell whether those whom this escalation told are told of acknowledgements and notes."""
        defined = None if escalation is None else self.escalations.get(escalation)
        return defined is not None and defined.updates

    def due_at(self, receiver: str, now: datetime) -> datetime | None:
        """Return when the receiver's hours begin; None when it may be told now."""
        found = self.reachable.get(receiver)
        if found is None or found.hours is None:
            return None
        at = found.hours.next_instant(now)
        return None if at <= now else at


def _steps(escalation: EscalationDefinition) -> tuple[Step, ...]:
    return tuple(
        Step(
            after=step.after,
            tell=step.tell,
            media=step.media,
            every=step.every,
            times=step.times,
            unless_acknowledged=step.unless_acknowledged,
        )
        for step in escalation.steps
    )


def _reachable(receiver: ReceiverDefinition) -> Reachable:
    hours: Hours | None = None if receiver.hours is None else parse_hours(receiver.hours)
    return Reachable(media=tuple(receiver.media()), severities=frozenset(receiver.severities), hours=hours)


def _fits(wanted: Conditions, host: str, defined: HostDefinition | None, severity: str) -> bool:
    groups = set(defined.groups) if defined else set()
    tags = defined.tags if defined else {}
    return (
        (wanted.severities is None or severity in wanted.severities)
        and (wanted.hosts is None or host in wanted.hosts)
        and (wanted.groups is None or not groups.isdisjoint(wanted.groups))
        and (wanted.tags is None or all(tags.get(name) == value for name, value in wanted.tags.items()))
    )
