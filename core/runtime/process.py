"""Whether a process is there, and is the one it was: its number is given to another one when it has ended."""

from __future__ import annotations

import os
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def mark_of(pid: int) -> str | None:
    """Return what no other process has: the boot, and when in it this one was started; None where nobody tells."""
    try:
        started = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
        return f"{_BOOT.read_text(encoding='ascii').strip()}/{started}"
    except (OSError, IndexError):
        return None


def own_mark() -> str | None:
    """Return the mark of this process, to be written down beside its number."""
    return mark_of(os.getpid())


def is_alive(pid: int, mark: str | None = None) -> bool:
    """Tell whether a process of that number exists, whoever's it is; with a mark, whether it is the one that had it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    found = None if mark is None else mark_of(pid)
    return found is None or found == mark
