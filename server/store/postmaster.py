"""PostgreSQL's postmaster.pid: who runs on a data folder, and whether that is still true."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import signal

_FILE = "postmaster.pid"
_LINES = 8  # pid, data folder, start time, port, socket folder, listen address, shared memory key, status


@dataclass(frozen=True, slots=True, kw_only=True)
class PostmasterFile:
    """What the file said when it was read."""

    path: Path
    pid: int
    port: int
    is_ready: bool

    @property
    def is_alive(self) -> bool:
        """Tell whether the process is there, no zombie, and really a postmaster on this folder.

        A number alone does not count: after a reboot or a kill it may belong to any process, and PostgreSQL itself
        refuses to start when that process happens to be one it may signal.
        """
        try:
            arguments = Path(f"/proc/{self.pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return Path(os.fsdecode(arguments[0])).name == "postgres" and os.fsencode(self.path.parent) in arguments

    def signal(self, number: signal.Signals) -> None:
        """Signal the postmaster, if it is still the one of the file."""
        with suppress(ProcessLookupError):
            if self.is_alive:
                os.kill(self.pid, number)

    def remove(self) -> None:
        """Delete the file of a postmaster that is gone. Its shared memory still guards against left-over children."""
        if not self.is_alive:
            self.path.unlink(missing_ok=True)


def read_postmaster_file(cluster: Path) -> PostmasterFile | None:
    """Return the content of the cluster's file; None when there is none or it is not written to the end yet."""
    path = cluster / _FILE
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return None
    if len(lines) < 4 or not lines[0].strip().lstrip("-").isdigit() or not lines[3].strip().isdigit():
        return None
    status = lines[_LINES - 1].strip() if len(lines) >= _LINES else ""
    return PostmasterFile(path=path, pid=abs(int(lines[0])), port=int(lines[3]), is_ready=status == "ready")
