"""What `bkp doctor` advises: what helps on that machine, and nothing it would refuse."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from backup.command.doctor.command import judge_room
from backup.command.doctor.keys import examine_keys, host_remedy, station_remedy
from backup.errors import KeyExpired, KeyMissing, PassphraseMissing, PassphraseWrong
from backup.keys.ring import KeyRing
from backup.settings.backup_set import SetSettings
from backup.settings.document import BackupSettings
from backup.settings.keys import KeySettings
from backup.settings.source import PathsSettings
from backup.settings.target import TargetSettings
from core.config.reader import ByteSize

_TARGET = TargetSettings(name="store", kind="folder", folder=Path("/srv/backup"))
_SET = SetSettings(
    name="files", target="store", volume_size=ByteSize(1 << 20), paths=PathsSettings(roots=(Path("/etc"),))
)  # fmt: skip


@pytest.mark.parametrize(("room", "level"), [(None, "ok"), (1 << 20, "ok"), ((1 << 20) - 1, "fault"), (0, "fault")])
def test_a_target_without_room_for_one_volume_is_a_fault(room: int | None, level: str) -> None:
    found = judge_room(BackupSettings(host="web1", targets=(_TARGET,), sets=(_SET,)), _TARGET, room)
    assert (found.level, bool(found.remedy)) == (level, level == "fault")


def test_who_only_reads_there_needs_no_room() -> None:
    station = SetSettings(name="files", host="web1", target="store")
    assert judge_room(BackupSettings(host="safe", targets=(_TARGET,), sets=(station,)), _TARGET, 0).level == "ok"


def test_a_passphrase_that_does_not_fit_is_put_back_and_no_pair_is_made_over_the_one_there() -> None:
    for error in (PassphraseMissing("x"), PassphraseWrong("x")):
        assert host_remedy(error, Path("/etc/w/host.passphrase")).startswith(
            "put the passphrase of the pair into /etc/w/host.passphrase"
        )
        told = station_remedy(error, Path("/etc/w/station.passphrase"))
        assert told.startswith("put the passphrase of the pair into /etc/w/station.passphrase")
        assert "key make" not in told
    assert host_remedy(KeyExpired("x"), Path("p")) == "bkp key rotate host"
    assert "bkp key import SHEET" in station_remedy(KeyMissing("x"), Path("p"))


def test_who_saves_and_can_decrypt_is_warned(tmp_path: Path) -> None:
    keys = KeySettings(host=tmp_path / "host", station=tmp_path / "station")
    for sets, is_warned in (((_SET,), True), ((SetSettings(name="files", host="web1", target="store"),), False)):
        found = examine_keys(BackupSettings(host="web1", keys=keys, targets=(_TARGET,), sets=sets), datetime.now(UTC))
        assert any("can read every backup" in each.text for each in found) is is_warned


def test_what_is_missing_is_named_once_and_without_a_number(tmp_path: Path) -> None:
    (tmp_path / "station").mkdir(mode=0o700)
    keys = KeySettings(host=tmp_path / "host", station=tmp_path / "station", station_passphrase_file=tmp_path / "lost")
    (found,) = examine_keys(BackupSettings(host="safe", keys=keys), datetime.now(UTC))
    assert (found.what, found.level) == ("station keys", "fault")
    with pytest.raises(PassphraseMissing, match=r"lost cannot be read: No such file or directory$"):
        KeyRing(tmp_path / "station", tmp_path / "lost").passphrase()
