"""What is said of rclone: which error its end is, whether it is there, and how it is told a limit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backup.command.doctor.programs import examine_programs
from backup.engine.command import paced
from backup.errors import ConfigInvalid, ObjectMissing, TargetAway, TargetFull, TargetRefused
from backup.settings.checks import check_remote
from backup.settings.document import BackupSettings
from backup.settings.target import TargetSettings
from backup.targets.rclone import RcloneTarget
from backup.targets.rclone_program import explain, find_rclone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backup.errors import BackupError


@pytest.fixture(autouse=True)
def _is_looked_for_anew() -> Iterator[None]:
    find_rclone.cache_clear()
    yield
    find_rclone.cache_clear()


@pytest.mark.parametrize(
    ("exit_code", "words", "kind"),
    [
        (3, "directory not found", ObjectMissing),
        (4, "object not found", ObjectMissing),
        (3, "401 Unauthorized", ObjectMissing),  # codes decide; words only where a code says nothing
        (1, "read metadata failed: 401 Unauthorized", TargetRefused),
        (2, "couldn't fetch token: invalid_grant: maybe token expired?", TargetRefused),
        (1, "AccessDenied: Access Denied, status code: 403", TargetRefused),
        (7, "account suspended", TargetRefused),
        (1, "Failed to copy: 507 Insufficient Storage", TargetFull),
        (2, "path/insufficient_space/..", TargetFull),
        (
            7,
            "googleapi: Error 403: The user's Drive storage quota has been exceeded., storageQuotaExceeded",
            TargetFull,
        ),
        (5, "googleapi: Error 403: Quota exceeded for quota metric 'Queries'", TargetAway),
        (1, "dial tcp 127.0.0.1:403: connect: connection refused", TargetAway),
        (5, "", TargetAway),
        (1, "didn't find section in config file", ConfigInvalid),
        (-9, "", TargetAway),
    ],
)
def test_its_end_has_the_right_name(exit_code: int, words: str, kind: type[BackupError]) -> None:
    found = explain(exit_code, f"2026/11/30 18:33:12 ERROR : {words}\n" * 2, "cloud:backup/a", Path("/etc/rclone.conf"))
    assert type(found) is kind
    assert str(found).count("cloud:backup/a") == 1
    assert "18:33:12" not in str(found)


def test_what_it_says_twice_is_told_once() -> None:
    said = str(explain(5, "2026/11/30 18:33:12 ERROR : down\n2026/11/30 18:33:13 ERROR : down\n", "c:", Path("/x")))
    assert said.count("down") == 1


def test_without_the_program_the_doctor_says_which_package_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    target = TargetSettings(name="store", kind="rclone", remote="cloud:backup")
    found = examine_programs(BackupSettings(host="web1", targets=(target,)))
    (finding,) = (each for each in found if each.what == "rclone")
    assert (finding.level, finding.remedy) == ("fault", "apt install rclone")


def test_one_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = tmp_path / "rclone"
    old.write_text("#!/bin/sh\necho rclone v1.53.3-DEV\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(ConfigInvalid, match=r"1\.56"):
        find_rclone()


@pytest.mark.parametrize(
    "remote", ["cloud", ":webdav,url=http://x,pass=y:backup", "cloud:a b", "cloud:../up", "cloud:up/", "-x:y", "c:a\n"]
)
def test_what_cannot_be_named_in_a_url_is_no_remote(remote: str) -> None:
    assert check_remote(remote) is not None


@pytest.mark.parametrize("remote", ["cloud:", "cloud:backup/web1", "my.cloud-2:/srv/backup"])
def test_a_remote_may_have_a_folder(remote: str) -> None:
    assert check_remote(remote) is None


def test_an_rclone_that_duplicity_starts_keeps_to_the_limit() -> None:
    assert paced(2 << 20)["RCLONE_BWLIMIT"] == "2097152B:off"
    assert paced(None) == {}


def test_what_is_no_file_is_missing_though_rclone_ends_well(tmp_path: Path) -> None:
    """As a file is that is missing in a bucket: there rclone takes its name for a folder without files."""
    config = tmp_path / "rclone.conf"
    config.write_text(f"[disk]\ntype = alias\nremote = {tmp_path}\n")
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "root" / "empty").touch()
    target = RcloneTarget(TargetSettings(name="cloud", kind="rclone", remote="disk:root", config_file=config))
    with pytest.raises(ObjectMissing, match="disk:root/a is not there"):
        list(target.read("a"))
    assert list(target.read("empty")) == []
