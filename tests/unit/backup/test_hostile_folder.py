"""What others who may write at a folder target lay there holds nobody up, and leads no write elsewhere."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from backup.errors import ObjectMissing
from backup.model import Place
from backup.notes.damage import read_damage
from backup.settings.target import TargetSettings
from backup.targets.folder import FolderTarget

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def target(tmp_path: Path) -> FolderTarget:
    return FolderTarget(TargetSettings(name="store", kind="folder", folder=tmp_path))


def test_nobody_waits_at_a_pipe(target: FolderTarget, tmp_path: Path) -> None:
    (tmp_path / "web1/files/damage").mkdir(parents=True)
    os.mkfifo(tmp_path / "web1/files/damage/20261101T000000Z.json")
    with pytest.raises(ObjectMissing, match="is no file"):
        b"".join(target.read("web1/files/damage/20261101T000000Z.json"))
    assert read_damage(target, Place(host="web1", set="files"), "20261101T000000Z") is None


def test_a_link_where_a_file_is_about_to_be_written_leads_nowhere(target: FolderTarget, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"theirs")
    (tmp_path / f"disk.json.{os.getpid()}.half").symlink_to(victim)
    target.write("disk.json", b"ours")
    assert (victim.read_bytes(), (tmp_path / "disk.json").read_bytes()) == (b"theirs", b"ours")
    assert not (tmp_path / "disk.json").is_symlink()
