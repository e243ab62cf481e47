"""What the probe `drill` makes of the state files that drills leave."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from probes.drill import DRILLS_FILE, Parameters, read_drills
from probes.visit import Visit
from tests.unit.probes.visiting import Reader

if TYPE_CHECKING:
    from pathlib import Path


def instant(**ago: float) -> str:
    return (datetime.now(UTC) - timedelta(**ago)).isoformat()


def drill(status: str = "ok", **more: Any) -> dict[str, Any]:
    return {
        "status": status, "ended_at": instant(days=9), "pid": os.getpid(), "point": "2026-11-20T02:30:00+00:00",
        "duration_seconds": 40.0, "restored_bytes": 5000, "bytes_per_second": 250.0, "evidence": "12 entries",
        "error": None,
    } | more  # fmt: skip


@pytest.fixture
def station(tmp_path: Path) -> Reader:
    """The probe beside drills of web1/files (weekly, within 60 s) and web1/mail (weekly, new for three days)."""
    sets = [
        {"label": "web1/files", "period_seconds": 604_800.0, "since": instant(days=90), "within_seconds": 60.0},
        {"label": "web1/mail", "period_seconds": 604_800.0, "since": instant(days=10), "within_seconds": None},
    ]
    (tmp_path / DRILLS_FILE).write_text(json.dumps({"state": str(tmp_path), "sets": sets}))
    (tmp_path / "web1").mkdir()
    return Reader(read_drills, visit=Visit(folder=tmp_path))


def write(folder: Path, last: dict[str, Any], proven: dict[str, Any] | None) -> None:
    newest = {"at": instant(hours=3), "size_bytes": 7000, "restore_seconds": 75.0}
    (folder / "web1/files.json").write_text(json.dumps({"last_drill": last, "last_proven": proven, "newest": newest}))


def test_a_proof_is_told_with_its_age_its_figures_and_what_a_restore_will_take(station: Reader, tmp_path: Path) -> None:
    write(tmp_path, drill(), drill())
    found = station.read()
    assert {key: found[key] for key in found if key.endswith("[web1/files]")} == {
        "drill.status[web1/files]": 0.0,
        "drill.error[web1/files]": "",
        "drill.proven_age_seconds[web1/files]": pytest.approx(9 * 86_400, abs=60),
        "drill.overdue_seconds[web1/files]": pytest.approx(2 * 86_400, abs=60),
        "drill.proven_point[web1/files]": "2026-11-20T02:30:00+00:00",
        "drill.evidence[web1/files]": "12 entries",
        "drill.duration_seconds[web1/files]": 40.0,
        "drill.restored_bytes[web1/files]": 5000.0,
        "drill.restored_per_second[web1/files]": 250.0,
        "drill.restore_seconds[web1/files]": 75.0,
        "drill.restore_over_seconds[web1/files]": 15.0,
    }
    assert found["drill.status[web1/mail]"] == 3.0
    assert found["drill.overdue_seconds[web1/mail]"] == pytest.approx(3 * 86_400, abs=60)


def test_after_a_failure_the_proof_only_gets_older(station: Reader, tmp_path: Path) -> None:
    write(tmp_path, drill("failed", error="1 block differs"), drill())
    found = station.read()
    assert (found["drill.status[web1/files]"], found["drill.error[web1/files]"]) == (2.0, "1 block differs")
    assert found["drill.proven_age_seconds[web1/files]"] == pytest.approx(9 * 86_400, abs=60)


def test_a_proof_of_a_clock_that_was_ahead_is_not_young(station: Reader, tmp_path: Path) -> None:
    write(tmp_path, drill(), drill(ended_at=instant(days=-400)))
    found = station.read()
    assert found["drill.proven_age_seconds[web1/files]"] == pytest.approx(400 * 86_400, abs=60)
    assert found["drill.overdue_seconds[web1/files]"] == pytest.approx(393 * 86_400, abs=60)


def test_a_drill_under_way_and_one_that_was_killed_are_told_apart(station: Reader, tmp_path: Path) -> None:
    write(tmp_path, drill("running"), None)
    assert station.read()["drill.status[web1/files]"] == 1.0
    write(tmp_path, drill("running", pid=2**22 + 1), None)  # more than Linux ever gives
    assert station.read()["drill.status[web1/files]"] == 2.0
    assert "killed" in str(station.read()["drill.error[web1/files]"])


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"last_drill": 3}', '{"last_drill": {"status": "ok"}, "last_proven": {}}']
)
def test_a_broken_state_file_is_named_and_hurts_no_other_set(station: Reader, tmp_path: Path, text: str) -> None:
    (tmp_path / "web1/files.json").write_text(text)
    found = station.read()
    assert "web1/files.json" in station.failures[0]
    assert found["drill.status[web1/mail]"] == 3.0


def test_a_folder_can_be_named_and_an_agent_without_drills_says_nothing(tmp_path: Path) -> None:
    nothing = Reader(read_drills, visit=Visit(folder=tmp_path))
    assert (nothing.read(), nothing.failures) == ({}, [])
    (tmp_path / "web1").mkdir()
    write(tmp_path, drill(), drill())
    assert Reader(read_drills, parameters=Parameters(folder=tmp_path)).read()["drill.status[web1/files]"] == 0.0
