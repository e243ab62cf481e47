"""Looking at processes through /proc: who is there, whose child, as whom."""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Living:
    """A process by id and start time, so that a number used again is not taken for it."""

    pid: int
    started: int

    @property
    def is_there(self) -> bool:
        """Whether it still runs; a zombie does not."""
        found = _stat(self.pid)
        return found is not None and found[0] == self and found[2] != "Z"

    @property
    def command(self) -> str:
        """Its command line; empty when it is gone."""
        return command_of(self.pid)


def command_of(pid: int) -> str:
    """Return the command line of whoever has this id; empty when nobody has."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def living(pid: int) -> Living:
    """Return the process that has this id now."""
    found = _stat(pid)
    assert found is not None, f"there is no process {pid}"
    return found[0]


def family(pids: Iterable[int]) -> set[Living]:
    """Return these processes and all their descendants, as far as they are there."""
    children: dict[int, list[int]] = {}
    everybody: dict[int, Living] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (found := _stat(int(entry.name))) is not None:
            everybody[found[0].pid] = found[0]
            children.setdefault(found[1], []).append(found[0].pid)
    todo, members = list(pids), set[Living]()
    while todo:
        pid = todo.pop()
        if pid in everybody and everybody[pid] not in members:
            members.add(everybody[pid])
            todo += children.get(pid, [])
    return members


def children_of(pid: int) -> set[Living]:
    """Return the children of a process."""
    return {one for one in family([pid]) if (found := _stat(one.pid)) is not None and found[1] == pid}


def status_inside(pid: int) -> dict[str, str]:
    """Return /proc/PID/status as the process's own user namespace shows it."""
    if Path(f"/proc/{pid}/ns/user").readlink() == Path("/proc/self/ns/user").readlink():
        text = Path(f"/proc/{pid}/status").read_text()
    else:
        command = ["nsenter", "--user", "--preserve-credentials", f"--target={pid}", "cat", f"/proc/{pid}/status"]
        text = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def signal_if_there(one: Living, number: int) -> None:
    """Signal the very process, if it is still there."""
    if one.is_there:
        with suppress(ProcessLookupError):  # it has ended since
            os.kill(one.pid, number)


def signal_any(pid: int, number: int) -> None:
    """Signal a process that may be another user's: TimescaleDB's server runs under its own account."""
    try:
        os.kill(pid, number)
    except PermissionError:
        subprocess.run(["sudo", "-n", "sh", "-c", f"kill -{int(number)} {pid}"], check=True, timeout=60)


def _stat(pid: int) -> tuple[Living, int, str] | None:
    """Return process, parent and state; None when there is none."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return Living(pid, int(after_name[19])), int(after_name[1]), after_name[0]
