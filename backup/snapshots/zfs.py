"""Snapshots of ZFS datasets, made and destroyed by the program `zfs`.

What a run wants of one pool it has as of one instant, by one command. A snapshot is mounted in the run's namespace, and
as long as it is, ZFS lets nobody destroy it. In the folder `.zfs/snapshot` the kernel would mount it for everybody.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from backup.errors import SourceFailed, TimedOut
from backup.runtime.mounts import mount_read_only, unmount
from backup.snapshots.run_lock import is_left, named_run
from backup.snapshots.zfs_datasets import (
    ZFS,
    ask,
    command,
    destroy,
    destroy_left,
    is_name_of_ours,
    lack_of_room,
    mark,
    pool_of,
    snapshots_in,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backup.runtime.mounts import Mount
    from backup.snapshots.contract import Ground
    from backup.snapshots.own_folder import OwnFolder


class Zfs:
    """The kind."""

    name = "ZFS"

    def is_for(self, mount: Mount) -> bool:
        """Whether it is a dataset."""
        return mount.kind == "zfs"

    def lack(self, mount: Mount) -> str | None:
        """Return what is missing for snapshots of it: the program, the right to use it, or room."""
        if "@" in mount.source:
            return f"{mount.source} is a snapshot itself, which stays as it is"
        if (missing := ZFS.lack()) is not None:
            return missing
        columns = ("-t", "filesystem", "-d", "0", "-o", "name,used,available")
        try:
            return lack_of_room(
                ask("list", *columns, pool_of(mount.source), doing=f"looking at the pool of {mount.place}")
            )
        except (SourceFailed, TimedOut) as error:
            return str(error)

    @contextmanager
    def open(self, mount: Mount, ground: Ground) -> Iterator[ZfsDataset]:
        """Join what is made in its pool; the first one there removes what killed runs left."""
        name = pool_of(mount.source)
        with ExitStack() as stack:
            pool = next(
                (each.pool for each in ground.beside if isinstance(each, ZfsDataset) and each.pool.name == name), None
            )
            remarks = []
            if pool is None:
                run, own = stack.enter_context(named_run())
                remarks = _destroy_left(name, own)
                pool = Pool(name, run)
                stack.callback(pool.destroy)
            opened = ZfsDataset(mount.source, pool, ground, remarks)
            stack.callback(opened.take_away)
            yield opened


class Pool:
    """The snapshots of one run in a pool."""

    def __init__(self, name: str, run: str) -> None:
        self.name, self._run = name, run
        self._wanted: list[str] = []
        self._taken_at: dict[str, datetime] = {}
        self._begun: set[str] = set()

    def want(self, dataset: str) -> None:
        """Note a dataset, for when the first snapshot is made."""
        self._wanted.append(dataset)

    def snapshot_of(self, dataset: str) -> str:
        """Return what the snapshot of a dataset is called."""
        return f"{dataset}@{self._run}"

    def freeze(self, dataset: str, doing: str) -> datetime:
        """Make the snapshots of all that are wanted, unless there is one of this; return its instant.

        When one of them is in the way of the others, of this one alone. Raises SourceFailed, TimedOut.
        """
        if dataset not in self._taken_at:
            missing = [each for each in self._wanted if each not in self._taken_at]
            try:
                self._make(missing, doing)
            except SourceFailed:
                if missing == [dataset]:
                    raise
                self._make([dataset], doing)
        return self._taken_at[dataset]

    def _make(self, datasets: list[str], doing: str) -> None:
        at = datetime.now(UTC)
        self._begun.update(datasets)
        command("snapshot", "-o", mark(), *map(self.snapshot_of, datasets), doing=doing)
        self._taken_at |= dict.fromkeys(datasets, at)

    def destroy(self) -> None:
        """Destroy what was made; what cannot be destroyed the next run finds."""
        for dataset in sorted(self._begun):
            with suppress(SourceFailed, TimedOut):
                destroy(self.snapshot_of(dataset))


class ZfsDataset:
    """One dataset; its snapshot is mounted when the first of its mounts asks for it."""

    stand_in = None

    def __init__(self, name: str, pool: Pool, ground: Ground, remarks: list[str]) -> None:
        self._name, self.pool, self._ground = name, pool, ground
        self._is_mounted = False
        self.remarks = remarks
        pool.want(name)

    def inner(self, _mount: Mount) -> list[Path]:
        """All that lies in it is in its snapshot: a dataset below it is a mount of its own."""
        return []

    def freeze(self, mount: Mount, inner: Path) -> tuple[Path, datetime]:
        """Make its snapshot, with those of the others in its pool, and mount it."""
        taken_at = self.pool.freeze(self._name, f"making a snapshot of {mount.place}")
        folder = self._ground.folder
        if not self._is_mounted:
            snapshot = self.pool.snapshot_of(self._name)
            try:
                self._ground.namespace.within(lambda: mount_read_only(snapshot, folder, "zfs", ""))
            except OSError as error:
                raise SourceFailed(f"the snapshot of {mount.place} cannot be mounted: {error.strerror}") from error
            self._is_mounted = True
        return folder / mount.root.relative_to("/") / inner, taken_at

    def live(self, mount: Mount, inner: Path) -> Path:
        """Return where it is mounted."""
        return mount.place / inner

    def lost(self) -> str | None:
        """Ask ZFS whether it is there still."""
        if not self._is_mounted:
            return None
        if self.pool.snapshot_of(self._name) in snapshots_in(self._name, f"looking at the snapshot of {self._name}"):
            return None
        return f"the snapshot of {self._name} was destroyed or renamed while it was read: try again"

    def take_away(self) -> None:
        """Unmount its snapshot: then it can be destroyed."""
        if self._is_mounted:
            with suppress(OSError):
                self._ground.namespace.within(lambda: unmount(self._ground.folder))


def _destroy_left(pool: str, own: OwnFolder) -> list[str]:
    """Destroy what killed runs of this machine left in a pool; return what is in the way, in words."""

    def found() -> list[str]:
        return snapshots_in(pool, f"looking for snapshots of runs before in {pool}", is_below_too=True)

    remarks = []
    for snapshot in filter(is_name_of_ours, found()):
        if is_left(snapshot.partition("@")[2], own):
            try:
                destroy_left(snapshot)
            except (SourceFailed, TimedOut) as error:
                if snapshot in found():  # else its run has done so itself meanwhile, or another
                    remarks.append(f"a snapshot of a run before could not be removed: {error}")
    return remarks
