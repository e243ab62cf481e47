"""A small file system of a test's own, to be filled to the last byte and emptied again."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class SmallDisk:
    """A file system mounted at `folder`."""

    folder: Path

    @property
    def free_bytes(self) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def fill(self, leave_bytes: int = 0) -> None:
        """Take all room but about `leave_bytes`."""
        descriptor = os.open(self._ballast, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            if self.free_bytes > leave_bytes:
                os.posix_fallocate(descriptor, size, self.free_bytes - leave_bytes)
        finally:
            os.close(descriptor)

    def empty(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)

    @property
    def _ballast(self) -> Path:
        return self.folder / "ballast"


@contextmanager
def small_disk(folder: Path, *, size_mib: int, kind: str = "tmpfs") -> Iterator[SmallDisk]:
    """Mount one at `folder`, which is made; needs root, or sudo without a password. A ramfs has no size."""
    become_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={size_mib}m,mode=0700,uid={os.getuid()},gid={os.getgid()}"
    _run([*become_root, "mount", "-t", kind, "-o", options, "watchkeep-test", str(folder)])
    try:
        yield SmallDisk(folder)
    finally:
        _run([*become_root, "umount", "--lazy", str(folder)])


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=120)
