"""Which instances of which triggers there should be: a decision over what is defined and which items exist."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from server.inventory.model import TriggerDefinition
    from server.store.inventory import Item
    from triggers.compile import Compiled

HostItems = dict[str, dict[str, int]]
"""Item ids by host name and item key."""


class Identity(NamedTuple):
    """What an instance is, whatever its expression: the same after a restart and after a change of its definition."""

    template: str
    trigger: str
    host: str
    parameter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedTrigger:
    """A trigger of a template that a host has, its expression compiled."""

    host: str
    template: str
    definition: TriggerDefinition
    compiled: Compiled


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An instance there should be: the item ids of its expression's references in their order, its value's unit."""

    trigger: WatchedTrigger
    parameter: str
    items: tuple[int, ...]
    unit: str

    @property
    def identity(self) -> Identity:
        """What it is."""
        trigger = self.trigger
        return Identity(trigger.template, trigger.definition.name, trigger.host, self.parameter)

    @property
    def title(self) -> str:
        """The name its problem gets."""
        return self.trigger.definition.title(self.trigger.host, self.parameter)


def items_by_host(items: Iterable[Item]) -> HostItems:
    """Arrange the numeric items by host and key."""
    arranged: HostItems = defaultdict(dict)
    for item in items:
        if item.type == "number":
            arranged[item.host][item.key] = item.id
    return arranged


def wanted_instances(
    triggers: Iterable[WatchedTrigger], items: Mapping[str, Mapping[str, int]], units: Mapping[int, str]
) -> list[Wanted]:
    """List every instance whose items all exist; `[*]` makes one for each parameter. `units` is by item id."""
    return [
        Wanted(
            trigger=trigger,
            parameter=binding.parameter,
            items=binding.items,
            unit=trigger.compiled.value_unit([units[item] for item in binding.items]),
        )
        for trigger in triggers
        for binding in trigger.compiled.bind(items.get(trigger.host, {}), items)
    ]
