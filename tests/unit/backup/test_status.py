"""What `bkp status` says of runs that have not ended well."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from rich.console import Console

from backup.command.__main__ import cli
from backup.command.telling import say
from backup.model import read_instant
from backup.proof.record import FORM
from backup.saving.archive_standing import failed, told
from core.model.prediction import archived_to
from core.runtime.process import is_alive, own_mark
from tests.support.backup_toml import SMALLEST

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@pytest.fixture
def gone() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def _status(folder: Path, archives: Mapping[str, object] = MappingProxyType({}), **last: object) -> tuple[int, str]:
    (folder / "state").mkdir()
    (folder / "backup.toml").write_text(SMALLEST)
    (folder / "state/files.json").write_text(json.dumps({"last_run": {"error": None, **last}, **archives}))
    shown = CliRunner().invoke(cli, ["status", "--config", str(folder / "backup.toml")])
    return shown.exit_code, shown.output


def test_a_run_whose_process_is_gone_was_killed(tmp_path: Path, gone: int) -> None:
    code, text = _status(tmp_path, status="running", pid=gone)
    assert code == 1
    assert "files: its process was killed before it was done" in text


def test_a_run_whose_process_is_there_is_under_way(tmp_path: Path) -> None:
    assert _status(tmp_path, status="running", pid=os.getpid())[0] == 0


def test_a_run_whose_number_another_process_has_since_the_machine_was_started_again_was_killed(tmp_path: Path) -> None:
    mark = own_mark()
    assert mark is not None
    boot, _, started = mark.rpartition("/")
    assert is_alive(os.getpid(), mark)
    assert not is_alive(os.getpid(), f"{boot}/{int(started) - 1}")
    code, text = _status(tmp_path, status="running", pid=os.getpid(), process=f"another boot/{started}")
    assert (code, "killed before it was done" in text) == (1, True)


def test_what_is_archived_at_one_target_alone_is_told_with_how_far_each_is(tmp_path: Path) -> None:
    noon = "2026-11-30T12:00:00+00:00"
    well = {"archived": "binary.000009", "written_at": noon, "archived_at": noon}
    away = failed(
        {"written_at": "2026-11-29T12:00:00+00:00"}, "target 'far': the disk is away", read_instant("20261130T110000Z")
    )
    half, whole = told({"near": well, "far": away}), told({"near": away})
    code, text = _status(tmp_path, status="ok", archives={"binlog": half | {"gap": None}, "wal": whole | {"gap": None}})
    assert code == 1
    lines = [line for line in text.splitlines() if line.startswith("files: ")]
    assert "no WAL has been archived since" in lines[0]
    assert "its binary log has not come to every target since" in lines[1]
    assert ": at 'far': the disk is away (archived up to 2026-11-30" in lines[1]
    assert "at 'near', 2026-11-29" in lines[1]
    assert archived_to({"binlog": half}) == noon
    assert (half["archived"], half["archived_at"], half["written_at"]) == (None, None, away["written_at"])


def test_a_cancelled_run_is_called_that(tmp_path: Path) -> None:
    code, text = _status(tmp_path, status="cancelled", pid=1, error="ended by SIGINT")
    assert "files: the last run was cancelled" in text
    assert (code, "SIGINT" in text) == (1, False)


def test_a_stations_row_is_a_line_on_a_terminal_of_80_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "backup.toml").write_text(SMALLEST + 'restore_within = "1h"\n[keys]\nstation = "keys/station"\n')
    (tmp_path / "state/drills/web1").mkdir(parents=True)
    proven = {"ended_at": "2020-11-20T17:00:00+00:00", "bytes_per_second": 5e6, "restored_bytes": 7e9}
    drills = {"last_drill": {"status": "ok"}, "last_proven": proven, "newest": {"restore_seconds": 99_999}}
    (tmp_path / "state/drills/web1/files.json").write_text(json.dumps(drills | {"form": FORM}))
    shown = Console(file=io.StringIO(), width=80, record=True)
    monkeypatch.setattr("backup.command.station_status.console", lambda: shown)
    CliRunner().invoke(cli, ["status", "--config", str(tmp_path / "backup.toml")])
    titles, row, *more = [line for line in shown.export_text().splitlines() if line.strip()]
    assert "Verified" in titles
    assert row.startswith("web1/files")
    assert "1 d 3 h, too long  never" in row
    assert more == []


def test_a_long_line_breaks_between_words_at_a_terminal_and_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    say("  one two three", within="    ")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "12")
    say("  one two three", within="    ")
    assert capsys.readouterr().out == "  one two three\n  one two\n    three\n"
