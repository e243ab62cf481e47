"""Where restored things come to lie: also in a folder that is there and empty; what killed restores left goes."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from backup.errors import DestinationInUse
from backup.restoring.placing import demand_free, demand_way, draft_for, put_in_place
from backup.saving.journal import Journal
from backup.settings.document import BackupSettings
from backup.station.station import scratch_workplace
from tests.support.small_disk import small_disk

if TYPE_CHECKING:
    from pathlib import Path


def make(draft: Path) -> Path:
    made = draft / "restored"
    (made / "etc").mkdir(parents=True)
    (made / "etc" / "hosts").write_text("saved")
    (made / "etc").chmod(0o555)
    made.chmod(0o750)
    return made


def restore_into(final: Path) -> None:
    demand_free(final)
    with draft_for(final) as draft:
        put_in_place(make(draft), final, is_overwriting=False)


def test_a_folder_that_is_there_and_empty_is_filled_and_stays_the_same(tmp_path: Path) -> None:
    final = tmp_path / "back"
    final.mkdir()
    before = final.stat().st_ino
    restore_into(final)
    assert (final / "etc" / "hosts").read_text() == "saved"
    assert [each.name for each in final.iterdir()] == ["etc"]
    assert (final.stat().st_ino, final.stat().st_mode & 0o777) == (before, 0o750)


def test_the_mount_point_of_a_new_disk_is_filled_beside_what_the_file_system_has_of_its_own(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", size_mib=1) as disk:
        (disk.folder / "lost+found").mkdir()
        restore_into(disk.folder)
        assert {each.name for each in disk.folder.iterdir()} == {"etc", "lost+found"}


def test_a_folder_that_is_not_empty_is_refused_before_and_what_came_meanwhile_stays(tmp_path: Path) -> None:
    final = tmp_path / "back"
    final.mkdir()
    with draft_for(final) as draft:
        made = make(draft)
        (final / "mine").write_text("mine")
        with pytest.raises(DestinationInUse, match="is there already"):
            demand_free(final)
        with pytest.raises(DestinationInUse, match="meanwhile"):
            put_in_place(made, final, is_overwriting=False)
    assert [each.name for each in final.iterdir()] == ["mine"]


def test_nothing_is_replaced_where_a_folder_would_take_the_place_of_a_file_or_a_file_that_of_a_folder(
    tmp_path: Path,
) -> None:
    for file, folder in (("a", "b"), ("b", "a")):
        final = tmp_path / f"back-{file}"
        (final / "z" / folder).mkdir(parents=True)
        (final / "z" / file).write_text("mine")
        (final / "0").write_text("mine")
        with draft_for(final) as draft:
            made = draft / "restored"
            (made / "z" / "a").mkdir(parents=True)
            (made / "z" / "b").write_text("saved")
            (made / "0").write_text("saved")
            if file == "b":
                put_in_place(made, final, is_overwriting=True)
            else:
                with pytest.raises(DestinationInUse, match="move it away"):
                    put_in_place(made, final, is_overwriting=True)
        assert (final / "0").read_text() == ("saved" if file == "b" else "mine")


@pytest.mark.parametrize("to", ["file", "file/deep/er", "nowhere/deep"])
def test_a_place_below_what_is_no_folder_is_refused_before_anything_is_fetched(tmp_path: Path, to: str) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "nowhere").symlink_to("gone")
    with pytest.raises(DestinationInUse, match="is no folder"):
        demand_way(tmp_path / to / "name")
    demand_way(tmp_path / "new" / "name")


def test_what_killed_restores_left_is_removed_and_what_may_be_in_use_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    left, held, unknown = (tmp_path / f".bkp-restoring-{name}" for name in ("left", "held", "unknown"))
    for folder in (left, held, unknown):
        folder.mkdir(mode=0o700)
        make(folder)
    (left / ".lock").touch()
    os.utime(unknown, (1, 1))  # else it may be about to get its lock
    lock = os.open(held / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        restore_into(tmp_path / "back")
    finally:
        os.close(lock)
    assert not left.exists()
    assert (held.exists(), unknown.exists()) == (True, True)
    assert str(left) in caplog.text
    assert str(unknown) in caplog.text
    assert str(held) not in caplog.text


def test_a_sets_own_folder_is_not_taken_for_what_a_killed_restore_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = BackupSettings(host="web1", work=tmp_path)
    Journal(tmp_path, "reading-list")
    with scratch_workplace(settings):
        pass
    assert not caplog.text
