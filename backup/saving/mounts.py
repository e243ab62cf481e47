"""File systems mounted below a folder: what a run mounts there must be gone before the folder is emptied."""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path
from typing import Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_MNT_DETACH: Final = 2
_MOUNTS: Final = Path("/proc/self/mountinfo")  # proc(5): the fifth word is the place, odd letters as \040
_OCTAL: Final = re.compile(rb"\\([0-7]{3})")


def mounts_below(folder: Path) -> list[Path]:
    """Return where file systems are mounted at or below `folder`, the deepest first."""
    top = os.fsencode(folder.resolve())
    places = [
        _OCTAL.sub(lambda found: bytes([int(found[1], 8)]), line.split(b" ")[4])
        for line in _MOUNTS.read_bytes().splitlines()
    ]
    found = [Path(os.fsdecode(place)) for place in places if place == top or place.startswith(top + b"/")]
    return sorted(found, key=lambda place: len(place.parts), reverse=True)


def unmount_below(folder: Path) -> None:
    """Unmount what a killed run left mounted at or below `folder`. Raises OSError."""
    for place in mounts_below(folder):
        unmount(place)


def unmount(place: Path) -> None:
    """Take a file system away at once, also one whose server is dead or that is in use. Raises OSError."""
    if _LIBC.umount2(os.fsencode(place), _MNT_DETACH) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(place))
