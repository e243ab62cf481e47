"""Which file systems of a machine hold data of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from probes.filesystems import parse_mounts
from probes.inventory import Parameters, data_mounts, read_inventory
from tests.unit.probes.visiting import Reader

if TYPE_CHECKING:
    from pathlib import Path

MOUNTS = """\
1 0 8:1 / / rw - ext4 /dev/a1 rw
2 1 8:2 / /boot rw - ext4 /dev/a2 rw
3 2 8:3 / /boot/efi rw - vfat /dev/a3 rw
4 1 0:5 / /proc rw - proc proc rw
5 1 0:6 / /tmp rw - tmpfs tmpfs rw
6 1 0:7 / /run rw - tmpfs tmpfs rw
7 6 8:9 / /run/media/me/stick rw - vfat /dev/s1 rw
8 1 8:4 / /srv rw - xfs /dev/a4 rw
9 1 8:4 /www /var/www rw - xfs /dev/a4 rw
10 1 0:30 / /home rw - nfs4 files:/home rw
11 1 0:31 /@ /data rw - btrfs /dev/a5 rw
12 1 0:31 /@logs /data/logs rw - btrfs /dev/a5 rw
13 1 7:1 / /snap/core/1 ro - squashfs /dev/loop1 ro
14 1 0:40 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw
15 1 8:5 / /var/lib/docker rw - ext4 /dev/a6 rw
16 1 8:6 / /mnt/with\\040blank rw - ext4 /dev/a7 rw
17 1 8:7 / /srv/\xe4 rw - ext4 /dev/a8 rw
"""


def test_file_systems_that_hold_data_are_told_once_and_those_made_anew_or_of_others_are_not() -> None:
    found = [mount.point for mount in data_mounts(parse_mounts(MOUNTS))]
    assert sorted(found) == [
        "/data", "/data/logs", "/mnt/with blank", "/srv", "/srv/ä", "/var/lib/docker",
    ]  # fmt: skip


def test_a_machine_without_database_servers_says_so_and_odd_names_can_be_said(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self/mountinfo").write_bytes(b"1 0 8:7 / /srv/\xe4 rw - ext4 /dev/a8 rw\n")
    nowhere = Parameters(postgresql=(str(tmp_path / "no"),), mariadb=(str(tmp_path / "no"),), libvirt=())
    reader = Reader(read_inventory, tmp_path, nowhere)
    found = {key: json.loads(str(value)) for key, value in reader.read().items()}
    assert found == {
        "inventory.filesystems": {"names": [r"/srv/\udce4"], "more": 0},
        "inventory.databases": {"servers": [], "unknown": [], "contained": [], "more_contained": 0},
    }
    assert reader.failures == []
