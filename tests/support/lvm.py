"""A volume group of a test's own, in a file: for the test machine, as it changes LVM's settings."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.btrfs import mounted, run

if TYPE_CHECKING:
    from collections.abc import Iterator

GROUP = "store"
_BYTES = 448 << 20
_SETTINGS = """\
activation { udev_sync = 0 udev_rules = 0 monitoring = 0 reserved_memory = 0 reserved_stack = 0 }
devices { obtain_device_list_from_udev = 0 }
"""


@dataclass(frozen=True)
class VolumeGroup:
    """`thick` is an ext4 of 64 MiB; a thin XFS is mounted in it, at `thin`."""

    thick: Path

    @property
    def thin(self) -> Path:
        return self.thick / "thin"

    def snapshots(self) -> set[str]:
        """Return the names of those that are there."""
        listed = run("lvs", "--noheadings", "--options=lv_name", "--select=origin!=''", GROUP)
        return set(listed.split())

    @contextmanager
    def with_little_room(self, *, free_mib: int) -> Iterator[None]:
        """Leave so much free."""
        free = int(run("vgs", "--noheadings", "--units=m", "--nosuffix", "--options=vg_free", GROUP).split(".")[0])
        run("lvcreate", "--yes", "--name=filler", f"--size={free - free_mib}m", GROUP)
        try:
            yield
        finally:
            run("lvremove", "--yes", f"{GROUP}/filler")


@contextmanager
def volume_group(folder: Path) -> Iterator[VolumeGroup]:
    """Make one below a folder; needs root."""
    Path("/etc/lvm/lvm.conf").write_text(_SETTINGS)  # the machine has no udev
    group = VolumeGroup(thick=folder / "thick")
    image = folder / "lvm.image"
    with image.open("wb") as file:
        file.truncate(_BYTES)
    device = run("losetup", "--find", "--show", str(image)).strip()
    run("vgcreate", GROUP, device)
    run("lvcreate", "--name=thick", "--size=64m", GROUP)
    run("lvcreate", "--type=thin-pool", "--name=pool", "--size=128m", GROUP)
    run("lvcreate", "--thin", "--name=thin", "--virtualsize=320m", f"{GROUP}/pool")
    run("mkfs.ext4", "-q", f"/dev/{GROUP}/thick")
    run("mkfs.xfs", "-q", f"/dev/{GROUP}/thin")
    with ExitStack() as stack:
        for name, place in (("thick", group.thick), ("thin", group.thin)):
            place.mkdir()
            stack.enter_context(mounted(place, f"/dev/{GROUP}/{name}"))
        yield group
        stack.close()
        run("vgremove", "--yes", GROUP)
        run("losetup", "--detach", device)
