"""What agents can measure, as definitions speak of it: probes, their parameters, their items."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.config.reader import ConfigError, check_table, setting_types
from probes import polling
from probes.registry import find_probe, probe_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from probes.declaration import Probe


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownItem:
    """An item by its name; `has_parameter` when its keys look like `name[parameter]`."""

    type: str = "number"
    has_parameter: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownProbe:
    """A probe: the items it yields, by name, and the parameters it takes.

    `polls` is the protocol by which a proxy asks a device, empty for what an agent reads on its host.
    `judge` returns what is wrong with a set of parameters as (parameter name, what was expected).
    """

    items: Mapping[str, KnownItem]
    polls: str = ""
    parameters: frozenset[str] = frozenset()
    judge: Callable[[Mapping[str, Any]], list[tuple[str, str]]] = field(default=lambda _: [])


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Everything definitions may speak of. `always` are items every agent and every poller reports by itself."""

    probes: Mapping[str, KnownProbe]
    always: Mapping[str, KnownItem]


AGENT_ITEMS: Final = {
    name: KnownItem()
    for name in (
        "agent.memory",
        "agent.cpu",
        "agent.probe_errors",
        "agent.spool_bytes",
        "agent.lost_values",
        "agent.dropped_records",
    )
}

POLLER_ITEMS: Final = {item.key: KnownItem(type=item.type, has_parameter=True) for item in polling.ITEMS}


@cache
def shipped_catalogue() -> Catalogue:
    """Return what this version's agents can measure, from the probes' own declarations."""
    probes = {name: _describe(found) for name in probe_names() if (found := find_probe(name)) is not None}
    return Catalogue(probes=probes, always=AGENT_ITEMS | POLLER_ITEMS)


def is_polled_probe(name: str) -> bool:
    """Tell whether a proxy runs this probe, instead of the host's agent."""
    known = shipped_catalogue().probes.get(name)
    return known is not None and bool(known.polls)


def _describe(probe: Probe) -> KnownProbe:
    def judge(parameters: Mapping[str, Any]) -> list[tuple[str, str]]:
        try:
            check_table(parameters, probe.parameters, Path())
        except ConfigError as error:
            return [(re.split(r"[.\[]", wrong.path)[0], wrong.expected) for wrong in error.faults]
        return []

    return KnownProbe(
        items={item.key: KnownItem(type=item.type, has_parameter=bool(item.parameter)) for item in probe.items},
        polls=probe.polls,
        parameters=frozenset(setting_types(probe.parameters)),
        judge=judge,
    )
