"""What the probe `verification` makes of the state files that verifications leave."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from probes.verification import VERIFICATIONS_FILE, read_verifications
from probes.visit import Visit
from tests.unit.probes.visiting import Reader

if TYPE_CHECKING:
    from pathlib import Path

WEEK = 604_800.0


def instant(**ago: float) -> str:
    return (datetime.now(UTC) - timedelta(**ago)).isoformat()


@pytest.fixture
def station(tmp_path: Path) -> Reader:
    """The probe beside a station that reads web1/files at two targets every week, and web1/mail never."""
    sets = [
        {"label": "web1/files", "period_seconds": WEEK, "since": instant(days=90), "depth": "read",
         "targets": ["near", "far"]},
        {"label": "web1/mail", "period_seconds": None, "since": instant(days=90), "depth": "read", "targets": ["near"]},
    ]  # fmt: skip
    (tmp_path / VERIFICATIONS_FILE).write_text(json.dumps({"state": str(tmp_path), "sets": sets}))
    (tmp_path / "web1").mkdir()
    return Reader(read_verifications, visit=Visit(folder=tmp_path))


def write(folder: Path, copies: dict[str, Any], last: dict[str, Any] | None = None) -> None:
    (folder / "web1/files.json").write_text(json.dumps({"last_verification": last, "copies": copies}))


def copy(damage: dict[str, Any] | None = None, **whole: str) -> dict[str, Any]:
    return {"last": {"ended_at": instant(days=1), "depth": "stored"}, "whole": whole, "damage": damage}


def test_a_set_is_as_new_as_the_copy_that_was_verified_longest_ago_as_deep_as_is_wanted(
    station: Reader, tmp_path: Path
) -> None:
    write(tmp_path, {"near": copy(read=instant(days=1)), "far": copy(read=instant(days=9), stored=instant(hours=1))})
    found = station.read()
    assert {key: found[key] for key in found if key.endswith("[web1/files]")} == {
        "verification.status[web1/files]": 0.0,
        "verification.error[web1/files]": "",
        "verification.lost_points[web1/files]": 0.0,
        "verification.unlisted_points[web1/files]": 0.0,
        "verification.damaged_logs[web1/files]": 0.0,
        "verification.depth[web1/files]": "read",
        "verification.verified_age_seconds[web1/files]": pytest.approx(9 * 86_400, abs=60),
        "verification.overdue_seconds[web1/files]": pytest.approx(2 * 86_400, abs=60),
    }
    mail = {key for key in found if key.endswith("[web1/mail]")}
    assert "verification.overdue_seconds[web1/mail]" not in mail  # nobody set a schedule
    assert found["verification.status[web1/mail]"] == 3.0


def test_one_copy_that_was_never_looked_at_leaves_the_set_unverified(station: Reader, tmp_path: Path) -> None:
    write(tmp_path, {"near": copy(read=instant(days=1))})
    found = station.read()
    assert "verification.verified_age_seconds[web1/files]" not in found
    assert found["verification.overdue_seconds[web1/files]"] == pytest.approx(83 * 86_400, abs=60)


@pytest.mark.parametrize("last", [None, {"status": "ok", "pid": 1, "error": None}])
def test_a_set_is_whole_only_when_each_copy_was_found_whole(
    station: Reader, tmp_path: Path, last: dict[str, Any] | None
) -> None:
    write(tmp_path, {"near": copy(stored=instant(days=1))}, last)
    found = station.read()
    assert (found["verification.status[web1/files]"], found["verification.error[web1/files]"]) == (
        3.0,
        "the copy at far was never looked at",
    )
    write(tmp_path, {"near": copy(stored=instant(days=1)), "far": copy()}, last)  # looked at, and nothing lay there
    found = station.read()
    assert (found["verification.status[web1/files]"], found["verification.error[web1/files]"]) == (
        4.0,
        "at far there is no restore point",
    )
    write(tmp_path, {"near": copy(stored=instant(days=1)), "far": copy(stored=instant(days=40))}, last)
    assert station.read()["verification.status[web1/files]"] == 0.0


def test_damage_of_one_copy_and_what_stood_in_the_way_are_told_apart(station: Reader, tmp_path: Path) -> None:
    failed = {"status": "failed", "pid": os.getpid(), "error": "the disk is away"}
    write(tmp_path, {"near": copy(read=instant(days=1))}, failed)
    found = station.read()
    assert (found["verification.status[web1/files]"], found["verification.error[web1/files]"]) == (4.0, failed["error"])
    damage = {"lost": 3, "unlisted": 2, "logs": 4, "what": "vol1: it is missing"}
    write(tmp_path, {"near": copy(read=instant(days=1)), "far": copy(damage=damage)}, failed)
    found = station.read()
    assert (found["verification.status[web1/files]"], found["verification.lost_points[web1/files]"]) == (2.0, 3.0)
    assert found["verification.error[web1/files]"] == damage["what"]
    assert found["verification.unlisted_points[web1/files]"] == 2.0
    assert found["verification.damaged_logs[web1/files]"] == 4.0
    write(tmp_path, {}, failed | {"status": "running"})
    assert station.read()["verification.status[web1/files]"] == 1.0


@pytest.mark.parametrize("text", ["{", '{"copies": 3}', '{"copies": {"near": {"whole": {"read": "never"}}}}'])
def test_a_broken_state_file_is_named_and_hurts_no_other_set(station: Reader, tmp_path: Path, text: str) -> None:
    (tmp_path / "web1/files.json").write_text(text)
    (tmp_path / VERIFICATIONS_FILE).write_text(
        (tmp_path / VERIFICATIONS_FILE).read_text().replace('["near", "far"]', '["near"]')
    )
    found = station.read()
    assert "web1/files.json" in station.failures[0]
    assert found["verification.status[web1/mail]"] == 3.0
