"""What a Nagios plugin says (Monitoring Plugins' development guidelines: exit status, first line, performance data)."""

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from core.config.reader import setting
from probes.allowed import require_allowed
from probes.child import run_program
from probes.command import LONGEST_SECONDS, check_timeout
from probes.declaration import Failure, Item, ProbeFailedError, Reading, Visit, probe

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNKNOWN: Final = 3
_MOST_FIGURES: Final = 200
_FIGURE: Final = re.compile(r"(?:'((?:[^']|'')+)'|([^\s'=]+))=([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)([^\s;0-9.]*)(?:;\S*)?")
# Plugins count bytes in steps of 1024 whatever they call them.
_UNITS: Final = {
    "s": ("s", 1.0), "ms": ("s", 1e-3), "us": ("s", 1e-6), "ns": ("s", 1e-9), "%": ("%", 1.0), "B": ("B", 1.0),
    "KB": ("B", 1024.0), "MB": ("B", 1024.0**2), "GB": ("B", 1024.0**3), "TB": ("B", 1024.0**4),
    "c": ("", 1.0), "": ("", 1.0),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Which plugin."""

    command: tuple[str, ...] = field(
        metadata=setting(
            "the plugin's absolute path and its arguments; no shell reads them",
            check=lambda words: None if words else "expected at least the plugin",
        )
    )
    name: str = field(metadata=setting("name of the check in its items"))
    timeout: timedelta = field(
        default=timedelta(seconds=10), metadata=setting("time after which it is killed", check=check_timeout)
    )


_ITEMS = (
    Item(key="nagios.status", unit="", description="0 ok, 1 warning, 2 critical, 3 unknown", parameter="check"),
    Item(key="nagios.text", unit="", description="First line the plugin printed", parameter="check", type="text"),
    Item(key="nagios.value", unit="", description="A figure of its performance data", parameter="check:label"),
    Item(key="nagios.seconds", unit="s", description="Time the plugin took", parameter="check"),
)


class Figure(NamedTuple):
    """One of the performance data, its unit one of ours where there is one."""

    label: str
    value: float
    unit: str


@probe("nagios.plugin", items=_ITEMS, parameters=Parameters, may_block=True, timeout_seconds=LONGEST_SECONDS + 5)
def run_plugin(visit: Visit, parameters: Parameters) -> "Iterator[Reading | Failure]":
    """Start the plugin once. One that cannot be run or does not end is unknown, and the reason is its text."""
    require_allowed(parameters.command[0], visit.commands)
    name = parameters.name
    try:
        ended = run_program(parameters.command, parameters.timeout.total_seconds())
    except ProbeFailedError as error:
        yield Reading("nagios.status", float(_UNKNOWN), name)
        yield Reading("nagios.text", str(error), name)
        raise
    text, figures = parse_output(ended.output)
    yield Reading("nagios.seconds", ended.seconds, name)
    if 0 <= ended.status <= _UNKNOWN:
        yield Reading("nagios.status", float(ended.status), name)
    else:
        yield Reading("nagios.status", float(_UNKNOWN), name)
        yield Failure(f"{name} ended with status {ended.status}, which is none of a plugin's")
    yield Reading("nagios.text", text or ended.errors.strip().partition("\n")[0] or "(nothing printed)", name)
    for figure in figures[:_MOST_FIGURES]:
        yield Reading("nagios.value", figure.value, f"{name}:{figure.label}", figure.unit)
    if ended.is_cut or len(figures) > _MOST_FIGURES:
        yield Failure(f"{name} printed more than {_MOST_FIGURES} figures or 64 KiB: the rest is left out")


def parse_output(output: str) -> tuple[str, list[Figure]]:
    """Return the first line's text and the figures: after its bar, and after the bar of a later line to the end."""
    first, _, rest = output.partition("\n")
    text, _, data = first.partition("|")
    _, _, more = rest.partition("|")
    return text.strip(), parse_figures(f"{data} {more}")


def parse_figures(data: str) -> list[Figure]:
    """Read performance data; what has another form, or no number ("U"), is left out, and a label counts once."""
    figures: dict[str, Figure] = {}
    for quoted, plain, number, written in _FIGURE.findall(data):
        label = quoted.replace("''", "'") if quoted else plain
        unit, factor = _UNITS.get(written, (written, 1.0))
        try:
            figures.setdefault(label, Figure(label, float(number) * factor, unit[:32]))
        except ValueError:
            continue  # 1.2.3
    return list(figures.values())
