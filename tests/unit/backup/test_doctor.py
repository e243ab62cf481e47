"""What `bkp doctor` advises: what helps on that machine, and nothing it would refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from backup.command.doctor import judge_room
from backup.settings.document import BackupSettings, SetSettings
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
