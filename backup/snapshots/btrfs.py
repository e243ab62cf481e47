"""Snapshots of btrfs subvolumes, made and removed by the program `btrfs`.

The file system's own top is mounted in the run's namespace: from there every subvolume can be reached, whatever of it
is mounted elsewhere. Snapshots lie in a folder of ours at that top, which no set of paths ever saves.
"""

from __future__ import annotations

import errno
import os
import re
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backup.errors import SourceFailed, TimedOut
from backup.runtime.mounts import mount_device
from backup.snapshots.own_folder import NAME, OwnFolder
from backup.snapshots.tool import Tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backup.runtime.mounts import Mount
    from backup.runtime.namespace import MountNamespace
    from backup.snapshots.contract import Ground
    from backup.snapshots.own_folder import RunFolder

# btrfs(5) of the kernel: a subvolume's own folder is number 256 in it; in a snapshot of what holds it an empty folder
# stands for it, which is number 2 on the device of the file system as a whole.
_TOP_NUMBER: Final = 256
_STAND_IN_NUMBER: Final = 2
_LISTED: Final = re.compile(r"ID \d+ gen \d+ top level \d+ path (.+)")
_AT_ONCE: Final = 100
_BTRFS: Final = Tool("btrfs", "btrfs-progs")


class Btrfs:
    """The kind."""

    name = "btrfs"

    def is_for(self, mount: Mount) -> bool:
        """Whether it is a btrfs."""
        return mount.kind == self.name

    def lack(self, mount: Mount) -> str | None:
        """Return what is missing for snapshots of it."""
        if mount.is_read_only:
            return "it is mounted read-only"
        return _BTRFS.lack()

    @contextmanager
    def open(self, mount: Mount, ground: Ground) -> Iterator[BtrfsFileSystem]:
        """Mount its top, and remove what killed runs left there."""
        namespace, folder = ground.namespace, ground.folder
        try:
            namespace.within(lambda: mount_device(mount.source, folder, self.name, "subvolid=5"))
            own = namespace.within(lambda: OwnFolder(folder))
        except OSError as error:
            raise SourceFailed(f"the top of the btrfs at {mount.place} cannot be used: {error}") from error
        with own:
            opened = BtrfsFileSystem(namespace, folder, mount.device)
            for dead in own.dead():
                opened.remarks += opened.remove(own, dead)
            try:
                opened.run_folder = own.claim()
            except OSError as error:
                raise SourceFailed(
                    f"no snapshot can be made in the btrfs at {mount.place}: {error.strerror}"
                ) from error
            try:
                yield opened
            finally:
                opened.remove(own, opened.run_folder)


class BtrfsFileSystem:
    """One btrfs, its top mounted at a folder in the namespace."""

    def __init__(self, namespace: MountNamespace, top: Path, device: int) -> None:
        self._namespace, self._top = namespace, top
        self._made: dict[Path, tuple[Path, datetime]] = {}
        self.run_folder: RunFolder | None = None
        self.stand_in = (device, _STAND_IN_NUMBER)
        self.remarks: list[str] = []

    def inner(self, mount: Mount) -> list[Path]:
        """Return the subvolumes below what is mounted, but for snapshots of ours."""
        listed = self._btrfs("list", str(self._top), doing=f"listing the subvolumes of {mount.place}")
        found = []
        for line in filter(None, listed.split("\n")):
            match = _LISTED.fullmatch(line)
            if match is None:
                raise SourceFailed(f"{mount.place}: a subvolume is called what no list can name: {line!r}")
            path = Path("/", match[1])
            if path != mount.root and path.is_relative_to(mount.root) and path.parts[1] != NAME:
                found.append(path.relative_to(mount.root))
        return found

    def freeze(self, mount: Mount, inner: Path) -> tuple[Path, datetime]:
        """Make a snapshot of the subvolume that a place lies in, unless there is one."""
        path = self.live(mount, inner)
        try:
            subvolume = self._namespace.within(lambda: _subvolume_of(path))
        except OSError as error:
            raise SourceFailed(f"{mount.place / inner} cannot be found in its btrfs: {error.strerror}") from error
        if subvolume not in self._made:
            assert self.run_folder is not None  # noqa: S101 - for the type checker: it is claimed at once
            snapshot = self._top / NAME / self.run_folder.name / str(len(self._made))
            at = datetime.now(UTC)
            doing = f"making a snapshot of {mount.place / inner}"
            self._btrfs("snapshot", "-r", str(subvolume), str(snapshot), doing=doing)
            self._made[subvolume] = (snapshot, at)
        snapshot, at = self._made[subvolume]
        return snapshot / path.relative_to(subvolume), at

    def live(self, mount: Mount, inner: Path) -> Path:
        """Return where a subvolume lies below the top."""
        return self._top / mount.root.relative_to("/") / inner

    def lost(self) -> None:
        """None is: where room is short, writing fails, and snapshots stay whole."""

    def remove(self, own: OwnFolder, folder: RunFolder) -> list[str]:
        """Remove a run's snapshots and its folder; return what is in the way, in words."""
        place = self._top / NAME / folder.name
        try:
            names = [str(place / name) for name in folder.snapshots()]
            for first in range(0, len(names), _AT_ONCE):
                self._btrfs("delete", *names[first : first + _AT_ONCE], doing="removing snapshots")
        except (SourceFailed, TimedOut, OSError) as error:
            return [f"snapshots of a run before could not be removed: {error}"]
        finally:
            own.give_up(folder)
        return []

    def _btrfs(self, action: str, *arguments: str, doing: str) -> str:
        return _BTRFS.run("subvolume", action, *arguments, doing=doing, namespace=self._namespace)


def _subvolume_of(path: Path) -> Path:
    """Return the subvolume that a path lies in. Raises OSError, also when a link has come into its way."""
    if path.resolve(strict=True) != path:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    while path.lstat().st_ino != _TOP_NUMBER:
        path = path.parent
    return path
