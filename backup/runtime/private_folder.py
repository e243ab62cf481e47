"""Folders of our own for a while: private, gone at the end, and cleared by the next one when their process was killed.

Each has a lock that its process holds and the kernel lets go of, whatever ends it: the same on a disk that several
machines share.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backup.errors import BackupError
from backup.runtime.clearing import clear
from core.runtime.logging import Log

if TYPE_CHECKING:
    from collections.abc import Iterator

log = Log("bkp")

_LOCK: Final = ".lock"
_SETTLED_SECONDS: Final = 60.0  # a folder that was changed since then may be about to get its lock, or to go


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


@contextlib.contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """Do as `private_folder` where this machine has its temporary files: a short path, as sockets need it."""
    with private_folder(Path(tempfile.gettempdir()), prefix) as folder:
        yield folder


@contextlib.contextmanager
def temporary_file(text: str) -> Iterator[Path]:
    """Make a private file with a text a program is to read, a password maybe. Raises OSError."""
    with temporary_folder("bkp-file-") as folder:
        file = folder / "file"
        file.touch(mode=0o600)
        file.write_text(text, encoding="utf-8")
        yield file


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
            if _is_settled(folder):
                _say(f"{folder} may be of a bkp that was killed: remove it when none is under way")
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue  # its process lives
        else:
            if os.fstat(lock).st_nlink:  # else its process has just cleared it
                _say(f"{folder} was left by a bkp that was killed: it is removed")
                _clear_quietly(folder)
        finally:
            os.close(lock)


def _is_settled(folder: Path) -> bool:
    """Whether a folder is there, and is being neither made nor cleared as far as its time tells."""
    try:
        return abs(time.time() - folder.stat().st_mtime) > _SETTLED_SECONDS
    except OSError:
        return False


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
    """Remove a folder, its lock last: who is killed meanwhile leaves it to the next one."""
    try:
        for each in folder.iterdir():
            if each.name != _LOCK:
                clear(each)
        clear(folder)
    except FileNotFoundError:
        return
    except BackupError as error:
        _say(str(error))


def _say(words: str) -> None:
    log.warning(words)  # whoever restores is shown the words, and no fields
