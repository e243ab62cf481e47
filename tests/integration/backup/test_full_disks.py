"""A full disk ends a restore soon, with its name, and nothing half-made stays; it is no damage of the backup."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.support.backups import HOST, SET
from tests.support.small_disk import small_disk

if TYPE_CHECKING:
    from tests.support.backups import Site

NAME = f"{HOST}/{SET}"


def test_a_full_disk_at_the_place_ends_a_restore_and_one_of_the_work_folder_is_no_damage(site: Site) -> None:
    site.run()
    with small_disk(site.folder / "small", size_mib=6) as disk:
        disk.fill(leave_bytes=3 << 19)
        wanted = ["restore", NAME, "--to", str(disk.folder / "back")]
        early = site.bkp("station", *wanted)
        assert early.returncode == 52, early.stderr
        assert "may come" in early.stderr
        late = site.bkp("station", *wanted, "--despite-room")
        assert late.returncode == 52, late.stderr
        assert f"the disk of {disk.folder}" in late.stderr
        assert "is full" in late.stderr
        assert [each.name for each in disk.folder.iterdir()] == ["ballast"]
        looked = site.bkp("station", "verify", "--depth", "decrypted", "--work", str(disk.folder), "--json")
        assert looked.returncode == 44, looked.stdout + looked.stderr
        report = json.loads(looked.stdout)["sets"][0]
        assert (report["damages"], report["lost"], len(report["restorable"])) == ([], [], 1)
    assert not (site.store / HOST / SET / "damage").exists()
