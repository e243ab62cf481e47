"""A host knows the disk of a target again, also when two of its sets are saved there at once for the first time."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from backup.errors import TargetAway
from backup.runtime import durable
from backup.settings.document import BackupSettings
from backup.settings.target import TargetSettings
from backup.targets.disk_mark import DiskMark
from backup.targets.folder import FolderTarget
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class _Hooked(FolderTarget):
    """A folder that calls somebody before and after a mark is written."""

    def __init__(self, at: TargetSettings, before: Callable[[], None], after: Callable[[], None]) -> None:
        super().__init__(at)
        self._before, self._after = before, after

    def write(self, name: str, data: bytes) -> None:
        self._before()
        super().write(name, data)
        self._after()


def test_two_sets_that_are_saved_for_the_first_time_at_once_agree_on_the_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "store").mkdir()
    at = TargetSettings(name="store", kind="folder", folder=tmp_path / "store")
    settings = BackupSettings(host="web1", work=tmp_path / "work", targets=(at,))
    has_looked, is_written, waits = (threading.Event() for _ in range(3))

    def sleep(seconds: float) -> None:
        waits.set()
        time.sleep(seconds)

    monkeypatch.setattr(durable, "time", SimpleNamespace(monotonic=lambda: 0.0, sleep=sleep))

    def look_and_wait() -> None:
        has_looked.set()
        is_written.wait(60)

    late = DiskMark(settings, at, _Hooked(at, look_and_wait, lambda: None))
    other = threading.Thread(target=late.adopt, daemon=True)

    def let_the_other_look() -> None:
        other.start()
        wait_until(lambda: has_looked.is_set() or waits.is_set(), what="the other, who looks or waits")

    def let_the_other_end() -> None:
        is_written.set()
        wait_until(lambda: not other.is_alive() or waits.is_set(), what="the other, who is done or waits")

    DiskMark(settings, at, _Hooked(at, let_the_other_look, let_the_other_end)).adopt()
    other.join(60)
    DiskMark(settings, at, FolderTarget(at)).demand("files")  # else no run would write there any more


def test_a_mark_that_the_host_cannot_read_is_another_disk_and_no_defect(tmp_path: Path) -> None:
    at = TargetSettings(name="store", kind="folder", folder=tmp_path)
    settings = BackupSettings(host="web1", work=tmp_path / "work", targets=(at,))
    mark = DiskMark(settings, at, FolderTarget(at))
    mark.adopt()
    (settings.work / ".disks" / "store").write_bytes(b"\xff")
    with pytest.raises(TargetAway, match="--anew"):
        mark.demand("files")
