"""How busy the processors are: shares of time, load, context switches, interrupts (proc(5): stat, loadavg)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from probes.declaration import Failure, Item, ProbeFailedError, Reading, probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from probes.declaration import NoParameters, Visit

_TIMES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")

_ITEMS = (
    Item(key="cpu.busy", unit="%", description="Share of processor time not idle and not waiting for disks"),
    Item(key="cpu.user", unit="%", description="Share of processor time in programs, guests included"),
    Item(key="cpu.system", unit="%", description="Share of processor time in the kernel, interrupts included"),
    Item(key="cpu.iowait", unit="%", description="Share of processor time idle while a disk was waited for"),
    Item(key="cpu.steal", unit="%", description="Share of processor time the hypervisor gave to others"),
    Item(key="cpu.idle", unit="%", description="Share of processor time idle"),
    Item(key="cpu.count", unit="", description="Processors online"),
    Item(key="cpu.load1", unit="", description="Tasks running or waiting for a disk, mean of a minute"),
    Item(key="cpu.load5", unit="", description="Tasks running or waiting for a disk, mean of 5 minutes"),
    Item(key="cpu.load15", unit="", description="Tasks running or waiting for a disk, mean of 15 minutes"),
    Item(key="cpu.context_switches", unit="1/s", description="Switches between tasks"),
    Item(key="cpu.interrupts", unit="1/s", description="Interrupts served"),
)


@probe("cpu", items=_ITEMS)
def read_cpu(visit: Visit, _parameters: NoParameters) -> Iterator[Reading | Failure]:
    """Read the counters since the last visit; the first visit yields load and count only."""
    try:
        load = visit.text("loadavg").split()
        for item, value in zip(("cpu.load1", "cpu.load5", "cpu.load15"), load, strict=False):
            yield Reading(item, float(value))
    except ProbeFailedError as error:
        yield Failure(str(error))
    count = 0
    for line in visit.text("stat").splitlines():
        if line.startswith("cpu "):
            yield from _shares(visit, [int(ticks) for ticks in line.split()[1:9]])
        elif line.startswith("cpu"):
            count += 1
        elif line.startswith("ctxt "):
            yield Reading("cpu.context_switches", visit.rate("ctxt", float(line.split()[1])))
        elif line.startswith("intr "):
            yield Reading("cpu.interrupts", visit.rate("intr", float(line.split(" ", 2)[1])))
    yield Reading("cpu.count", float(count))


def _shares(visit: Visit, ticks: list[int]) -> Iterator[Reading]:
    # A single time may run backwards (iowait does, says proc(5)): it then counts as nothing.
    seen = dict(zip(_TIMES, ticks, strict=False))
    is_first = visit.growth("user", seen["user"]) is None
    grown = {name: visit.growth(name, total) or 0.0 for name, total in seen.items()}
    whole = sum(grown.values())
    if is_first or whole <= 0:
        return
    share = {name: 100.0 * growth / whole for name, growth in grown.items()}
    yield Reading("cpu.user", share["user"] + share["nice"])
    yield Reading("cpu.system", share["system"] + share.get("irq", 0.0) + share.get("softirq", 0.0))
    yield Reading("cpu.iowait", share.get("iowait", 0.0))
    yield Reading("cpu.steal", share.get("steal", 0.0))
    yield Reading("cpu.idle", share["idle"])
    yield Reading("cpu.busy", max(0.0, 100.0 - share["idle"] - share.get("iowait", 0.0)))
