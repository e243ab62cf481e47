"""What an agent shall sample: the server's document, checked; what cannot be done is named, the rest stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.config.reader import ConfigError, check_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from probes.declaration import Probe

    FindProbe = Callable[[str], Probe | None]

SHORTEST_INTERVAL_SECONDS: Final = 0.1
LONGEST_INTERVAL_SECONDS: Final = 86_400.0
MOST_PROBES: Final = 1000
_KEYS: Final = frozenset(("probe", "interval_seconds", "parameters"))

DEFAULT_BODY: Final[Mapping[str, Any]] = {
    "version": 0,
    "probes": [
        {"probe": name, "interval_seconds": 10.0}
        for name in ("cpu", "memory", "filesystems", "network", "processes", "disks", "swap")
    ],
}
_OWN: Final[Mapping[str, Any]] = {"probe": "agent", "interval_seconds": 60.0}


class DocumentError(ValueError):
    """The document as a whole has another form; the text says what was expected."""


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """One probe to run. `label` tells it apart where the same probe runs with other parameters too."""

    label: str
    probe: Probe
    interval_seconds: float
    parameters: Any


@dataclass(frozen=True, kw_only=True)
class Document:
    """What to sample, and what of the document cannot be done, each fault naming its place and probe."""

    assignments: tuple[Assignment, ...]
    faults: tuple[str, ...]


def read_document(body: Mapping[str, Any], find_probe: FindProbe) -> Document:
    """Check a document. A probe listed twice with the same parameters runs once, at the shorter interval.

    The agent's own figures are sampled every minute when the document does not say otherwise.
    Raises DocumentError when there is no list of probes; the document in force then stays.
    """
    listed = body.get("probes")
    if not isinstance(listed, list) or len(listed) > MOST_PROBES:
        raise DocumentError(f'"probes" shall be a list of at most {MOST_PROBES}')
    chosen: list[tuple[Probe, Any, float]] = []
    faults: list[str] = []
    for place, entry in enumerate(listed):
        try:
            probe, parameters, interval = _read_entry(entry, f"probes[{place}]", find_probe)
        except DocumentError as error:
            faults.append(str(error))
        else:
            _choose(chosen, probe, parameters, interval)
    if not any(probe.name == _OWN["probe"] for probe, _, _ in chosen) and find_probe(_OWN["probe"]) is not None:
        chosen.append(_read_entry(_OWN, "agent", find_probe))
    return Document(assignments=tuple(_label(chosen)), faults=tuple(faults))


def _read_entry(entry: Any, path: str, find_probe: FindProbe) -> tuple[Probe, Any, float]:
    if not isinstance(entry, dict) or not isinstance(entry.get("probe"), str):
        raise DocumentError(f'{path}: expected a map with "probe" and "interval_seconds"')
    name = entry["probe"]
    where = f"{path} ({name:.60})"
    if unknown := sorted(str(key) for key in entry.keys() - _KEYS):
        raise DocumentError(f"{where}: unknown {', '.join(unknown):.200}")
    probe = find_probe(name)
    if probe is None:
        raise DocumentError(f"{where}: this agent has no such probe")
    interval = entry.get("interval_seconds")
    if (
        isinstance(interval, bool)
        or not isinstance(interval, int | float)
        or not SHORTEST_INTERVAL_SECONDS <= interval <= LONGEST_INTERVAL_SECONDS
    ):
        raise DocumentError(
            f"{where}: interval_seconds shall be from {SHORTEST_INTERVAL_SECONDS:g} to {LONGEST_INTERVAL_SECONDS:g}"
        )
    parameters = entry.get("parameters", {})
    if not isinstance(parameters, dict):
        raise DocumentError(f"{where}: parameters shall be a map")
    try:
        return probe, check_table(parameters, probe.parameters, Path("configuration"), "parameters"), float(interval)
    except ConfigError as error:
        found = "; ".join(f"{fault.path}: {fault.expected}" for fault in error.faults)
        raise DocumentError(f"{where}: {found:.400}") from error


def _choose(chosen: list[tuple[Probe, Any, float]], probe: Probe, parameters: Any, interval: float) -> None:
    for place, (other, others, usual) in enumerate(chosen):
        if other.name == probe.name and others == parameters:
            chosen[place] = (other, others, min(usual, interval))
            return
    chosen.append((probe, parameters, interval))


def _label(chosen: Sequence[tuple[Probe, Any, float]]) -> list[Assignment]:
    seen: dict[str, int] = {}
    assignments = []
    for probe, parameters, interval in chosen:
        seen[probe.name] = seen.get(probe.name, 0) + 1
        label = probe.name if seen[probe.name] == 1 else f"{probe.name} {seen[probe.name]}"
        assignments.append(Assignment(label=label, probe=probe, interval_seconds=interval, parameters=parameters))
    return assignments
