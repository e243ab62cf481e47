"""The runs that were begun, and which of them says how a set stands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from backup.errors import WorkFailed
from backup.model import RunId, RunRecord, Status
from backup.saving.journal import Journal

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime.now(UTC).replace(microsecond=0)


def record(at: datetime, status: Status = Status.OK) -> RunRecord:
    return RunRecord(id=RunId(set="files", due_at=at), status=status, started_at=at, pid=1)


def test_a_good_run_of_a_clock_that_was_ahead_does_not_hide_how_the_last_one_went(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "files")
    good, failed = record(NOW - timedelta(days=1)), record(NOW + timedelta(minutes=3), Status.FAILED)
    ahead = record(NOW + timedelta(days=400))
    for each in (good, ahead, failed):
        journal.write(each)
    assert journal.newest() == [failed, good, ahead]
    assert journal.newest(1) == [failed]


def test_the_record_that_is_written_stays_though_a_full_journal_is_of_a_clock_that_was_ahead(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "files")
    for number in range(200):
        journal.write(record(NOW + timedelta(days=400, minutes=number)))
    journal.write(record(NOW))
    assert len(journal.newest()) == 200
    assert journal.newest(1) == [record(NOW)]


@pytest.mark.parametrize("content", ["", "null", "[]", "{}", '"x"', '{"set": 1}'])
def test_a_record_that_is_no_record_is_left_out_and_its_run_does_not_begin_again(tmp_path: Path, content: str) -> None:
    journal = Journal(tmp_path, "files")
    broken, whole = record(NOW), record(NOW - timedelta(days=1))
    for each in (broken, whole):
        journal.write(each)
    (file,) = (tmp_path / "files" / "runs").glob(f"{NOW:%Y%m%dT%H%M%SZ}*")
    file.write_text(content)
    assert journal.newest() == [whole]
    with pytest.raises(WorkFailed, match=file.name):
        journal.find(broken.id)
