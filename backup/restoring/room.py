"""Whether what is to come has room: asked before anything is fetched."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from backup.errors import DestinationInUse, WorkFailed
from backup.model import Role

if TYPE_CHECKING:
    from pathlib import Path

    from backup.model import Manifest


def existing(folder: Path) -> Path:
    """Return the folder itself, or the nearest one above it that is there."""
    found = folder.absolute()
    while not found.is_dir():
        found = found.parent
    return found


def free_bytes(place: Path) -> int:
    """Return what is free on the disk of a place that need not be there yet."""
    return shutil.disk_usage(existing(place)).free


def demand_room(needed_bytes: int, place: Path) -> None:
    """Return when so much fits at a place beside what is there: nothing is replaced before all has come.

    Raises DestinationInUse.
    """
    free = free_bytes(place)
    if needed_bytes > free:
        raise DestinationInUse(
            f"{_mib(needed_bytes)} may come, {_mib(free)} are free at {existing(place)}: choose another --to; on a file"
            " system that compresses --despite-room begins all the same"
        )


def demand_work_room(manifest: Manifest, work: Path) -> None:
    """Return when the work folder has room for one volume at a time, the least that is needed. Raises WorkFailed."""
    volume = max((each.size_bytes for each in manifest.volumes if each.role is Role.VOLUME), default=0)
    free = free_bytes(work)
    if volume > free:
        raise WorkFailed(
            f"a volume of {_mib(volume)} has to be brought to {work}, where {_mib(free)} are free: make room, or name"
            " another folder with --work"
        )


def _mib(number: int) -> str:
    return f"{number / (1 << 20):.1f} MiB"
