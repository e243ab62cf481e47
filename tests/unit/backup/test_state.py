"""What state/SET.json says a set's runs usually take."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from backup.model import Kind, RunId, RunRecord, Status
from backup.saving.state import state_table

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
