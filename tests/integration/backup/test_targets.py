"""The folder and a real Swift keep the same promises; their troubles have the same names."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from swiftclient import client

from backup.errors import ConfigInvalid, TargetAway, TargetFull, TargetRefused
from backup.settings.target import TargetSettings
from backup.targets.registry import open_target
from tests.support.target_contract import TargetContract

if TYPE_CHECKING:
    from pathlib import Path

    from backup.targets.contract import Target
    from tests.support.swift import Swift


def _swift_settings(swift: Swift, folder: Path, **changes: str) -> TargetSettings:
    key_file = folder / "swift.key"
    key_file.write_text(changes.pop("key", swift.key) + "\n")
    values = {"auth_url": swift.auth_url, "user": swift.user, "container": swift.new_container()} | changes
    return TargetSettings(
        name="store", kind="swift", key_file=key_file, timeout=timedelta(seconds=60), auth_url=values["auth_url"],
        user=values["user"], container=values["container"],
    )  # fmt: skip


class TestFolder(TargetContract):
    @pytest.fixture
    def settings(self, tmp_path: Path) -> TargetSettings:
        return TargetSettings(name="store", kind="folder", folder=tmp_path / "store")

    def test_a_disk_that_is_not_mounted_is_away_and_not_made_up(self, tmp_path: Path) -> None:
        settings = TargetSettings(name="store", kind="folder", folder=tmp_path / "mount" / "store")
        with open_target(settings) as target:
            with pytest.raises(TargetAway, match="mount"):
                target.write("a/b", b"x")
            with pytest.raises(TargetAway, match="mount"):
                target.files("a")
        assert not (tmp_path / "mount").exists()

    def test_a_half_written_file_is_not_listed(self, tmp_path: Path, target: Target) -> None:
        target.write("h/whole", b"1")
        (tmp_path / "store/h/other.123.half").write_text("killed while writing")
        assert dict(target.files("h")) == {"whole": 1}


class TestSwift(TargetContract):
    @pytest.fixture
    def settings(self, swift: Swift, tmp_path: Path) -> TargetSettings:
        return _swift_settings(swift, tmp_path)

    def test_it_knows_a_files_md5(self, target: Target) -> None:
        target.write("m/d5", b"abc")
        assert target.stat("m/d5").md5 == "900150983cd24fb0d6963f7d28e17f72"

    def test_a_wrong_key_and_a_strangers_container_are_refused(self, swift: Swift, tmp_path: Path) -> None:
        with open_target(_swift_settings(swift, tmp_path, key="wrong")) as target, pytest.raises(TargetRefused):
            target.reach()

    def test_a_quota_is_told_and_kept(self, swift: Swift, settings: TargetSettings, target: Target) -> None:
        owner = client.Connection(authurl=swift.auth_url, user=swift.user, key=swift.key, auth_version="1", retries=0)
        owner.post_container(settings.container, headers={"X-Container-Meta-Quota-Bytes": "1000"})
        assert target.room() == 1000
        with pytest.raises(TargetFull, match="quota"):
            target.write("q/large", bytes(2000))

    def test_nobody_there_is_away(self, swift: Swift, tmp_path: Path) -> None:
        settings = _swift_settings(swift, tmp_path, auth_url="http://127.0.0.1:1/auth/v1.0")
        with open_target(settings) as target, pytest.raises(TargetAway):
            target.reach()

    def test_a_key_file_that_is_missing_is_named(self, swift: Swift, tmp_path: Path) -> None:
        settings = _swift_settings(swift, tmp_path)
        (tmp_path / "swift.key").unlink()
        with pytest.raises(ConfigInvalid, match=r"swift\.key"), open_target(settings):
            pass
