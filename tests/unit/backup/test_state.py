"""What state/SET.json says a set's runs usually take, and that one writes it after the other."""

from __future__ import annotations

import fcntl
import os
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING

from backup.model import Kind, RunId, RunRecord, Status
from backup.runtime import durable
from backup.saving.archive_notes import state_lock
from backup.saving.state import state_table

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)


def records(*minutes: float, kind: Kind = Kind.INCREMENTAL, status: Status = Status.OK) -> list[RunRecord]:
    """Return runs of so many minutes, the first one the newest."""
    return [
        RunRecord(
            id=RunId(set="files", due_at=BEGIN - timedelta(days=day)), status=status, kind=kind, pid=1,
            started_at=BEGIN - timedelta(days=day), ended_at=BEGIN - timedelta(days=day) + timedelta(minutes=took),
        )
        for day, took in enumerate(minutes)
    ]  # fmt: skip


def usual(*runs: RunRecord) -> dict[str, float]:
    found: dict[str, float] = state_table("web1", runs, restore_points=None, reminders=())["usual_seconds"]
    return found


def test_the_usual_time_is_the_middle_of_the_good_runs_before_of_the_same_kind() -> None:
    assert usual(*records(99, 2, 50, 3)) == {"incremental": 180.0}
    assert usual(*records(99, 2, 3)) == {}  # two tell nothing
    assert usual(*records(1), *records(2, 2, 2), *records(40, 50, 60, kind=Kind.FULL)) == {
        "incremental": 120.0,
        "full": 3000.0,
    }


def test_runs_that_failed_and_those_of_long_ago_count_for_nothing() -> None:
    failed = records(500, 500, 500, status=Status.FAILED)
    assert usual(*failed, *records(2, 2, 2)) == {"incremental": 120.0}
    assert usual(*records(1, *[2] * 7, *[90] * 20)) == {"incremental": 120.0}


def test_who_writes_the_state_to_a_slow_disk_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a run that is good, or WAL that is archived, would end as if it were not."""
    (tmp_path / "files").mkdir()
    held = os.open(tmp_path / "files/state.lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(held, fcntl.LOCK_EX)
    passed = 0

    def sleep(_: float) -> None:
        nonlocal passed
        passed += 1
        if passed == 30:
            os.close(held)

    monkeypatch.setattr(durable, "time", SimpleNamespace(monotonic=lambda: float(passed), sleep=sleep))
    with state_lock(tmp_path, "files"):
        assert passed == 30
