"""File systems mounted in a tree: which there are, and to mount and unmount them."""

from __future__ import annotations

import ctypes
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_MNT_DETACH: Final = 2
_MS_RDONLY: Final = 1
_MS_NOSUID: Final = 1 << 1
_MS_NODEV: Final = 1 << 2
_MS_NOEXEC: Final = 1 << 3
_MS_BIND: Final = 1 << 12
_MS_PRIVATE: Final = 1 << 18
_MOUNTS: Final = Path("/proc/thread-self/mountinfo")  # not the process': a thread may have a namespace of its own
_NO_DATA: Final = frozenset(
    (
        "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "efivarfs",
        "fusectl", "hugetlbfs", "mqueue", "nsfs", "overlay", "proc", "pstore", "securityfs", "squashfs", "sysfs",
        "tmpfs", "tracefs",
    )
)  # fmt: skip
_OCTAL: Final = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A mounted file system: proc(5), "mountinfo".

    device: as in st_dev; of btrfs that of the whole file system. root: what of it is mounted, as a path in it. place:
    where. kind: "ext4", "btrfs" … source: its device, mostly. is_read_only: the file system as a whole.
    """

    id: int
    device: int
    root: Path
    place: Path
    kind: str
    source: str
    is_read_only: bool

    @property
    def is_a_look(self) -> bool:
        """Whether the kernel mounted it as somebody looked into ZFS's folder of snapshots: no data, and soon gone."""
        return self.kind == "zfs" and "@" in self.source and self.place.parts[-3:-1] == (".zfs", "snapshot")


def read_mounts(table: bytes) -> list[Mount]:
    """Read a mountinfo, whose order is that of mounting."""
    return [_read_mount(line) for line in table.splitlines()]


def _read_mount(line: bytes) -> Mount:
    before, _, after = line.partition(b" - ")
    first, last = before.split(b" "), after.split(b" ")
    major, _, minor = first[2].partition(b":")
    return Mount(
        id=int(first[0]),
        device=os.makedev(int(major), int(minor)),
        root=_path(first[3]),
        place=_path(first[4]),
        kind=last[0].decode(),
        source=str(_path(last[1])),
        is_read_only=b"ro" in last[2].split(b","),
    )


def _path(word: bytes) -> Path:
    r"""Return a path of a mountinfo, in which odd letters stand as \040."""
    return Path(os.fsdecode(_OCTAL.sub(lambda found: bytes([int(found[1], 8)]), word)))


def visible_mounts() -> list[Mount]:
    """Return the mounts of the calling thread's namespace that no later one hides, the highest first."""
    every = read_mounts(_MOUNTS.read_bytes())
    found = [each for each in every if not each.is_a_look and _mount_at(each.place) == each.id]
    return sorted(found, key=lambda each: len(each.place.parts))


def _mount_at(place: Path) -> int | None:
    """Return the number of the mount that a path leads to; None when it leads nowhere."""
    try:
        descriptor = os.open(place, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        told = Path(f"/proc/thread-self/fdinfo/{descriptor}").read_text(encoding="ascii")
    finally:
        os.close(descriptor)
    return next(int(line.split()[1]) for line in told.splitlines() if line.startswith("mnt_id:"))


def mounts_below(folder: Path) -> list[Path]:
    """Return where file systems are mounted at or below `folder`, the deepest first."""
    return [each.place for each in _below(folder)]


def data_mounts_below(folder: Path) -> list[Path]:
    """Return the same without what the kernel makes up and containers' layers: of these there may be thousands."""
    return [each.place for each in _below(folder) if each.kind not in _NO_DATA and not each.is_a_look]


def _below(folder: Path) -> list[Mount]:
    top = folder.resolve()
    found = [each for each in read_mounts(_MOUNTS.read_bytes()) if each.place.is_relative_to(top)]
    return sorted(found, key=lambda each: len(each.place.parts), reverse=True)


def unmount_below(folder: Path) -> None:
    """Unmount what a killed run left mounted at or below `folder`. Raises OSError."""
    for place in mounts_below(folder):
        unmount(place)


def unmount(place: Path) -> None:
    """Take a file system away at once, also one whose server is dead or that is in use. Raises OSError."""
    if _LIBC.umount2(os.fsencode(place), _MNT_DETACH) != 0:
        _fail(place)


def mount_device(source: str, place: Path, kind: str, options: str) -> None:
    """Mount a file system for looking at it: nothing on it is started, no device of it opened. Raises OSError."""
    _mount(source, place, kind, options, 0)


def mount_read_only(source: str, place: Path, kind: str, options: str) -> None:
    """Do the same so that no file of it can be changed; the kernel may still bring its journal to its end."""
    _mount(source, place, kind, options, _MS_RDONLY)


def _mount(source: str, place: Path, kind: str, options: str, more: int) -> None:
    flags = ctypes.c_ulong(_MS_NOSUID | _MS_NODEV | _MS_NOEXEC | more)
    if _LIBC.mount(source.encode(), os.fsencode(place), kind.encode(), flags, options.encode()) != 0:
        _fail(place)


def bind(folder: Path, place: Path) -> None:
    """Show a folder or file at another place too, without what is mounted in it; no change elsewhere undoes that.

    Raises OSError.
    """
    if _LIBC.mount(os.fsencode(folder), os.fsencode(place), None, ctypes.c_ulong(_MS_BIND), None) != 0:
        _fail(place)
    if _LIBC.mount(None, os.fsencode(place), None, ctypes.c_ulong(_MS_PRIVATE), None) != 0:
        _fail(place)


def _fail(place: Path) -> None:
    number = ctypes.get_errno()
    raise OSError(number, os.strerror(number), str(place))
