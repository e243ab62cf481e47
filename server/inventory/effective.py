"""What definitions mean for one host: what its agent samples, what is polled of it, which triggers watch it; pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from server.inventory.catalogue import is_polled_probe
from server.inventory.limits import limits_by_host, with_claims
from server.inventory.model import (
    MODELS,
    EscalationDefinition,
    HostDefinition,
    LimitDefinition,
    ReceiverDefinition,
    SampledItems,
    Template,
    WaiverDefinition,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from server.inventory.model import Definition, TriggerDefinition
    from server.inventory.plan import StoredDefinition
    from server.inventory.retention import RetentionRule


LIMITS_FIELD: Final = "backup_limits"
"""In an agent's document. The version stays when only this changes: samplers need not begin anew."""
EVERYWHERE: Final = ("backup-coverage",)
"""Templates whose triggers watch every defined host, named by it or not: they are for what nobody thought of."""


class StoredDefinitionBroken(Exception):
    """A stored definition is not understood by this version; the message names it and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostTrigger:
    """A trigger that watches a host. (template, name) is its identity; `title` makes a problem's name."""

    template: str
    definition: TriggerDefinition

    @property
    def name(self) -> str:
        """The trigger's name within its template, placeholders and all."""
        return self.definition.name

    @property
    def severity(self) -> str:
        """How bad its problems are."""
        return self.definition.severity

    @property
    def expression(self) -> str:
        """What is evaluated."""
        return self.definition.expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """Every definition, understood, as it was at `revision`."""

    revision: int
    templates: dict[str, Template]
    hosts: dict[str, HostDefinition]
    receivers: dict[str, ReceiverDefinition]
    revisions: dict[tuple[str, str], int]
    escalations: dict[str, EscalationDefinition] = field(default_factory=dict)
    waivers: dict[str, WaiverDefinition] = field(default_factory=dict)
    limits: dict[str, LimitDefinition] = field(default_factory=dict)
    limits_of: dict[str, tuple[LimitDefinition, ...]] = field(default_factory=dict)
    """By the name of the host; those of hosts that have any."""

    @classmethod
    def from_stored(cls, revision: int, stored: Iterable[StoredDefinition]) -> Self:
        """Understand what the database holds. Raises StoredDefinitionBroken."""
        inventory = cls(revision=revision, templates={}, hosts={}, receivers={}, revisions={})
        for each in stored:
            inventory.revisions[each.key] = each.revision
            definition = understand(each)
            if isinstance(definition, Template):
                inventory.templates[each.name] = definition
            elif isinstance(definition, HostDefinition):
                inventory.hosts[each.name] = definition
            elif isinstance(definition, ReceiverDefinition):
                inventory.receivers[each.name] = definition
            elif isinstance(definition, EscalationDefinition):
                inventory.escalations[each.name] = definition
            elif isinstance(definition, WaiverDefinition):
                inventory.waivers[each.name] = definition
            elif isinstance(definition, LimitDefinition):
                inventory.limits[each.name] = definition
        groups_of = {name: host.groups for name, host in inventory.hosts.items()}
        inventory.limits_of.update(limits_by_host(inventory.limits.values(), groups_of))
        return inventory

    def templates_of(self, host: str) -> list[Template]:
        """Return the templates of a host in the order it names them; none for a host that is not defined."""
        found = self.hosts.get(host)
        return [] if found is None else [self.templates[name] for name in found.templates if name in self.templates]

    def document(self, host: str) -> dict[str, Any] | None:
        """Return what the agent of `host` is to sample, and the limits on its backups; None where it is not defined.

        What several templates ask for is sampled once, at the shortest of their intervals. The version grows with
        every change that may touch this host and stays when others change.
        """
        if host not in self.hosts:
            return None
        version, probes = self._sampled(host, is_polled=False)
        limits = self.limits_of.get(host, ())
        claiming = with_claims(probes) if limits else None
        if claiming is None:
            return {"version": version, "probes": probes}
        return {"version": version, "probes": claiming, LIMITS_FIELD: [limit.told() for limit in limits]}

    def polling_document(self, host: str) -> dict[str, Any] | None:
        """Return what a proxy is to poll of `host`, and how it is reached; None for a host that is not polled."""
        found = self.hosts.get(host)
        if found is None or found.polling is None:
            return None
        version, probes = self._sampled(host, is_polled=True)
        return {"version": version, "poll": found.polling.device(host), "probes": probes}

    def _sampled(self, host: str, *, is_polled: bool) -> tuple[int, list[dict[str, Any]]]:
        templates = self.templates_of(host)
        shortest: list[SampledItems] = []
        for item in (item for template in templates for item in template.items if isinstance(item, SampledItems)):
            if is_polled_probe(item.probe) != is_polled:
                continue
            same = [p for p, w in enumerate(shortest) if (w.probe, w.parameters) == (item.probe, item.parameters)]
            if not same:
                shortest.append(item)
            elif item.every < shortest[same[0]].every:
                shortest[same[0]] = item
        version = max(self.revisions[key] for key in [("host", host), *(t.key for t in templates)])
        return version, [
            {"probe": i.probe, "interval_seconds": i.every.total_seconds(), "parameters": i.parameters}
            for i in shortest
        ]

    def retention_rules(self, host: str) -> list[RetentionRule]:
        """Return how long a host's items are kept, first what the host says, then its templates in their order."""
        found = self.hosts.get(host)
        own = () if found is None else found.retention
        return [*own, *(rule for template in self.templates_of(host) for rule in template.retention)]

    def triggers(self, host: str) -> list[HostTrigger]:
        """Return the triggers that watch a host: those of its templates, and those that watch every one."""
        templates = {template.name: template for template in self.templates_of(host)}
        if host in self.hosts:
            templates |= {name: self.templates[name] for name in EVERYWHERE if name in self.templates}
        return [
            HostTrigger(template=template.name, definition=trigger)
            for template in templates.values()
            for trigger in template.triggers
        ]


def understand(stored: StoredDefinition) -> Definition:
    """Give a stored definition its model. Raises StoredDefinitionBroken."""
    try:
        return MODELS[stored.kind].model_validate(stored.body)
    except (ValidationError, KeyError) as error:
        raise StoredDefinitionBroken(
            f"the stored {stored.kind} {stored.name!r} is not understood by this version ({error}): apply it anew"
        ) from error
