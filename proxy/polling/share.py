"""What this proxy is to poll: the server's documents, checked; what cannot be done is named, the rest stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.config.reader import ConfigError, check_table
from core.runtime.logging import Log
from probes.device import Device
from probes.registry import find_probe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from probes.declaration import Probe

_log = Log("poller")
_SHORTEST_SECONDS: Final = 0.1
_LONGEST_SECONDS: Final = 86_400.0
_MOST_PROBES: Final = 1000


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """One probe to run at a device. `label` tells it apart where the same probe runs with other parameters too."""

    label: str
    probe: Probe
    interval_seconds: float
    parameters: Any


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A device and what to ask it; `faults` are the labels of what cannot be asked, and why."""

    device: Device
    assignments: tuple[Assignment, ...]
    faults: Mapping[str, str]


class _UnfitError(ValueError):
    """An entry cannot be used; the text says why."""


def read_share(bodies: Iterable[Mapping[str, Any]]) -> dict[str, Plan]:
    """Return the plans by host. A document of another form is logged and left out."""
    share: dict[str, Plan] = {}
    for body in bodies:
        try:
            plan = _read_plan(body)
        except (ConfigError, _UnfitError) as error:
            _log.error("A host cannot be polled: its document is not understood", error=error)
        else:
            share[plan.device.host] = plan
    return share


def _read_plan(body: Mapping[str, Any]) -> Plan:
    device, listed = body.get("poll"), body.get("probes")
    if not isinstance(device, dict) or not isinstance(listed, list) or len(listed) > _MOST_PROBES:
        raise _UnfitError(f"expected a device and at most {_MOST_PROBES} probes")
    assignments: list[Assignment] = []
    faults: dict[str, str] = {}
    seen: dict[str, int] = {}
    for entry in listed:
        name = str(entry.get("probe", "?"))[:100] if isinstance(entry, dict) else "?"
        seen[name] = seen.get(name, 0) + 1
        label = name if seen[name] == 1 else f"{name} {seen[name]}"
        try:
            assignments.append(_read_assignment(label, entry))
        except _UnfitError as error:
            faults[label] = str(error)
    return Plan(device=check_table(device, Device, Path("polling")), assignments=tuple(assignments), faults=faults)


def _read_assignment(label: str, entry: Mapping[str, Any]) -> Assignment:
    probe = find_probe(str(entry.get("probe")))
    if probe is None or not probe.polls:
        raise _UnfitError("this proxy has no such probe: bring it to the server's version")
    interval = entry.get("interval_seconds")
    if not isinstance(interval, int | float) or not _SHORTEST_SECONDS <= interval <= _LONGEST_SECONDS:
        raise _UnfitError(f"interval_seconds shall be from {_SHORTEST_SECONDS:g} to {_LONGEST_SECONDS:g}")
    try:
        parameters = check_table(entry.get("parameters") or {}, probe.parameters, Path("configuration"), "parameters")
    except ConfigError as error:
        found = "; ".join(f"{fault.path}: {fault.expected}" for fault in error.faults)
        raise _UnfitError(found[:400]) from error
    return Assignment(label=label, probe=probe, interval_seconds=float(interval), parameters=parameters)
