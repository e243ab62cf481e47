"""The folder in which a run and QEMU meet: sockets and scratch files, as long as a job's guardian lives.

Its guardian inherits a lock on it. A run that was killed leaves its guardian clearing up; the next run of the set has a
folder of the same name, so it waits until the kernel lets go of that lock.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Final

from backup.errors import SourceFailed
from backup.runtime.mounts import unmount_below
from backup.sources.disks import guardian

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backup.sources.disks.domain import Domain
    from backup.sources.disks.virsh import Virsh

_CLEARING_SECONDS: Final = 120.0  # longer than a guardian tries
_LOOK_SECONDS: Final = 0.1


@contextmanager
def made_exchange(folder: Path, domain: Domain) -> Iterator[int]:
    """Make the folder, which its guardian removes; yields the lock for the guardian to inherit. Raises SourceFailed."""
    with ExitStack() as held:
        try:
            folder.mkdir(mode=0o700)
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            held.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if domain.owner is not None and os.geteuid() == 0:
                os.chown(lock, *domain.owner)
        except OSError as error:
            raise SourceFailed(
                f"{folder} cannot be made ({error.strerror}): set `exchange` to a folder QEMU can enter, run as root"
            ) from error
        yield lock


def end_leftovers(virsh: Virsh, name: str, folder: Path) -> None:
    """End what a killed run left once its guardian has ended, of itself or killed too: its job, and that folder.

    Raises SourceFailed when the guardian goes on for two minutes, or the job cannot be ended.
    """
    _await_guardian(folder, name)
    if folder.exists():
        fault = guardian.end_job(virsh.uri, name, str(folder))
        if fault is not None:
            raise SourceFailed(f"a killed run's job of domain {name!r} cannot be ended: {fault}")
        if (folder / "frozen").exists():
            virsh.try_("domfsthaw", f"--domain={name}", doing=f"thawing {name!r}, which a killed run left frozen")
        unmount_below(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _await_guardian(folder: Path, name: str) -> None:
    deadline = time.monotonic() + _CLEARING_SECONDS
    with suppress(FileNotFoundError):
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            while not _took(lock):
                if time.monotonic() > deadline:
                    raise SourceFailed(f"the guardian of a killed run of domain {name!r} is still clearing up {folder}")
                time.sleep(_LOOK_SECONDS)
        finally:
            os.close(lock)


def _took(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
