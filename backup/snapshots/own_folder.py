"""The folder on a file system in which our snapshots lie: one in it for each run, locked for as long as that is alive.

The kernel lets a lock go with its process, so whatever can be locked was left by a run that was killed. Everything here
goes by open folders, whose paths are known in the namespace only.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self

from backup.errors import SourceFailed
from backup.model import instant_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME: Final = ".watchkeep-snapshots"
_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TRIES: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """A folder of one run, which we have locked."""

    name: str
    descriptor: int

    def snapshots(self) -> list[str]:
        """Return the names of what is in it."""
        return _names(self.descriptor)


class OwnFolder:
    """A context: the folder of all runs at the top of a file system."""

    def __init__(self, top: Path) -> None:
        """Make it, or open it. Call it where `top` can be seen. Raises OSError, SourceFailed when it is not ours."""
        with suppress(FileExistsError):
            (top / NAME).mkdir(mode=0o700)
        self._descriptor = os.open(top / NAME, _OPEN)
        status = os.fstat(self._descriptor)
        if status.st_uid != os.geteuid() or status.st_mode & 0o077:
            os.close(self._descriptor)
            raise SourceFailed(f"{NAME} at the top of its file system is open to others: remove it")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def claim(self) -> RunFolder:
        """Make a folder for a run of ours; `give_up` it at its end. Raises OSError."""
        for _ in range(_TRIES):
            name = f"{instant_name(datetime.now(UTC))}-{secrets.token_hex(4)}"
            os.mkdir(name, mode=0o700, dir_fd=self._descriptor)
            made = self._lock(name)
            if made is not None and self._is_there(made):
                return made
        raise FileExistsError(f"{NAME}: others remove what is made there")

    def dead(self) -> Iterator[RunFolder]:
        """Yield the folders of runs that were killed, each to be given up. Raises OSError."""
        for name in _names(self._descriptor):
            found = self._lock(name)
            if found is not None:
                yield found

    def is_alive(self, name: str) -> bool:
        """Whether the run that has, or had, a folder of that name goes on."""
        found = self._lock(name)
        if found is not None:
            self.give_up(found)
        return found is None and name in _names(self._descriptor)

    def give_up(self, folder: RunFolder) -> None:
        """Unlock a run's folder, and remove it when it is empty; else the next run finds it."""
        with suppress(OSError):
            os.rmdir(folder.name, dir_fd=self._descriptor)
        os.close(folder.descriptor)

    def _lock(self, name: str) -> RunFolder | None:
        """Return a folder that is there and nobody else's, locked."""
        try:
            descriptor = os.open(name, _OPEN, dir_fd=self._descriptor)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return None
        return RunFolder(name=name, descriptor=descriptor)

    def _is_there(self, folder: RunFolder) -> bool:
        """Whether nobody took it for a dead run's before we had locked it."""
        try:
            found = os.stat(folder.name, dir_fd=self._descriptor, follow_symlinks=False)
        except OSError:
            os.close(folder.descriptor)
            return False
        return found.st_ino == os.fstat(folder.descriptor).st_ino


def _names(descriptor: int) -> list[str]:
    """Return what is in an open folder now; read by itself, btrfs tells of it as it was when it was opened."""
    now = os.open(".", _OPEN, dir_fd=descriptor)
    try:
        return sorted(os.listdir(now))  # noqa: PTH208 - an open folder
    finally:
        os.close(now)
