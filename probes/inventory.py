"""What of this machine holds data, so that somebody can look whether all of it is backed up.

Said as documents, one of each kind of thing: the server's coverage reads them (docs/backup-schedule.md, Coverage).
"""

import json
import os
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

from core.config.reader import setting
from core.model.things import MOST_CONTAINED, listed, readable
from probes.child import run_program
from probes.contained_servers import contained_servers
from probes.databases import ask_mariadb, ask_postgresql, postgresql_sockets
from probes.declaration import Failure, Item, ProbeFailedError, Reading, Visit, probe
from probes.filesystems import PSEUDO, Mount, parse_mounts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from probes.databases import DatabaseServer

_PATIENCE_SECONDS: Final = 8.0
# What is made anew at each start, belongs to the boot loader, or comes and goes with a medium.
_NOT_DATA: Final = ("/dev", "/proc", "/sys", "/run", "/boot", "/efi", "/media", "/snap", "/tmp", "/var/tmp")  # noqa: S108 - looked at, not used
_LAYERS: Final = ("/var/lib/docker/", "/var/lib/containers/", "/var/lib/containerd/", "/var/lib/kubelet/pods/")
_NO_SPACE: Final = PSEUDO | {"tmpfs", "overlay", "fuse.overlayfs", "swap"}
_SUBVOLUMES: Final = frozenset(("btrfs",))  # one device holds several trees, each with its own root
_LIBVIRT: Final = ("/run/libvirt/libvirt-sock-ro", "/run/libvirt/libvirt-sock", "/run/libvirt/virtqemud-sock-ro")


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Where to look beside the file systems; where nothing is, nothing is said."""

    postgresql: tuple[str, ...] = field(
        default=("/run/postgresql",), metadata=setting("folders in which PostgreSQL servers have their sockets")
    )
    mariadb: tuple[str, ...] = field(
        default=("/run/mysqld/mysqld.sock",), metadata=setting("sockets of MariaDB and MySQL servers")
    )
    libvirt: tuple[str, ...] = field(
        default=("qemu:///system",), metadata=setting("connections of libvirt, where it runs on this machine")
    )


_ITEMS = (
    Item(key="inventory.filesystems", unit="", type="structured", description="File systems that hold data here"),
    Item(
        key="inventory.databases", unit="", type="structured",
        description="Database servers of this machine, and their databases without the servers' own",
    ),
    Item(key="inventory.domains", unit="", type="structured", description="Virtual machines of this machine's libvirt"),
)  # fmt: skip


@probe("inventory", items=_ITEMS, parameters=Parameters, may_block=True, timeout_seconds=60.0)
def read_inventory(visit: Visit, parameters: Parameters) -> "Iterator[Reading | Failure]":
    """Yield what there is of each kind; a server that does not answer hides no other, and is named."""
    places = [mount.point for mount in data_mounts(parse_mounts(visit.text("self/mountinfo")))]
    if visit.proc == "/proc":
        places = [place for place in places if os.path.isdir(place)]  # noqa: PTH112 - a file mounted over a file is none
    names, more = listed(places)
    yield Reading("inventory.filesystems", json.dumps({"names": names, "more": more}))
    servers: list[DatabaseServer] = []
    unknown: list[str] = []
    sockets = [(ask_postgresql, each) for folder in parameters.postgresql for each in postgresql_sockets(folder)]
    sockets += [(ask_mariadb, each) for each in parameters.mariadb if os.path.exists(each)]  # noqa: PTH110 - as above
    for ask, socket in sockets:
        try:
            servers.append(ask(socket))
        except ProbeFailedError as error:
            unknown.append(readable(socket))
            yield Failure(str(error))
    contained = contained_servers(visit.proc)
    found = {
        "servers": [asdict(each) for each in servers],
        "unknown": unknown,
        "contained": [asdict(each) for each in contained[:MOST_CONTAINED]],
        "more_contained": len(contained[MOST_CONTAINED:]),
    }
    yield Reading("inventory.databases", json.dumps(found))
    if parameters.libvirt and any(os.path.exists(each) for each in _LIBVIRT):  # noqa: PTH110 - as above
        names, more = listed([name for uri in parameters.libvirt for name in _domains(uri)])
        yield Reading("inventory.domains", json.dumps({"names": names, "more": more}))


def data_mounts(mounts: list[Mount]) -> list[Mount]:
    """Return the mounts of this machine's own data, one a file system, at its shortest path.

    The root file system is none of them: it is the host itself. Nor are those of other machines, which hold them.
    """
    found: dict[tuple[str, str], Mount] = {}
    for mount in sorted(mounts, key=lambda mount: (len(mount.point), mount.point)):
        if mount.type not in _NO_SPACE and not mount.is_remote:
            tree = mount.root if mount.type in _SUBVOLUMES else ""
            found.setdefault((mount.device, tree), mount)
    return [mount for mount in found.values() if mount.point != "/" and not _is_aside(mount.point)]


def _is_aside(point: str) -> bool:
    return point.startswith(_LAYERS) or any(point == each or point.startswith(f"{each}/") for each in _NOT_DATA)


def _domains(uri: str) -> list[str]:
    """Return the names of all domains, running or not."""
    words = ["virsh", "--readonly", "--quiet", "--connect", uri, "list", "--all", "--name"]
    ended = run_program(words, _PATIENCE_SECONDS, most_output_bytes=1 << 20)
    if ended.status != 0 or ended.is_cut:
        raise ProbeFailedError(f"libvirt does not say which domains there are: {' '.join(ended.errors.split())[-300:]}")
    return [line.strip() for line in ended.output.splitlines() if line.strip()]
