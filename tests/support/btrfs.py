"""A small btrfs of a test's own, in a file: its top, and a subvolume mounted by itself as distributions do."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backup.snapshots.own_folder import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_BYTES = 256 << 20


@dataclass(frozen=True)
class BtrfsDisk:
    """`top` has all of it; `data` is its subvolume @data, mounted by itself."""

    top: Path
    data: Path

    def add_subvolume(self, name: str) -> Path:
        """Make one below `data`."""
        run("btrfs", "subvolume", "create", str(self.data / name))
        return self.data / name

    def snapshots(self) -> list[Path]:
        """Return those of ours that are there."""
        return sorted((self.top / NAME).glob("*/*"))


@contextmanager
def btrfs_disk(folder: Path) -> Iterator[BtrfsDisk]:
    """Make one below a folder; needs root. The loop device goes with its last mount."""
    disk = BtrfsDisk(top=folder / "top", data=folder / "data")
    image = folder / "btrfs.image"
    with image.open("wb") as file:
        file.truncate(_BYTES)
    run("mkfs.btrfs", "--quiet", str(image))
    with ExitStack() as stack:
        disk.top.mkdir()
        stack.enter_context(mounted(disk.top, "-o", "loop", str(image)))
        run("btrfs", "subvolume", "create", str(disk.top / "@data"))
        disk.data.mkdir()
        device = run("findmnt", "--noheadings", "--output=SOURCE", str(disk.top)).strip()
        stack.enter_context(mounted(disk.data, "-o", "subvol=@data", device))
        yield disk


@contextmanager
def mounted(place: Path, *arguments: str) -> Iterator[None]:
    """Mount something at a place, with mount's arguments for it."""
    run("mount", *arguments, str(place))
    try:
        yield
    finally:
        run("umount", str(place))


def run(*command: str) -> str:
    """Run a program as root does; return what it writes."""
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=120, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout
