"""A ZFS pool of a test's own, in a file: for the machine whose kernel has ZFS."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.btrfs import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POOL = "tank"
_BYTES = 512 << 20


@dataclass(frozen=True)
class ZfsPool:
    """The dataset at `data` has another one mounted in it, at `inner`, and in that one more, at `innermost`."""

    data: Path

    @property
    def inner(self) -> Path:
        return self.data / "inner"

    @property
    def innermost(self) -> Path:
        return self.inner / "with space"

    def snapshots(self) -> set[str]:
        """Return the names of those that are there."""
        listed = run("zfs", "list", "-H", "-t", "snapshot", "-o", "name", "-r", POOL)
        return set(filter(None, listed.split("\n")))

    @contextmanager
    def with_little_room(self) -> Iterator[None]:
        """Leave a hundredth of it free."""
        available = int(run("zfs", "list", "-H", "-p", "-o", "available", POOL))
        run("zfs", "create", "-o", "mountpoint=none", "-o", f"reservation={available * 99 // 100}", f"{POOL}/filler")
        try:
            yield
        finally:
            run("zfs", "destroy", f"{POOL}/filler")


@contextmanager
def zfs_pool(folder: Path) -> Iterator[ZfsPool]:
    """Make one below a folder; needs root."""
    pool = ZfsPool(data=folder / "data")
    image = folder / "zfs.image"
    with image.open("wb") as file:
        file.truncate(_BYTES)
    run("zpool", "create", "-o", "cachefile=none", "-O", "mountpoint=none", POOL, str(image))
    run("zfs", "create", "-o", f"mountpoint={pool.data}", f"{POOL}/data")
    run("zfs", "create", f"{POOL}/data/inner")
    run("zfs", "create", f"{POOL}/data/inner/with space")
    try:
        yield pool
    finally:
        run("zpool", "destroy", "-f", POOL)
