"""What `bkp status` says of runs that have not ended well."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from backup.command.__main__ import cli
from tests.support.backup_toml import SMALLEST

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def gone() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def _status(folder: Path, **last: object) -> tuple[int, str]:
    (folder / "state").mkdir()
    (folder / "backup.toml").write_text(SMALLEST)
    (folder / "state/files.json").write_text(json.dumps({"last_run": {"error": None, **last}}))
    shown = CliRunner().invoke(cli, ["status", "--config", str(folder / "backup.toml")])
    return shown.exit_code, shown.output


def test_a_run_whose_process_is_gone_was_killed(tmp_path: Path, gone: int) -> None:
    code, text = _status(tmp_path, status="running", pid=gone)
    assert code == 1
    assert "files: its process was killed before it was done" in text


def test_a_run_whose_process_is_there_is_under_way(tmp_path: Path) -> None:
    assert _status(tmp_path, status="running", pid=os.getpid())[0] == 0


def test_a_cancelled_run_is_called_that(tmp_path: Path) -> None:
    code, text = _status(tmp_path, status="cancelled", pid=1, error="ended by SIGINT")
    assert "files: the last run was cancelled" in text
    assert (code, "SIGINT" in text) == (1, False)
