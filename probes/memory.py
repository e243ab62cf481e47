"""How much memory and swap there is and how much of it is taken (proc(5): meminfo)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from probes.declaration import Failure, Item, Reading, probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from probes.declaration import NoParameters, Visit

_AMOUNTS: Final = {
    "MemTotal": Item(key="memory.total", unit="B", description="Memory the kernel can use"),
    "MemAvailable": Item(key="memory.available", unit="B", description="Memory programs could get without swapping"),
    "MemFree": Item(key="memory.free", unit="B", description="Memory used for nothing"),
    "Buffers": Item(key="memory.buffers", unit="B", description="Memory buffering raw disks"),
    "Cached": Item(key="memory.cached", unit="B", description="Memory caching files, shared memory included"),
    "Dirty": Item(key="memory.dirty", unit="B", description="Memory waiting to be written to disk"),
    "SwapTotal": Item(key="swap.total", unit="B", description="Swap space"),
    "SwapFree": Item(key="swap.free", unit="B", description="Swap space used for nothing"),
}

_ITEMS = (
    *_AMOUNTS.values(),
    Item(key="memory.used_percent", unit="%", description="Share of the memory programs could not get"),
    Item(key="swap.used_percent", unit="%", description="Share of the swap space in use; 0 without swap"),
)


@probe("memory", items=_ITEMS)
def read_memory(visit: Visit, _parameters: NoParameters) -> Iterator[Reading | Failure]:
    """Read the amounts; a line this kernel does not have is a failure, the rest stands."""
    amounts: dict[str, float] = {}
    for line in visit.text("meminfo").splitlines():
        name, _, rest = line.partition(":")
        if name in _AMOUNTS:
            amounts[name] = float(rest.split()[0]) * 1024
    for name, item in _AMOUNTS.items():
        if name in amounts:
            yield Reading(item.key, amounts[name])
        else:
            yield Failure(f"{visit.proc}/meminfo has no line {name}")
    if "MemAvailable" in amounts and amounts.get("MemTotal"):
        yield Reading("memory.used_percent", 100.0 * (1 - amounts["MemAvailable"] / amounts["MemTotal"]))
    if "SwapFree" in amounts and "SwapTotal" in amounts:
        total = amounts["SwapTotal"]
        yield Reading("swap.used_percent", 100.0 * (1 - amounts["SwapFree"] / total) if total else 0.0)
