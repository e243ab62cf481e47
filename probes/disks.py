"""What each disk does and how long it takes (kernel documentation: admin-guide/iostats.rst, /proc/diskstats)."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from core.config.reader import setting
from probes.declaration import Item, Reading, Visit, probe
from probes.patterns import Choice, check_patterns

if TYPE_CHECKING:
    from collections.abc import Iterator

_SECTOR_BYTES: Final = 512  # whatever the disk's own sectors are
_FIELDS: Final = 14  # up to and with the weighted time; kernels before 2.6.25 have fewer for partitions


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Which disks to read; expressions match anywhere in a name such as "sda" or "dm-0"."""

    include: tuple[str, ...] = field(
        default=(), metadata=setting("only disks with these regular expressions in their name", check=check_patterns)
    )
    exclude: tuple[str, ...] = field(
        default=("^(loop|ram|zram|fd|sr)[0-9]",),
        metadata=setting("no disks with these regular expressions in their name", check=check_patterns),
    )
    partitions: bool = field(default=False, metadata=setting("whether partitions are read too"))


_ITEMS = (
    Item(key="disk.reads", unit="1/s", description="Reads completed", parameter="disk"),
    Item(key="disk.writes", unit="1/s", description="Writes completed", parameter="disk"),
    Item(key="disk.read", unit="B/s", description="Bytes read", parameter="disk"),
    Item(key="disk.written", unit="B/s", description="Bytes written", parameter="disk"),
    Item(key="disk.wait", unit="s", description="Mean time of a read or write, waiting included", parameter="disk"),
    Item(key="disk.busy", unit="%", description="Share of time something was under way", parameter="disk"),
    Item(key="disk.in_flight", unit="", description="Reads and writes under way", parameter="disk"),
)


@probe("disks", items=_ITEMS, parameters=Parameters)
def read_disks(visit: Visit, parameters: Parameters) -> "Iterator[Reading]":
    """Yield rates since the last visit, so the first yields only what is under way. A disk never used is left out."""
    choice = Choice(include=parameters.include, exclude=parameters.exclude)
    disks = parse_disks(visit.text("diskstats"))
    for name, figures in disks.items():
        if not choice.takes(name) or not (figures[0] or figures[4]):
            continue
        if not parameters.partitions and is_partition(name, disks):
            continue
        yield from _readings(visit, name, figures)


def parse_disks(text: str) -> dict[str, list[int]]:
    """Return each device's figures, the first of them the number of reads completed."""
    lines = (line.split() for line in text.splitlines())
    return {fields[2]: [int(figure) for figure in fields[3:_FIELDS]] for fields in lines if len(fields) >= _FIELDS}


def is_partition(name: str, names: "dict[str, list[int]]") -> bool:
    """Whether `name` is a part of another device: sda1 of sda, nvme0n1p1 of nvme0n1 (kernel: disk_name())."""
    whole = name.rstrip("0123456789")
    if whole in (name, ""):
        return False
    return whole in names or (whole.endswith("p") and whole[:-1] in names and whole[-2:-1].isdigit())


def _readings(visit: Visit, name: str, figures: list[int]) -> "Iterator[Reading]":
    reads, _, read_sectors, read_ms, writes, _, written_sectors, write_ms, in_flight, busy_ms, _ = figures

    def rate(what: str, total: float) -> float | None:
        return visit.rate(f"{name} {what}", total)

    yield Reading("disk.reads", rate("reads", reads), name)
    yield Reading("disk.writes", rate("writes", writes), name)
    yield Reading("disk.read", rate("read", read_sectors * _SECTOR_BYTES), name)
    yield Reading("disk.written", rate("written", written_sectors * _SECTOR_BYTES), name)
    done = visit.growth(f"{name} done", reads + writes)
    spent_ms = visit.growth(f"{name} spent", read_ms + write_ms)
    if done is not None and spent_ms is not None:
        yield Reading("disk.wait", spent_ms / done / 1000 if done else 0.0, name)
    busy = rate("busy", busy_ms / 1000)
    # The kernel counts in ticks of its own clock, which may run over the second by a little.
    yield Reading("disk.busy", min(100.0, 100.0 * busy) if busy is not None else None, name)
    yield Reading("disk.in_flight", float(in_flight), name)
