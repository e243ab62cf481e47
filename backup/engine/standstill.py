"""Tells that duplicity will never end: something failed, and its clean-up waits for a gpg that waits to be read.

So it does when a disk is full, and when a volume of an incremental is damaged; what it logged until then may tell, but
it does not end. What gives it away: not one thread of its process group wakes up, and each waits for another of them.
"""

from __future__ import annotations

import errno
import os
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from backup.errors import BackupError

_PROC: Final = Path("/proc")
_LOOK_SECONDS: Final = 3.0
_DOUBT_SECONDS: Final = 9.0  # without any thread waking up before it is looked why
_MOST_SECONDS: Final = 900.0  # more than any of duplicity's waits for a target, all its tries together
_PROBE_BYTES: Final = 64 << 10
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
FULL_WORDS: Final = ("No space left on device", "Disk quota exceeded")
_WAITING_FOR_EACH_OTHER: Final = ("futex", "do_wait", "pipe_write", "anon_pipe_write")
_READER: Final = "gpg"
_GOES_ON: Final = ("D", "R")  # waits for a disk, or for a processor that others have


class Standstill:
    """Watches the process groups of some duplicities; `look` is called about every second for each."""

    def __init__(self, folders: Mapping[Path, type[BackupError]], now: Callable[[], float] = time.monotonic) -> None:
        """`folders`: where they write, each with the error that its disk being full is."""
        self._folders, self._now = folders, now
        self._seen: dict[int, tuple[int, float]] = {}
        self._looked_at: dict[int, float] = {}
        self._full: BackupError | None = None

    def look(self, group: int) -> bool:
        """Tell whether a group will never end by itself, so that it is to be ended.

        What cannot be told (no /proc) leaves the time limit in charge.
        """
        now = self._now()
        if now - self._looked_at.get(group, -_LOOK_SECONDS) < _LOOK_SECONDS:
            return False
        self._looked_at[group] = now
        threads = _threads(group)
        woken = sum(each.woken for each in threads)
        before, since = self._seen.get(group, (None, now))
        if not threads or woken != before or any(each.state in _GOES_ON for each in threads):
            self._seen[group] = (woken, now)
            return False
        if now - since < _DOUBT_SECONDS:
            return False
        self._full = self._full or self._full_disk()
        return self._full is not None or _wait_for_each_other(threads) or now - since >= _MOST_SECONDS

    def demand_room(self, words: str = "") -> None:
        """Return when no disk was full, nor is, and the `words` of a duplicity that failed tell of none."""
        found = self._full or self._full_disk()
        if found is None and any(each in words for each in FULL_WORDS):
            kind = next(iter(self._folders.values()))
            places = " or ".join(str(each) for each in self._folders)
            found = kind(f"a disk was full ({places}), so nothing was restored: make room there, or name another")
        if found is not None:
            raise found

    def _full_disk(self) -> BackupError | None:
        for folder, kind in self._folders.items():
            if _is_full(folder):
                return kind(f"the disk of {folder} is full, so nothing was restored: make room there, or name another")
        return None


@dataclass(frozen=True, slots=True)
class _Thread:
    """A thread of a process: its program, state and what it waits in, as the kernel calls them; times it was woken."""

    program: str
    state: str
    waits_in: str
    woken: int


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


def _wait_for_each_other(threads: list[_Thread]) -> bool:
    """Tell whether none of them waits for anything outside. What a gpg waits in may be hidden from us."""
    return any(each.program == _READER for each in threads) and all(
        each.waits_in.startswith(_WAITING_FOR_EACH_OTHER) or (each.program == _READER and each.waits_in in ("", "0"))
        for each in threads
    )


def _threads(group: int) -> list[_Thread]:
    """Return the threads of a process group."""
    found: list[_Thread] = []
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        if not entry.name.isdecimal():
            continue
        with suppress(OSError, KeyError, ValueError):  # it has ended meanwhile
            if os.getpgid(int(entry.name)) == group:
                found += [_read_thread(each) for each in (entry / "task").iterdir()]
    return found


def _read_thread(task: Path) -> _Thread:
    status = dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)
    waits_in = ""
    with suppress(OSError):
        waits_in = (task / "wchan").read_text()
    woken = sum(int(status[f"{how}voluntary_ctxt_switches"]) for how in ("", "non"))
    return _Thread(program=status["Name"], state=status["State"][:1], waits_in=waits_in, woken=woken)
