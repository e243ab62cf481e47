"""Which instances of which triggers there should be: a decision over what is defined and which items exist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from server.inventory.model import TriggerDefinition
    from triggers.compile import Compiled


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

    @property
    def name(self) -> tuple[str, str]:
        """Its (template, trigger), the same on every host that has it."""
        return (self.template, self.definition.name)

    @property
    def other_hosts(self) -> set[str]:
        """The hosts its expression names besides its own."""
        return {reference.host for reference in self.compiled.references if reference.host is not None}


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WantedColumns:
    """All the instances a trigger should have on its host: columns of one length, for a million objects are dear.

    `parameters` are distinct; `items` int32[n, r] holds the item of each of the expression's references; `units`.
    """

    trigger: WatchedTrigger
    parameters: Sequence[str]
    items: NDArray[np.int32]
    units: Sequence[str]

    def at(self, place: int) -> Wanted:
        """Return one instance by itself."""
        items = tuple(self.items[place].tolist())
        return Wanted(trigger=self.trigger, parameter=self.parameters[place], items=items, unit=self.units[place])


@dataclass(frozen=True, slots=True)
class HostItems:
    """The numeric items of some hosts: ids by host name and key, and of each id its unit."""

    ids: Mapping[str, Mapping[str, int]]
    units: Mapping[int, str]


def wanted_instances(triggers: Iterable[WatchedTrigger], items: HostItems) -> list[WantedColumns]:
    """List for each trigger the instances whose items all exist; `[*]` makes one for each parameter."""
    return [_wanted(trigger, items) for trigger in triggers]


def _wanted(trigger: WatchedTrigger, items: HostItems) -> WantedColumns:
    compiled, units = trigger.compiled, items.units
    bindings = compiled.bind(items.ids.get(trigger.host, {}), items.ids)
    return WantedColumns(
        trigger=trigger,
        parameters=[binding.parameter for binding in bindings],
        items=np.array([binding.items for binding in bindings], np.int32).reshape(-1, len(compiled.references)),
        units=[compiled.value_unit([units[item] for item in binding.items]) for binding in bindings],
    )
