"""Puts the restored parts of a restore point together: folders that several of them have become one."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from core.runtime.logging import Log

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

log = Log("bkp")


def join(parts: Sequence[Path], to: Path) -> None:
    """Move what lies at `parts` (at least one, on one file system) into one tree at `to`, where nothing is yet.

    A folder that several have gets owner, mode and time of the first of them. Something may have become a folder, or
    have been one, between two parts' looks at it: the folder stays then, and what else was there is named and left out.
    """
    first, *others = parts
    first.rename(to)
    for each in others:
        _merge(each, to)


def _merge(made: Path, there: Path) -> None:
    if not os.path.lexists(there):
        move(made, there)
    elif _is_folder(made) and _is_folder(there):
        _merge_folders(made, there)
    elif _is_folder(made):
        _tell(there)
        there.unlink()
        move(made, there)
    else:
        if _is_folder(there):
            _tell(there)
        made.unlink()


def _tell(path: Path) -> None:
    words = f"{path.name!a} was a folder and something else while it was saved: the folder comes back"
    log.warning(words)  # whoever restores is shown the words, and no fields


def _merge_folders(made: Path, there: Path) -> None:
    status = there.stat()
    for each in (made, there):
        each.chmod(0o700)
    for entry in sorted(made.iterdir()):
        _merge(entry, there / entry.name)
    made.rmdir()
    there.chmod(stat.S_IMODE(status.st_mode))
    os.utime(there, ns=(status.st_atime_ns, status.st_mtime_ns))


def move(made: Path, there: Path) -> None:
    """Rename; a folder that may not be written to is opened meanwhile, since what ".." means in it changes."""
    mode = made.lstat().st_mode
    is_shut = stat.S_ISDIR(mode) and not mode & stat.S_IWUSR
    if is_shut:
        made.chmod(stat.S_IMODE(mode) | stat.S_IWUSR)
    made.rename(there)
    if is_shut:
        there.chmod(stat.S_IMODE(mode))


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
