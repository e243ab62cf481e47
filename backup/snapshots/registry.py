"""The kinds of snapshots there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from backup.snapshots.btrfs import Btrfs
from backup.snapshots.lvm import Lvm
from backup.snapshots.zfs import Zfs

if TYPE_CHECKING:
    from backup.runtime.mounts import Mount
    from backup.snapshots.contract import SnapshotKind

KINDS: Final[tuple[SnapshotKind, ...]] = (Btrfs(), Lvm(), Zfs())


def kind_for(mount: Mount) -> SnapshotKind | None:
    """Return the kind that can make snapshots of a mount; None when there is none."""
    return next((kind for kind in KINDS if kind.is_for(mount)), None)
