"""Logical volumes as LVM's own report tells of them, and how much room a snapshot of one gets."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from backup.errors import SourceFailed
from backup.snapshots.tool import Tool

if TYPE_CHECKING:
    from collections.abc import Sequence

LVM: Final = Tool("lvm", "lvm2")
_FIELDS: Final = (
    "vg_name", "vg_free", "vg_extent_size", "lv_name", "lv_size", "lv_kernel_major", "lv_kernel_minor",
    "segtype", "pool_lv", "data_percent", "metadata_percent", "lv_tags", "lv_snapshot_invalid", "lv_health_status",
)  # fmt: skip
_FULL_PERCENT: Final = 95.0
_LEAST_SHARE: Final = 100  # of a volume: with less room, what a run is read for is hardly ever written
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A logical volume. device: as in st_dev, None while it is not active. used_percent: of a pool's room.

    health: in LVM's words what is wrong with it; "" for nothing.
    """

    group: str
    group_free_bytes: int
    extent_bytes: int
    name: str
    size_bytes: int
    device: int | None
    pool: str
    used_percent: float
    tags: frozenset[str]
    health: str

    @property
    def full_name(self) -> str:
        """What LVM's programs call it."""
        return f"{self.group}/{self.name}"

    @property
    def is_thin(self) -> bool:
        """Whether it takes its room from a pool, and so does its snapshot."""
        return bool(self.pool)


def ask(doing: str, group: str = "") -> list[Volume]:
    """Return the volumes of a group, or all. Raises SourceFailed, TimedOut."""
    options = ("--reportformat", "json", "--units", "b", "--nosuffix", "--options", ",".join(_FIELDS))
    return read_report(LVM.run("lvs", *options, *filter(None, [group]), doing=doing))


def read_report(text: str) -> list[Volume]:
    """Read what `lvs --reportformat json` says. Raises SourceFailed when that is no report."""
    try:
        return [_read(each) for each in json.loads(text)["report"][0]["lv"]]
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise SourceFailed(f"what LVM reports of its volumes cannot be read: {error!r}") from error


def _read(row: dict[str, Any]) -> Volume:
    major, minor = int(row["lv_kernel_major"] or -1), int(row["lv_kernel_minor"] or -1)
    invalid = row["lv_snapshot_invalid"]
    return Volume(
        group=row["vg_name"],
        group_free_bytes=int(row["vg_free"]),
        extent_bytes=int(row["vg_extent_size"]),
        name=row["lv_name"],
        size_bytes=int(row["lv_size"]),
        device=os.makedev(major, minor) if min(major, minor) >= 0 else None,
        pool=row["pool_lv"],
        used_percent=max(float(row["data_percent"] or 0), float(row["metadata_percent"] or 0)),
        tags=frozenset(filter(None, row["lv_tags"].split(","))),
        health=row["lv_health_status"] or ("" if invalid == "unknown" else invalid),
    )


def volume_of(volumes: Sequence[Volume], device: int) -> Volume:
    """Return the one that is a device. Raises SourceFailed."""
    found = next((each for each in volumes if each.device == device), None)
    if found is None:
        number = f"{os.major(device)}:{os.minor(device)}"
        raise SourceFailed(f"LVM here does not know the volume that is block device {number}: see `lvs`")
    return found


def room_for_snapshot(volume: Volume) -> int:
    """Return how many bytes of its group a snapshot gets: as many as can ever be needed, at most half of what is free.

    Half, so that the next volume of the group finds some, and who extends a volume meanwhile.
    """
    everything = volume.size_bytes + volume.size_bytes // 64 + 4 * volume.extent_bytes  # 64: tables of what was written
    room = min(everything, volume.group_free_bytes // 2)
    return room - room % volume.extent_bytes


def lack_of_room(volume: Volume, volumes: Sequence[Volume]) -> str | None:
    """Return why no snapshot should be made of a volume, and what to do."""
    if volume.is_thin:
        for pool in volumes:
            if (pool.group, pool.name) == (volume.group, volume.pool) and pool.used_percent >= _FULL_PERCENT:
                return (
                    f"its thin pool {pool.full_name} is {pool.used_percent:.0f} % full, and a snapshot could let"
                    " writing to its volumes fail: enlarge it (lvextend)"
                )
        return None
    if room_for_snapshot(volume) >= max(volume.size_bytes // _LEAST_SHARE, 2 * volume.extent_bytes):
        return None
    return (
        f"its volume group {volume.group} has {volume.group_free_bytes // _MIB} MiB free, too little for a snapshot of"
        f" {volume.name} ({volume.size_bytes // _MIB} MiB), which gets half of it: enlarge the group (vgextend) or"
        " remove what nobody needs (lvremove)"
    )
