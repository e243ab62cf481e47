"""Folders of our own for a while: private, gone at the end, and cleared by the next one when their process was killed.

Each has a lock that its process holds and the kernel lets go of, whatever ends it: the same on a disk that several
machines share.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backup.errors import BackupError
from backup.restoring.clearing import clear
from core.runtime.logging import Log

if TYPE_CHECKING:
    from collections.abc import Iterator

log = Log("bkp")

_LOCK: Final = ".lock"


@contextlib.contextmanager
def private_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Make a folder of this prefix in `parent` after clearing those of processes that are gone. Raises OSError."""
    clear_left_over(parent, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    lock = None
    try:
        lock = _locked(folder)
        yield folder
    finally:
        _clear_quietly(folder)
        if lock is not None:
            os.close(lock)


def clear_left_over(parent: Path, prefix: str) -> None:
    """Remove the folders of this prefix that are ours and of a process that is gone; name what cannot be told."""
    try:
        found = [each for each in sorted(parent.iterdir()) if each.name.startswith(prefix)]
    except OSError:
        return  # whoever makes a folder there is told
    for folder in found:
        try:
            if not folder.is_dir() or folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            if folder.exists():
                _say(f"{folder} may be of a restore that was killed: remove it when none is under way")
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue  # its process lives
        else:
            _say(f"{folder} was left by a restore that was killed: it is removed")
            _clear_quietly(folder)
        finally:
            os.close(lock)


def _locked(folder: Path) -> int:
    """Return the held lock of a folder; it is held before it can be found."""
    making = folder / f"{_LOCK}.new"
    lock = os.open(making, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        making.rename(folder / _LOCK)
    except OSError:
        os.close(lock)
        raise
    return lock


def _clear_quietly(folder: Path) -> None:
    try:
        clear(folder)
    except BackupError as error:
        _say(str(error))


def _say(words: str) -> None:
    log.warning(words)  # whoever restores is shown the words, and no fields
