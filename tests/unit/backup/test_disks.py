"""Images and the changes of later runs make the disk again, or it is said what does not fit."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup.errors import BackupDamaged, SourceFailed
from backup.sources.disks.chain import Disk, apply_changes, disks_table, lay_stand_ins, read_disks, write_changes

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 64 << 10
VDA = Disk(name="vda", source="/srv/vda.qcow2", image="qcow2", size_bytes=SIZE, mode=0o444, mtime=1_700_000_000)
Runs = list[list[tuple[int, bytes]]]


def save(top: Path, runs: Runs) -> tuple[Disk, bytes]:
    """Save an image and then what each run changed; return the disk as the last run has it, and what it holds."""
    content = bytearray(os.urandom(SIZE // 2) + bytes(SIZE // 2))
    (top / "disks").mkdir(parents=True)
    (top / VDA.file).write_bytes(content)
    disk, image = VDA, top.parent / "image"
    for run in runs:
        for offset, written in run:
            content[offset : offset + len(written)] = written
        image.write_bytes(content)
        disk = write_changes(top, disk, image, [(offset, len(written)) for offset, written in run])
    return disk, bytes(content)


changed = st.tuples(st.integers(0, SIZE - 512), st.binary(min_size=1, max_size=512))


@given(runs=st.lists(st.lists(changed, max_size=4), max_size=4))
def test_an_image_and_its_changes_make_what_the_disk_was(tmp_path_factory: pytest.TempPathFactory, runs: Runs) -> None:
    top = tmp_path_factory.mktemp("disks") / "restored"
    disk, content = save(top, runs)
    apply_changes(top, read_disks({"disks": disks_table([disk])}))
    assert (top / disk.file).read_bytes() == content
    assert not (top / "changes").exists()


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("0002.data", "SHA-256"),
        ("0001.map", "SHA-256"),
        ("missing", "did not come back"),
        ("image", "is not the image"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, what: str, said: str) -> None:
    top = tmp_path / "restored"
    disk, _ = save(top, [[(0, b"first")], [(100, b"second")]])
    changes = top / "changes/vda"
    if what == "missing":
        (changes / "0002.data").unlink()
    elif what == "image":
        (top / disk.file).write_bytes(b"short")
    else:
        (changes / what).write_bytes((changes / what).read_bytes()[:-1] + b"0")
    with pytest.raises(BackupDamaged, match=said):
        apply_changes(top, [disk])


def test_stand_ins_have_the_size_mode_and_time_of_what_they_stand_for_and_no_content(tmp_path: Path) -> None:
    disk, _ = save(tmp_path / "saved", [[(0, b"first")]])
    lay_stand_ins(tmp_path / "laid", disk)
    status = (tmp_path / "laid" / disk.file).stat()
    assert (status.st_size, status.st_mode & 0o777, status.st_mtime, status.st_blocks) == (SIZE, 0o444, VDA.mtime, 0)
    for name in ("0001.data", "0001.map"):
        real, laid = (tmp_path / each / "changes/vda" / name for each in ("saved", "laid"))
        assert (real.stat().st_size, real.stat().st_mtime) == (laid.stat().st_size, laid.stat().st_mtime)


def test_a_disk_that_ends_early_is_no_backup(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"short")
    with pytest.raises(SourceFailed, match="ends at byte 5"):
        write_changes(tmp_path / "restored", VDA, tmp_path / "image", [(0, 10)])


@pytest.mark.parametrize("disks", [None, [{}], [replace(VDA, name="../etc")], [VDA, VDA]])
def test_a_record_that_names_no_disks_is_damage(disks: Any) -> None:
    told = disks_table(disks) if disks and isinstance(disks[0], Disk) else disks
    with pytest.raises(BackupDamaged):
        read_disks({"disks": told})
