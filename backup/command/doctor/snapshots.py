"""What `bkp doctor` finds out about snapshots of files and folders."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

from backup.runtime.mounts import visible_mounts
from backup.snapshots.plan import place_of
from backup.snapshots.registry import kind_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backup.runtime.mounts import Mount
    from backup.settings.source import PathsSettings

    Level = Literal["ok", "warning", "fault"]

_REMEDY = 'mend that, or set the set\'s `paths.snapshot` to "auto" (where they can be had) or "none"'


def examine_snapshots(paths: PathsSettings) -> Iterator[tuple[Level, str, str]]:
    """Yield level, text and remedy for each root of a set that wants snapshots.

    What lies below a root on another file system only a run finds, and the subvolumes.
    """
    if paths.snapshot == "none":
        return
    mounts = {mount.place: mount for mount in visible_mounts()}
    for root in paths.roots:
        if not os.path.exists(root):  # noqa: PTH110 - also where we may not look
            continue  # the run says so, with snapshots and without
        try:
            lack = _lack(mounts[place_of(root.resolve(), mounts)])
        except ValueError:
            lack = "what is mounted here cannot be told, as in a chroot"
        if lack is None:
            yield "ok", f"{root} is saved from snapshots", ""
        else:
            level: Level = "fault" if paths.snapshot == "required" else "warning"
            yield level, f"{root} has no snapshots: {lack}", _REMEDY


def _lack(mount: Mount) -> str | None:
    kind = kind_for(mount)
    if kind is None:
        return f"{mount.kind} at {mount.place} offers none that can be made here"
    if os.geteuid() != 0:
        return f"making them of {mount.place} needs root"
    return kind.lack(mount)
