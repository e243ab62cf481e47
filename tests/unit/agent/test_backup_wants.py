"""What the agent's schedules want, by what it and `bkp run` know of the runs before."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from agent.backups.attempts import AttemptBook
from agent.backups.wants import ScheduledWants
from backup.schedule import spread_of
from backup.settings.backup_set import SetSettings
from backup.settings.document import BackupSettings
from core.runtime.process import own_mark

if TYPE_CHECKING:
    from pathlib import Path

DUE = datetime(2026, 11, 30, 3, tzinfo=UTC)
SPREAD = spread_of("web1/files", timedelta(hours=1))
AHEAD = DUE + timedelta(days=400)
CHOSEN = SetSettings(name="files", target="store", schedule="hourly")


def write_run(settings: BackupSettings, at: datetime) -> None:
    run = {"status": "ok", "due_at": at.isoformat(), "started_at": at.isoformat(), "ended_at": at.isoformat(), "pid": 1}
    (settings.state / "files.json").write_text(json.dumps({"last_run": run}))


def test_a_clock_that_was_ahead_while_agent_and_run_began_stops_no_schedule_once_it_is_right(tmp_path: Path) -> None:
    settings = BackupSettings(host="web1", state=tmp_path)
    write_run(settings, AHEAD)
    book = AttemptBook()
    wants = ScheduledWants(book, AHEAD)
    first = wants.decide(settings, CHOSEN, DUE + timedelta(minutes=10))
    assert first.look_at is not None
    assert first.look_at < DUE + timedelta(minutes=15)
    assert wants.decide(settings, CHOSEN, first.look_at).due_at == DUE
    book.begin("files", DUE)
    book.end("files", DUE, 0, first.look_at)  # it is not begun again and again while the state is that of then
    assert wants.decide(settings, CHOSEN, first.look_at).due_at is None
    assert wants.decide(settings, CHOSEN, DUE + timedelta(hours=1) + SPREAD).due_at == DUE + timedelta(hours=1)


def test_a_run_of_before_the_machine_was_started_again_holds_its_set_up_for_no_longer(tmp_path: Path) -> None:
    settings = BackupSettings(host="web1", state=tmp_path)
    wants = ScheduledWants(AttemptBook(), DUE)
    later = DUE + timedelta(hours=1) + SPREAD
    run = {"status": "running", "due_at": DUE.isoformat(), "started_at": DUE.isoformat(), "pid": os.getpid()}
    (tmp_path / "files.json").write_text(json.dumps({"last_run": run | {"process": own_mark()}}))
    assert wants.decide(settings, CHOSEN, later).due_at is None
    (tmp_path / "files.json").write_text(json.dumps({"last_run": run | {"process": "another boot/1"}}))
    assert wants.decide(settings, CHOSEN, later).due_at == DUE + timedelta(hours=1)
