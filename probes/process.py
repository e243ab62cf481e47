"""What the processes of one kind take: chosen by name or command line (proc(5): the numbered folders)."""

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from core.config.reader import setting
from probes.declaration import Failure, Item, ProbeFailedError, Reading, Visit, probe
from probes.patterns import check_pattern, is_found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_KERNEL_NAME_LETTERS: Final = 15  # what the kernel keeps of a name
_COMMAND_LETTERS: Final = 4096


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Which processes, told apart in the items by `name`."""

    name: str = field(
        metadata=setting("name of this group of processes in the items; their own name without `command`")
    )
    command: str | None = field(
        default=None,
        metadata=setting(
            "regular expression to find in the command line, arguments with blanks between; left out: the processes"
            " whose program is called `name`",
            check=check_pattern,
        ),
    )
    pss: bool = field(
        default=False, metadata=setting("whether shared memory is told in part too; costs time, and root's rights")
    )
    open_files: bool = field(
        default=False, metadata=setting("whether open files are counted; needs root's rights for others' processes")
    )


_ITEMS = (
    Item(key="process.count", unit="", description="Processes of this kind", parameter="group"),
    Item(key="process.threads", unit="", description="Their threads", parameter="group"),
    Item(key="process.cpu", unit="%", description="Their time, as share of one processor", parameter="group"),
    Item(key="process.memory", unit="B", description="Their resident memory, shared pages in full", parameter="group"),
    Item(key="process.memory_pss", unit="B", description="Their memory, shared pages in part", parameter="group"),
    Item(key="process.open_files", unit="", description="Their open files, sockets included", parameter="group"),
    Item(key="process.age", unit="s", description="Time since the oldest of them was started", parameter="group"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One line of /proc/PID/stat. `cpu_ticks` is what it used itself; `started_ticks` counts from the host's start."""

    pid: str
    name: str
    cpu_ticks: int
    threads: int
    started_ticks: int
    resident_pages: int


@probe("process", items=_ITEMS, parameters=Parameters, may_block=True)
def read_processes(visit: Visit, parameters: Parameters) -> "Iterator[Reading | Failure]":
    """Yield sums over the processes found; with none of them only the count, which is zero then."""
    found = [process for process in _processes(visit) if _is_meant(visit, process, parameters)]
    group, tick = parameters.name, os.sysconf("SC_CLK_TCK")
    yield Reading("process.count", float(len(found)), group)
    if not found:
        return
    yield Reading("process.threads", float(sum(process.threads for process in found)), group)
    yield Reading("process.memory", float(sum(p.resident_pages for p in found) * os.sysconf("SC_PAGE_SIZE")), group)
    # Each by itself, so that one that ended does not look like time given back; a new one counts from its second visit.
    grown = [visit.rate(f"{p.pid} {p.started_ticks}", p.cpu_ticks / tick) for p in found]
    if any(each is not None for each in grown):
        yield Reading("process.cpu", 100.0 * sum(each for each in grown if each is not None), group)
    uptime = float(visit.text("uptime").split()[0])
    yield Reading("process.age", max(0.0, uptime - min(p.started_ticks for p in found) / tick), group)
    if parameters.pss:
        yield from _sum_up("process.memory_pss", [f"{visit.proc}/{p.pid}" for p in found], _pss_bytes, group)
    if parameters.open_files:
        yield from _sum_up("process.open_files", [f"{visit.proc}/{p.pid}" for p in found], _count_files, group)


def parse_stat(text: str) -> Process:
    """Read a line of /proc/PID/stat; the name stands in parentheses and may hold any letter."""
    pid, _, rest = text.partition(" (")
    name, _, figures = rest.rpartition(") ")
    fields = figures.split()
    return Process(
        pid=pid,
        name=name,
        cpu_ticks=int(fields[11]) + int(fields[12]),
        threads=int(fields[17]),
        started_ticks=int(fields[19]),
        resident_pages=int(fields[21]),
    )


def _processes(visit: Visit) -> "Iterator[Process]":
    try:
        names = [name for name in os.listdir(visit.proc) if name.isdigit()]  # noqa: PTH208 - 10 times cheaper than Path
    except OSError as error:
        raise ProbeFailedError(f"{visit.proc}: {error.strerror}") from error
    for name in names:
        try:
            yield parse_stat(visit.text(f"{name}/stat"))
        except (ProbeFailedError, IndexError):
            continue  # it ended meanwhile


def _is_meant(visit: Visit, process: Process, parameters: Parameters) -> bool:
    if parameters.command is None:
        if process.name == parameters.name:
            return True
        is_cut = len(process.name) == _KERNEL_NAME_LETTERS and parameters.name.startswith(process.name)
        return is_cut and _command(visit, process).split(" ", 1)[0].rpartition("/")[2] == parameters.name
    return is_found(parameters.command, _command(visit, process))


def _command(visit: Visit, process: Process) -> str:
    """Return the command line; the name in brackets for a kernel thread, as ps(1) shows it."""
    try:
        words = visit.text(f"{process.pid}/cmdline")[:_COMMAND_LETTERS]
    except ProbeFailedError:
        return ""  # it ended meanwhile
    return words.rstrip("\0").replace("\0", " ") or f"[{process.name}]"


def _sum_up(
    item: str, folders: list[str], measure: "Callable[[str], int]", group: str
) -> "Iterator[Reading | Failure]":
    """Yield a sum over all folders, or a failure when one of them may not be read: a part would be no figure."""
    total = 0
    for folder in folders:
        try:
            total += measure(folder)
        except PermissionError:
            yield Failure(f"{item}[{group}]: {folder} is for root only: run the agent as root or do not ask for it")
            return
        except (OSError, ProbeFailedError):
            continue  # it ended meanwhile
    yield Reading(item, float(total), group)


def _pss_bytes(folder: str) -> int:
    with open(f"{folder}/smaps_rollup", encoding="ascii", errors="replace") as file:  # noqa: PTH123 - a kernel file
        return sum(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))


def _count_files(folder: str) -> int:
    return len(os.listdir(f"{folder}/fd"))  # noqa: PTH208 - 10 times cheaper than Path
