"""Snapshots of LVM's logical volumes, with room of their own or in a thin pool, made and removed by LVM's programs.

A snapshot is a volume beside the one it is of, mounted in the run's namespace. The kernel brings the file system to
order on disk first; a journal that is left all the same is brought to its end in the snapshot.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backup.errors import SourceFailed, TimedOut
from backup.runtime.mounts import mount_read_only, unmount
from backup.snapshots.lvm_volumes import LVM, ask, lack_of_room, room_for_snapshot, volume_of
from backup.snapshots.run_lock import PREFIX, is_left, named_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backup.runtime.mounts import Mount
    from backup.runtime.namespace import MountNamespace
    from backup.snapshots.contract import Ground
    from backup.snapshots.lvm_volumes import Volume
    from backup.snapshots.own_folder import OwnFolder

# A snapshot has its volume's UUID, with which XFS mounts only once; a file system's own wish to stop the machine at a
# bad block is not for a snapshot, which may run full.
_OPTIONS: Final = {"xfs": "nouuid"} | dict.fromkeys(("ext2", "ext3", "ext4"), "errors=continue")


class Lvm:
    """The kind."""

    name = "LVM"

    def is_for(self, mount: Mount) -> bool:
        """Whether its device is a logical volume itself: not one with encryption on it."""
        device = f"{os.major(mount.device)}:{os.minor(mount.device)}"
        try:
            return Path(f"/sys/dev/block/{device}/dm/uuid").read_text(encoding="ascii").startswith("LVM-")
        except OSError:
            return False

    def lack(self, mount: Mount) -> str | None:
        """Return what is missing for snapshots of it: the programs, or room."""
        if (missing := LVM.lack()) is not None:
            return missing
        try:
            volumes = ask(f"looking at the volume of {mount.place}")
            volume = volume_of(volumes, mount.device)
            ours = sum(each.size_bytes for each in volumes if each.group == volume.group and _is_ours(each))
            # What killed runs left goes first, and gives its room back.
            return lack_of_room(replace(volume, group_free_bytes=volume.group_free_bytes + ours), volumes)
        except (SourceFailed, TimedOut) as error:
            return str(error)

    @contextmanager
    def open(self, mount: Mount, ground: Ground) -> Iterator[LvmVolume]:
        """Find its volume, and remove what killed runs left in the group of that."""
        volumes = ask(f"looking at the volume of {mount.place}")
        volume = volume_of(volumes, mount.device)
        with named_run() as (name, own):
            opened = LvmVolume(ground.namespace, ground.folder, volume, name)
            opened.remarks += _remove_left([each for each in volumes if each.group == volume.group], own)
            try:
                yield opened
            finally:
                opened.take_away()


class LvmVolume:
    """One logical volume; its snapshot is made when the first of its mounts asks for it."""

    stand_in = None

    def __init__(self, namespace: MountNamespace, folder: Path, volume: Volume, name: str) -> None:
        self._namespace, self._folder, self._volume = namespace, folder, volume
        self._name = name
        self._taken_at: datetime | None = None
        self._is_made = self._is_mounted = False
        self.remarks: list[str] = []

    def inner(self, _mount: Mount) -> list[Path]:
        """All that lies in it is in its snapshot."""
        return []

    def freeze(self, mount: Mount, inner: Path) -> tuple[Path, datetime]:
        """Make its snapshot and mount it, unless that was done for another of its mounts."""
        if self._taken_at is None:
            at = datetime.now(UTC)
            path = self._make(f"making a snapshot of {mount.place}")
            options = _OPTIONS.get(mount.kind, "")
            try:
                self._namespace.within(lambda: mount_read_only(path, self._folder, mount.kind, options))
            except OSError as error:
                self.take_away()
                raise SourceFailed(f"the snapshot of {mount.place} cannot be mounted: {error.strerror}") from error
            self._is_mounted = True
            self._taken_at = at
        return self._folder / mount.root.relative_to("/") / inner, self._taken_at

    def live(self, mount: Mount, inner: Path) -> Path:
        """Return where it is mounted."""
        return mount.place / inner

    def lost(self) -> str | None:
        """Ask LVM whether the snapshot ran full, or broke: then only what is in memory can still be read."""
        if self._taken_at is None:
            return None
        volume = self._volume
        found = next(
            (each for each in ask("looking at a snapshot", volume.group) if each.name == self._name),
            None,
        )
        if found is None:
            return f"the snapshot of {volume.full_name} was removed while it was read: try again"
        if not found.health:
            return None
        if volume.is_thin:
            return f"the snapshot of {volume.full_name} broke while it was read: {found.health}; see to its thin pool"
        return (
            f"the snapshot of {volume.full_name} ran full while it was read ({found.size_bytes >> 20} MiB):"
            " more was written to the volume meanwhile than there was room for; enlarge its volume group (vgextend), of"
            " which a snapshot gets half of what is free, or save it when less is written"
        )

    def take_away(self) -> None:
        """Remove what there is of its snapshot; what cannot be removed the next run removes."""
        if self._is_mounted:
            with suppress(OSError):
                self._namespace.within(lambda: unmount(self._folder))
        if self._is_made:
            self._is_made = False
            with suppress(SourceFailed, TimedOut):
                LVM.run("lvremove", "--yes", f"{self._volume.group}/{self._name}", doing="removing a snapshot")

    def _make(self, doing: str) -> str:
        """Return the device of a snapshot, which no boot will make active when it is left of a thin one."""
        volumes = ask("looking for room for a snapshot", self._volume.group)
        volume = volume_of(volumes, self._volume.device or 0)
        if (lack := lack_of_room(volume, volumes)) is not None:
            raise SourceFailed(lack)
        made = f"{volume.group}/{self._name}"
        options = ["--yes", "--snapshot", "--name", self._name, "--addtag", _tag()]
        room = [] if volume.is_thin else ["--size", f"{room_for_snapshot(volume)}b"]
        self._is_made = True
        LVM.run("lvcreate", *options, *room, volume.full_name, doing=doing)
        if volume.is_thin:
            LVM.run("lvchange", "--activate", "y", "--ignoreactivationskip", made, doing=doing)
        return f"/dev/{made}"


def _remove_left(volumes: list[Volume], own: OwnFolder) -> list[str]:
    """Remove the snapshots that killed runs of this machine left; return what is in the way, in words."""
    left = [each.full_name for each in volumes if _is_ours(each) and is_left(each.name, own)]
    if left:
        try:
            LVM.run("lvremove", "--yes", *left, doing="removing them")
        except (SourceFailed, TimedOut) as error:
            return [f"snapshots of a run before could not be removed: {error}"]
    return []


def _is_ours(volume: Volume) -> bool:
    return _tag() in volume.tags and volume.name.startswith(PREFIX)


def _tag() -> str:
    """Return what marks the snapshots of this machine: another may see the same group."""
    return f"{PREFIX}of-{os.uname().nodename}"
