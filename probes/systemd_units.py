"""How systemd's units fare: `systemctl show`, whose output is made for programs (systemctl(1))."""

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from core.config.reader import setting
from probes.child import run_program
from probes.declaration import Failure, Item, ProbeFailedError, Reading, Visit, probe
from probes.patterns import Choice, check_patterns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PROPERTIES: Final = ("Id", "LoadState", "ActiveState", "SubState", "NRestarts", "MemoryCurrent")
_STATES: Final = {"active": 0, "reloading": 0, "activating": 1, "deactivating": 1, "inactive": 2, "failed": 3}
_BOOTED: Final = "/run/systemd/system"  # sd_booted(3)
_UNKNOWN_MEMORY: Final = (1 << 64) - 1
_PATIENCE_SECONDS: Final = 8.0
_TYPES: Final = (
    "service",
    "socket",
    "timer",
    "mount",
    "target",
    "path",
    "slice",
    "scope",
    "swap",
    "automount",
    "device",
)


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Which units to tell of one by one; expressions match anywhere in a name such as "ssh.service"."""

    include: tuple[str, ...] = field(
        default=(r"\.service$",),
        metadata=setting("only units with these regular expressions in their name", check=check_patterns),
    )
    exclude: tuple[str, ...] = field(
        default=(r"^(systemd-|user@|user-runtime-dir@|getty@|serial-getty@|modprobe@)",),
        metadata=setting("no units with these regular expressions in their name", check=check_patterns),
    )


_ITEMS = (
    Item(key="systemd.failed_units", unit="", description="Units that failed, whether chosen or not"),
    Item(
        key="systemd.state", unit="", parameter="unit",
        description="0 active, 1 changing, 2 inactive, 3 failed",
    ),
    Item(key="systemd.state_text", unit="", parameter="unit", type="text", description="State in systemd's own words"),
    Item(key="systemd.restarts", unit="", parameter="unit", description="Times systemd started the service again"),
    Item(key="systemd.memory", unit="B", parameter="unit", description="Memory of the unit's processes, where counted"),
)  # fmt: skip


@probe("systemd.units", items=_ITEMS, parameters=Parameters, may_block=True, timeout_seconds=10.0)
def read_units(visit: Visit, parameters: Parameters) -> "Iterator[Reading | Failure]":
    """Ask systemd once about all loaded units. Raises ProbeFailedError where systemd does not run."""
    if visit.proc != "/proc" or not os.path.isdir(_BOOTED):  # noqa: PTH112 - the style of this room
        raise ProbeFailedError(f"systemd does not run here: there is no {_BOOTED}")
    words = ["systemctl", "show", "--all", "--no-pager", f"--property={','.join(_PROPERTIES)}", "--"]
    ended = run_program([*words, *(f"*.{kind}" for kind in _TYPES)], _PATIENCE_SECONDS, most_output_bytes=8 << 20)
    if ended.status != 0:
        raise ProbeFailedError(f"systemctl failed with {ended.status}: {ended.errors.strip()[:200]}")
    if ended.is_cut:
        yield Failure("systemctl told more than 8 MiB: some units are left out")
    yield from judge_units(parse_units(ended.output), Choice(include=parameters.include, exclude=parameters.exclude))


def parse_units(output: str) -> "list[Mapping[str, str]]":
    """Return the properties of each unit; units stand in blocks with a blank line between."""
    units: list[Mapping[str, str]] = []
    for block in output.split("\n\n"):
        facts = dict(line.partition("=")[::2] for line in block.splitlines() if "=" in line)
        if "Id" in facts and "ActiveState" in facts:
            units.append(facts)
    return units


def judge_units(units: "list[Mapping[str, str]]", choice: Choice) -> "Iterator[Reading]":
    """Yield how many failed, and the state of each unit chosen that is loaded or failed."""
    yield Reading("systemd.failed_units", float(sum(facts["ActiveState"] == "failed" for facts in units)))
    for facts in units:
        unit, is_there = facts["Id"], facts.get("LoadState", "loaded") == "loaded"
        if not choice.takes(unit) or (not is_there and facts["ActiveState"] == "inactive"):
            continue
        yield Reading("systemd.state", float(_STATES.get(facts["ActiveState"], 1)), unit)
        yield Reading("systemd.state_text", f"{facts['ActiveState']} ({facts.get('SubState', '')})", unit)
        if facts.get("NRestarts", "").isdigit():
            yield Reading("systemd.restarts", float(facts["NRestarts"]), unit)
        if facts.get("MemoryCurrent", "").isdigit() and int(facts["MemoryCurrent"]) < _UNKNOWN_MEMORY:
            yield Reading("systemd.memory", float(facts["MemoryCurrent"]), unit)
