"""Tells that duplicity will never end: it fails to write, and then waits for a gpg that waits to be read.

On a full disk a write raises in its main thread, whose clean-up waits for gpg without reading it any more; nothing is
logged before it ends, which it does not. What gives it away: not one thread of its process group wakes up.
"""

from __future__ import annotations

import errno
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backup.errors import EngineFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from backup.errors import BackupError

_PROC: Final = Path("/proc")
_LOOK_SECONDS: Final = 3.0
_DOUBT_SECONDS: Final = 9.0  # without any thread waking up before the disks are tried
_MOST_SECONDS: Final = 900.0  # more than any of duplicity's waits for a target, all its tries together
_PROBE_BYTES: Final = 64 << 10
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
FULL_WORDS: Final = ("No space left on device", "Disk quota exceeded")


class Standstill:
    """Watches the process groups of some duplicities; `look` is called about every second for each."""

    def __init__(self, folders: Mapping[Path, type[BackupError]], now: Callable[[], float] = time.monotonic) -> None:
        """`folders`: where they write, each with the error that its disk being full is."""
        self._folders, self._now = folders, now
        self._seen: dict[int, tuple[int, float]] = {}
        self._looked_at: dict[int, float] = {}

    def look(self, group: int) -> None:
        """Raise the error of a folder whose disk is full, EngineFailed when a group stands still all the same.

        Only what stands still is asked; what cannot be told (no /proc) leaves the time limit in charge.
        """
        now = self._now()
        if now - self._looked_at.get(group, -_LOOK_SECONDS) < _LOOK_SECONDS:
            return
        self._looked_at[group] = now
        woken = _times_woken(group)
        before, since = self._seen.get(group, (None, now))
        if woken is None or woken != before:
            self._seen[group] = (woken or 0, now)
            return
        if now - since >= _DOUBT_SECONDS:
            self.demand_room()
        if now - since >= _MOST_SECONDS:
            raise EngineFailed(f"duplicity did not go on for {_MOST_SECONDS / 60:.0f} minutes and was ended")

    def demand_room(self, words: str = "") -> None:
        """Return when each folder can be written to. `words` of a duplicity that ended may tell it too."""
        for folder, kind in self._folders.items():
            if _is_full(folder):
                raise kind(f"the disk of {folder} is full, so nothing was restored: make room there, or name another")
        if any(each in words for each in FULL_WORDS):
            places = " or ".join(str(each) for each in self._folders)
            kind = next(iter(self._folders.values()))
            raise kind(f"a disk was full ({places}), so nothing was restored: make room there, or name another")


def _is_full(folder: Path) -> bool:
    """Tell whether nothing more can be written, by writing: quotas and reserves are not in what is called free."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\1" * _PROBE_BYTES)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno in _FULL
    return False


def _times_woken(group: int) -> int | None:
    """Return how often threads of a process group were given a processor, in all; None: one waits for a disk.

    None too where it cannot be told.
    """
    found = seen = 0
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        if not entry.name.isdecimal():
            continue
        with suppress(OSError, IndexError, ValueError):  # it has ended meanwhile
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) != group:
                continue
            if fields[0] == "D":
                return None
            for task in (entry / "task").iterdir():
                for line in (task / "status").read_text().splitlines():
                    if "ctxt_switches" in line:
                        found += int(line.split()[1])
                        seen += 1
    return found if seen else None
