"""How full each mounted filesystem is (proc(5): self/mountinfo; statvfs(3))."""

import os
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from core.config.reader import setting
from probes.declaration import Failure, Item, ProbeFailedError, Reading, Visit, probe
from probes.patterns import Choice, check_patterns

if TYPE_CHECKING:
    from collections.abc import Iterator

# What node_exporter leaves out by default, for the same reason: no space of their own, or read-only by nature.
PSEUDO: Final = frozenset(
    """autofs binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs fusectl fuse.lxcfs hugetlbfs
    iso9660 mqueue nsfs proc procfs pstore ramfs rpc_pipefs securityfs selinuxfs squashfs sysfs tracefs
    """.split()  # noqa: SIM905 - a list of 27 quoted words reads worse
)
_PSEUDO_FOLDERS: Final = ("/dev", "/proc", "/sys", "/run/credentials", "/var/lib/docker", "/var/lib/containers/storage")
_TMPFS_FOLDERS: Final = frozenset(("/tmp", "/var/tmp", "/run"))  # noqa: S108 - watched, not used
_REMOTE: Final = ("nfs", "cifs", "smb", "ceph", "glusterfs", "fuse.", "9p", "afs", "lustre")
_PATIENCE_SECONDS: Final = 1.0


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Which filesystems to read."""

    mounts: tuple[str, ...] = field(
        default=(),
        metadata=setting("exactly these mount points, and a failure when one is missing; empty: all that are chosen"),
    )
    include: tuple[str, ...] = field(
        default=(),
        metadata=setting("mount points with these regular expressions, whatever they hold", check=check_patterns),
    )
    exclude: tuple[str, ...] = field(
        default=(), metadata=setting("no mount points with these regular expressions", check=check_patterns)
    )
    include_types: tuple[str, ...] = field(
        default=(),
        metadata=setting("filesystem types with these regular expressions, whatever they hold", check=check_patterns),
    )
    exclude_types: tuple[str, ...] = field(
        default=(), metadata=setting("no filesystem types with these regular expressions", check=check_patterns)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One line of the mount table: `device` is "major:minor", `root` what of it is shown."""

    point: str
    device: str
    type: str
    root: str = "/"

    @property
    def is_remote(self) -> bool:
        """Whether reading it needs another machine or program, which may never answer."""
        return self.type.startswith(_REMOTE)


_ITEMS = (
    Item(key="filesystem.total", unit="B", description="Size of the filesystem", parameter="mount point"),
    Item(key="filesystem.free", unit="B", description="Space normal users can still take", parameter="mount point"),
    Item(key="filesystem.used_percent", unit="%", description="Share of the space in use", parameter="mount point"),
    Item(
        key="filesystem.inodes_used_percent",
        unit="%",
        description="Share of the files that can exist which do",
        parameter="mount point",
    ),
)


@probe("filesystems", items=_ITEMS, parameters=Parameters, may_block=True)
def read_filesystems(visit: Visit, parameters: Parameters) -> "Iterator[Reading | Failure]":
    """Yield local filesystems first, so that a dead file server cannot hide them; one that fails hurts no other."""
    mounts = parse_mounts(visit.text("self/mountinfo"))
    chosen = choose_mounts(mounts, parameters)
    for mount in chosen:
        try:
            if mount.is_remote:
                status = visit.call_patiently(mount.point, partial(os.statvfs, mount.point), _PATIENCE_SECONDS)
            else:
                status = os.statvfs(mount.point)
        except OSError as error:
            yield Failure(f"{mount.point}: {error.strerror}")
        except ProbeFailedError as error:
            yield Failure(str(error))
        else:
            yield from _readings(mount.point, status)
    points = {mount.point for mount in chosen}
    for point in parameters.mounts:
        if point not in points:
            yield Failure(f"nothing is mounted at {point}")


def parse_mounts(text: str) -> list[Mount]:
    """Return the mount table in its order; later lines at the same point hide earlier ones."""
    mounts: dict[str, Mount] = {}
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) < 5 or not right:
            continue
        point = _unescape(fields[4])
        mounts[point] = Mount(point=point, device=fields[2], type=right.split(" ", 1)[0], root=fields[3])
    return list(mounts.values())


def choose_mounts(mounts: list[Mount], wanted: Parameters) -> list[Mount]:
    """Return what is worth reading, local ones first: the named, else one mount point a filesystem that holds data.

    What is included by point or type need not hold data. A filesystem mounted in several places counts once, at the
    shortest path that is included; when that is excluded, it is left out.
    """
    if wanted.mounts:
        chosen = [mount for mount in mounts if mount.point in wanted.mounts]
    else:
        included, types = Choice(include=wanted.include), Choice(include=wanted.include_types)
        is_told = bool(wanted.include or wanted.include_types)
        by_device: dict[str, Mount] = {}
        for mount in sorted(mounts, key=lambda mount: (len(mount.point), mount.point)):
            if (is_told or _holds_data(mount)) and included.takes(mount.point) and types.takes(mount.type):
                by_device.setdefault(mount.device, mount)
        # Only then what is excluded: a filesystem must not come back at another of its mount points.
        kept, kept_types = Choice(exclude=wanted.exclude), Choice(exclude=wanted.exclude_types)
        chosen = [each for each in by_device.values() if kept.takes(each.point) and kept_types.takes(each.type)]
    return sorted(chosen, key=lambda mount: mount.is_remote)


def _holds_data(mount: Mount) -> bool:
    if mount.type in PSEUDO or any(
        mount.point == folder or mount.point.startswith(f"{folder}/") for folder in _PSEUDO_FOLDERS
    ):
        return False
    if mount.type == "tmpfs":
        return mount.point in _TMPFS_FOLDERS
    # An overlay shows the space of what lies under it, except at the root of a container, which sees nothing else.
    return mount.type != "overlay" or mount.point == "/"


def _readings(point: str, status: os.statvfs_result) -> "Iterator[Reading]":
    if not status.f_blocks:
        return  # no space of its own after all
    used = status.f_blocks - status.f_bfree
    yield Reading("filesystem.total", float(status.f_blocks * status.f_frsize), point)
    yield Reading("filesystem.free", float(status.f_bavail * status.f_frsize), point)
    # Like df(1): what is reserved for root counts neither as used nor as free.
    yield Reading("filesystem.used_percent", 100.0 * used / max(1, used + status.f_bavail), point)
    if status.f_files:
        inodes = 100.0 * (status.f_files - status.f_ffree) / status.f_files
        yield Reading("filesystem.inodes_used_percent", inodes, point)


def _unescape(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
