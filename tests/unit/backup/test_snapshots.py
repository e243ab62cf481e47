"""What snapshots are made of, what a manifest says of them, and whose they are."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backup.errors import SourceFailed
from backup.runtime.mounts import Mount, read_mounts
from backup.snapshots.btrfs import Btrfs
from backup.snapshots.contract import Taken
from backup.snapshots.lvm_volumes import lack_of_room, read_report, room_for_snapshot, volume_of
from backup.snapshots.own_folder import NAME, OwnFolder
from backup.snapshots.plan import place_of, saved_places
from backup.snapshots.record import moments, snapshot_table
from backup.snapshots.registry import kind_for
from backup.snapshots.zfs import Zfs
from backup.snapshots.zfs_datasets import destroy, is_marked, is_name_of_ours, read_table
from backup.snapshots.zfs_datasets import lack_of_room as lack_in_pool
from backup.sources.files.survey import left_out_by

_PLACES = [Path(each) for each in ("/", "/home", "/home/ann", "/home/ann/vm", "/srv", "/proc")]


def _saved(roots: list[str], *, one_file_system: bool = False, exclude: str = "") -> dict[str, list[str]]:
    left_out = left_out_by([exclude] if exclude else [])
    found = saved_places(
        _PLACES, [Path(root) for root in roots], one_file_system=one_file_system,
        is_left_out=lambda path, root: any(
            left_out.fullmatch(os.fsencode(each)) for each in (path, *path.parents) if each.is_relative_to(root)
        ),
    )  # fmt: skip
    return {str(place): [str(path) for path in paths] for place, paths in found.items()}


def test_a_place_is_saved_when_a_root_lies_in_it_or_it_lies_below_one_and_is_not_left_out() -> None:
    assert place_of(Path("/home/anna/x"), _PLACES) == Path("/home")
    assert _saved(["/etc", "/home/anna", "/home/bob"]) == {"/": ["/etc"], "/home": ["/home/anna", "/home/bob"]}
    assert _saved(["/home"]) == {"/home": ["/home"], "/home/ann": ["/home/ann"], "/home/ann/vm": ["/home/ann/vm"]}
    assert _saved(["/home"], exclude="**/ann") == {"/home": ["/home"]}
    assert _saved(["/home"], one_file_system=True) == {"/home": ["/home"]}
    assert _saved(["/home", "/home/ann/vm/x"], one_file_system=True, exclude="**/ann") == {
        "/home": ["/home"], "/home/ann/vm": ["/home/ann/vm/x"],
    }  # fmt: skip


def test_a_table_of_mounts_is_read_with_its_odd_letters() -> None:
    (found,) = read_mounts(
        b"44 27 0:39 /@data/x /srv/a\\040b\\012\xff rw,relatime shared:1 - btrfs /dev/sd\\040a ro,subvolid=5\n"
    )
    assert found == Mount(
        id=44, device=os.makedev(0, 39), root=Path("/@data/x"), place=Path(os.fsdecode(b"/srv/a b\n\xff")),
        kind="btrfs", source="/dev/sd a", is_read_only=True,
    )  # fmt: skip
    assert Btrfs().lack(found) == "it is mounted read-only"


def test_people_are_told_what_came_from_a_snapshot_of_when_and_what_did_not() -> None:
    at = datetime(2026, 11, 30, 12, 0, 0, 900_000, tzinfo=UTC)
    taken = [Taken(path=Path(f"/home/{n}"), kind="btrfs", taken_at=at + timedelta(seconds=n)) for n in range(7)]
    live = {Path("/boot"): "ext4 has no snapshots"}
    assert moments(snapshot_table(taken, live)) == (
        "from btrfs snapshots of 2026-11-30T12:00:00Z to 2026-11-30T12:00:06Z:"
        " /home/0, /home/1, /home/2, /home/3, /home/4 and 2 more",
        "not from a snapshot: /boot (ext4 has no snapshots)",
    )
    assert moments({}) == moments({"snapshots": [1]}) == moments({"snapshots": 7}) == ()


def test_what_nobody_has_locked_is_a_dead_run_s_and_only_that(tmp_path: Path) -> None:
    with OwnFolder(tmp_path) as ours, OwnFolder(tmp_path) as theirs:
        alive, killed = ours.claim(), ours.claim()
        for made in (alive, killed):
            (tmp_path / NAME / made.name / "0").mkdir()
        os.close(killed.descriptor)  # as the kernel does at the end of a process
        (found,) = theirs.dead()
        assert (found.name, found.snapshots()) == (killed.name, ["0"])
        theirs.give_up(found)
        assert (tmp_path / NAME / killed.name).exists(), "what is in it could not be removed: the next run tries again"
        (tmp_path / NAME / alive.name / "0").rmdir()
        ours.give_up(alive)
        assert not (tmp_path / NAME / alive.name).exists()


def test_a_folder_others_can_enter_is_not_taken_for_ours(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    (tmp_path / NAME).chmod(0o755)
    with pytest.raises(SourceFailed, match="remove it"):
        OwnFolder(tmp_path)


def _report(**rows: dict[str, str]) -> str:
    empty = {
        "vg_name": "store", "vg_free": "0", "vg_extent_size": "4194304", "lv_size": "1073741824",
        "lv_kernel_major": "254", "lv_kernel_minor": "-1", "segtype": "linear", "pool_lv": "", "data_percent": "",
        "metadata_percent": "", "lv_tags": "", "lv_snapshot_invalid": "unknown", "lv_health_status": "",
    }  # fmt: skip
    return json.dumps({"report": [{"lv": [empty | {"lv_name": name} | row for name, row in rows.items()]}]})


@pytest.mark.parametrize(
    ("free_mib", "room_mib"),
    [(0, None), (16, None), (24, 12), (1000, 500), (5000, 1056)],  # of 1 GiB: 1 % at least, all that can change at most
)
def test_a_snapshot_gets_half_of_what_its_group_has_free_and_is_refused_below_a_hundredth(
    free_mib: int, room_mib: int | None
) -> None:
    volumes = read_report(_report(data={"lv_kernel_minor": "3", "vg_free": str(free_mib << 20)}))
    volume = volume_of(volumes, os.makedev(254, 3))
    lack = lack_of_room(volume, volumes)
    if room_mib is None:
        assert lack is not None
        assert f"store has {free_mib} MiB free" in lack
    else:
        assert lack is None
        assert room_for_snapshot(volume) == room_mib << 20


def test_a_thin_pool_that_is_nearly_full_gets_no_snapshot_and_one_that_is_not_known_is_named() -> None:
    thin = {"pool_lv": "pool", "lv_kernel_minor": "5"}
    volumes = read_report(_report(data=thin, pool={"data_percent": "40.10", "metadata_percent": "95.50"}))
    lack = lack_of_room(volume_of(volumes, os.makedev(254, 5)), volumes)
    assert lack is not None
    assert "thin pool store/pool is 96 % full" in lack
    volumes = read_report(_report(data=thin, pool={"data_percent": "94.10", "metadata_percent": "12.00"}))
    assert lack_of_room(volumes[0], volumes) is None
    with pytest.raises(SourceFailed, match="block device 254:9"):
        volume_of(volumes, os.makedev(254, 9))


def test_a_snapshot_that_ran_full_is_told_from_one_that_is_whole() -> None:
    volumes = read_report(_report(full={"lv_snapshot_invalid": "snapshot invalid"}, whole={"lv_snapshot_invalid": ""}))
    assert [each.health for each in volumes] == ["snapshot invalid", ""]
    with pytest.raises(SourceFailed, match="cannot be read"):
        read_report('{"report": []}')


_NAME = "watchkeep-20261130T120000Z-0123abcd"


def _dataset(source: bytes, place: bytes) -> Mount:
    return read_mounts(b"90 27 0:51 / " + place + b" rw shared:9 - zfs " + source + b" rw,xattr,noacl")[0]


def test_of_zfs_datasets_are_frozen_and_what_somebody_looks_at_in_their_folder_of_snapshots_is_no_mount() -> None:
    dataset = _dataset(b"tank/my\\040data", b"/srv")
    assert dataset.source == "tank/my data"
    assert (getattr(kind_for(dataset), "name", None), dataset.is_a_look) == ("ZFS", False)
    frozen = _dataset(b"tank/data@monday", b"/mnt/monday")
    assert not frozen.is_a_look
    assert Zfs().lack(frozen) == "tank/data@monday is a snapshot itself, which stays as it is"
    assert _dataset(b"tank/data@monday", b"/srv/.zfs/snapshot/monday").is_a_look
    assert not _dataset(b"tank/other", b"/srv/.zfs/snapshot/monday").is_a_look


@pytest.mark.parametrize(
    "name",
    [
        "tank/data", "tank/data@", f"@{_NAME}", f"tank/data@{_NAME},monday", f"tank/data@monday%{_NAME}",
        f"-r@{_NAME}", f"tank@{_NAME}x", f"tank#{_NAME}", f"tank@{_NAME}\n", f"tank/@{_NAME}",
        "tank@watchkeep-monday", f"tank@x{_NAME}",
    ],
)  # fmt: skip
def test_nothing_is_ever_destroyed_but_one_snapshot_that_is_called_as_ours_are(name: str) -> None:
    assert is_name_of_ours(f"tank/my data/a.b_c:d-e@{_NAME}")
    assert not is_name_of_ours(name)
    with pytest.raises(ValueError, match="no snapshot of ours"):
        destroy(name)


def test_only_a_mark_this_machine_set_itself_makes_a_snapshot_ours() -> None:
    own = os.uname().nodename
    assert is_marked(read_table(f"{own}\n"))
    for others in ("", "another\n", f"{own}\n{own}\n", f"{own}\tx\n"):
        assert not is_marked(read_table(others)), others


def test_a_pool_that_is_nearly_full_gets_no_snapshot() -> None:
    assert lack_in_pool(read_table("tank\t949\t51\n")) is None
    assert str(lack_in_pool(read_table("tank\t950\t50\n"))).startswith("its pool tank is 95 % full")
    for odd in ("", "tank\t-\t5\n", "tank\t1\t5\nother\t1\t5\n"):
        with pytest.raises(SourceFailed, match="cannot be read"):
            lack_in_pool(read_table(odd))
