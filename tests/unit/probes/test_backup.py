"""What the probe `backup` makes of the state files that runs leave."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from probes.backup import RUNS_FILE, SETS_FILE, Parameters, read_backups
from probes.visit import Visit
from tests.unit.probes.visiting import Reader

if TYPE_CHECKING:
    from pathlib import Path


def instant(**ago: float) -> str:
    return (datetime.now(UTC) - timedelta(**ago)).isoformat().replace("+00:00", "Z")


def run(status: str = "ok", **more: Any) -> dict[str, Any]:
    return {
        "due_at": instant(hours=3), "status": status, "started_at": instant(hours=3), "ended_at": instant(hours=2.9),
        "kind": "full", "at": instant(hours=3), "source_bytes": 5000, "stored_bytes": 700, "duration_seconds": 12.5,
        "unreadable": 2, "error": None, "exit_code": 0, "pid": os.getpid(),
    } | more  # fmt: skip


def state(folder: Path, name: str, last: dict[str, Any] | None, good: dict[str, Any] | None) -> None:
    known: dict[str, Any] = {"host": "web1", "set": name, "last_run": last, "last_good": good}
    known |= {"restore_points": 4, "usual_bytes": 20_000, "reminders": ["print the sheet"]}
    known |= {"vanished": [{"target": "store", "count": 2, "points": []}, {"target": "far", "count": 1, "points": []}]}
    text = json.dumps(known | {"key_expires_at": instant(days=-20)})
    (folder / f"{name}.json").write_text(text)


@pytest.fixture
def agents(tmp_path: Path) -> Reader:
    """The probe at an agent that keeps the sets files (daily), mail (daily, new) and odd (no schedule)."""
    sets = [
        {"name": "files", "period_seconds": 86_400.0, "since": instant(days=90)},
        {"name": "mail", "period_seconds": 86_400.0, "since": instant(days=3)},
        {"name": "odd", "period_seconds": None, "since": instant(days=90)},
    ]
    (tmp_path / SETS_FILE).write_text(json.dumps({"state": str(tmp_path), "sets": sets}))
    return Reader(read_backups, visit=Visit(folder=tmp_path))


def test_a_good_backup_is_told_with_its_figures_and_its_age_as_of_now(agents: Reader, tmp_path: Path) -> None:
    state(tmp_path, "files", run(), run())
    found = agents.read()
    assert {key: found[key] for key in found if key.endswith("[files]")} == {
        "backup.status[files]": 0.0,
        "backup.covers[files]": "{}",
        "backup.age_seconds[files]": pytest.approx(3 * 3600, abs=60),
        "backup.period_seconds[files]": 86_400.0,
        "backup.run_age_seconds[files]": pytest.approx(3 * 3600, abs=60),
        "backup.reminder[files]": "print the sheet",
        "backup.key_days_left[files]": pytest.approx(20.0, abs=0.01),
        "backup.overdue_seconds[files]": 0.0,
        "backup.waiting_seconds[files]": 0.0,
        "backup.queued_seconds[files]": 0.0,
        "backup.unplaced[files]": 0.0,
        "backup.claim[files]": "",
        "backup.run_seconds[files]": pytest.approx(360, abs=60),
        "backup.grown_percent[files]": 0.0,
        "backup.loss_seconds[files]": 86_412.5,
        "backup.size_bytes[files]": 5000.0,
        "backup.shrunk_percent[files]": 75.0,
        "backup.unreadable[files]": 2.0,
        "backup.stored_bytes[files]": 700.0,
        "backup.duration_seconds[files]": 12.5,
        "backup.restore_points[files]": 4.0,
        "backup.restore_points_vanished[files]": 3.0,
        "backup.kind[files]": "full",
        "backup.error[files]": "",
        "backup.phase[files]": "",
        "backup.order[files]": "",
    }
    assert agents.failures == []


def test_a_set_that_names_what_may_be_lost_tells_how_much_more_would_be(agents: Reader, tmp_path: Path) -> None:
    listed = json.loads((tmp_path / SETS_FILE).read_text())
    for each in listed["sets"]:
        each["lose_at_most_seconds"] = 86_400.0
    (tmp_path / SETS_FILE).write_text(json.dumps(listed))
    state(tmp_path, "files", run(), run())
    found = agents.read()
    assert found["backup.loss_over_seconds[files]"] == pytest.approx(12.5)
    assert found["backup.loss_over_seconds[mail]"] == pytest.approx(2 * 86_400, abs=60)  # it never ran, for three days


def test_after_a_failure_the_figures_are_of_the_last_good_one_and_its_age_goes_on(
    agents: Reader, tmp_path: Path
) -> None:
    state(tmp_path, "files", run("failed", error="the target is full", exit_code=22, at=None), run(at=instant(days=2)))
    found = agents.read()
    assert found["backup.status[files]"] == 2.0
    assert found["backup.error[files]"] == "the target is full"
    assert found["backup.size_bytes[files]"] == 5000.0
    assert found["backup.age_seconds[files]"] == pytest.approx(2 * 86_400, abs=60)
    assert found["backup.overdue_seconds[files]"] == pytest.approx(86_400, abs=60)


def test_a_good_backup_of_a_clock_that_was_ahead_is_not_young(agents: Reader, tmp_path: Path) -> None:
    state(tmp_path, "files", run(at=instant(days=-400)), run(at=instant(days=-400)))
    found = agents.read()
    for item, days in (("age", 400), ("overdue", 399), ("loss", 400)):
        assert found[f"backup.{item}_seconds[files]"] == pytest.approx(days * 86_400, abs=60)


def test_what_a_backup_saved_is_told_when_it_changes_and_again_in_an_hour_until_it_lies_in_the_spool(
    agents: Reader, tmp_path: Path
) -> None:
    covers = {"roots": ["/"], "file_systems": ["/"]}
    state(tmp_path, "files", run(), run(covers=covers))
    agents.is_stored = False
    assert json.loads(str(agents.read()["backup.covers[files]"])) == covers
    agents.is_stored = True
    assert "backup.covers[files]" in agents.read()
    assert "backup.covers[files]" not in agents.read()
    assert "backup.covers[files]" in agents.read(seconds=3600)
    state(tmp_path, "files", run(), run(covers=covers | {"file_systems": ["/", "/srv"]}))
    assert "/srv" in str(agents.read()["backup.covers[files]"])


def test_archiving_of_wal_is_told_for_sets_that_have_it(agents: Reader, tmp_path: Path) -> None:
    state(tmp_path, "files", run(), run())
    assert not any("wal" in item for item in agents.read())
    file = tmp_path / "files.json"
    wal = {"archived": "000000010000000000000003", "written_at": instant(minutes=9),
           "archived_at": instant(minutes=5), "failing_since": None}  # fmt: skip
    file.write_text(json.dumps(json.loads(file.read_text()) | {"wal": wal}))
    found = agents.read()
    assert found["backup.wal_age_seconds[files]"] == pytest.approx(300, abs=60)
    assert found["backup.wal_failing_seconds[files]"] == 0.0
    assert found["backup.loss_seconds[files]"] == pytest.approx(540, abs=60)  # not the day until the next base backup
    file.write_text(json.dumps(json.loads(file.read_text()) | {"wal": wal | {"failing_since": instant(hours=1)}}))
    assert agents.read()["backup.wal_failing_seconds[files]"] == pytest.approx(3600, abs=60)


def test_wal_that_was_archived_by_a_clock_that_was_ahead_is_not_young(agents: Reader, tmp_path: Path) -> None:
    ahead = instant(days=-2)
    wal = {"archived": "000000010000000000000003", "written_at": ahead, "archived_at": ahead, "failing_since": ahead}
    state(tmp_path, "files", run(at=instant(days=3)), run(at=instant(days=3)))
    file = tmp_path / "files.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"wal": wal}))
    found = agents.read()
    for item in ("wal_age", "wal_failing", "loss"):
        assert found[f"backup.{item}_seconds[files]"] == pytest.approx(2 * 86_400, abs=60)


def test_archiving_of_binary_logs_is_told_with_how_late_it_is_and_a_gap_makes_it_count_for_nothing(
    agents: Reader, tmp_path: Path
) -> None:
    state(tmp_path, "files", run(), run())
    assert not any("binlog" in item for item in agents.read())
    file = tmp_path / "files.json"
    binlog = {"archived": "binary.000003", "written_at": instant(minutes=20), "archived_at": instant(minutes=20),
              "failing_since": instant(minutes=15), "interval_seconds": 300.0, "gap": None}  # fmt: skip
    file.write_text(json.dumps(json.loads(file.read_text()) | {"binlog": binlog}))
    found = agents.read()
    assert found["backup.binlog_age_seconds[files]"] == pytest.approx(1200, abs=60)
    assert found["backup.binlog_late_seconds[files]"] == pytest.approx(300, abs=60)
    assert found["backup.binlog_failing_seconds[files]"] == pytest.approx(900, abs=60)
    assert found["backup.binlog_gap[files]"] == 0.0
    assert found["backup.loss_seconds[files]"] == pytest.approx(1200, abs=60)
    file.write_text(json.dumps(json.loads(file.read_text()) | {"binlog": binlog | {"gap": "it was purged"}}))
    found = agents.read()
    assert found["backup.binlog_gap[files]"] == 1.0
    assert float(found["backup.loss_seconds[files]"]) > 3600
    never = {"archived_at": None, "failing_since": instant(hours=1), "interval_seconds": 300.0}
    file.write_text(json.dumps(json.loads(file.read_text()) | {"binlog": never}))
    assert agents.read()["backup.binlog_late_seconds[files]"] == pytest.approx(2700, abs=60)


@pytest.mark.parametrize(
    ("status", "is_there", "value"), [("running", True, 1.0), ("running", False, 2.0), ("killed", False, 2.0)]
)
def test_a_run_under_way_and_a_killed_one_are_told_apart(
    agents: Reader, tmp_path: Path, status: str, is_there: bool, value: float
) -> None:
    state(tmp_path, "files", run(status, pid=os.getpid() if is_there else 1 << 30), None)
    assert agents.read()["backup.status[files]"] == value


def test_a_set_that_never_ran_is_overdue_from_when_it_was_first_known(agents: Reader) -> None:
    found = agents.read()
    assert found["backup.status[mail]"] == 3.0
    assert "backup.age_seconds[mail]" not in found
    assert found["backup.overdue_seconds[mail]"] == pytest.approx(2 * 86_400, abs=60)
    assert found["backup.status[odd]"] == 3.0
    assert "backup.overdue_seconds[odd]" not in found


@pytest.mark.parametrize("text", ["{", "[]", '{"last_run": 3}', '{"last_run": {"status": "odd"}}',
                                  '{"last_run": null, "last_good": {"at": "yesterday"}}'])  # fmt: skip
def test_a_broken_state_file_is_named_and_hurts_no_other_set(agents: Reader, tmp_path: Path, text: str) -> None:
    (tmp_path / "files.json").write_text(text)
    state(tmp_path, "mail", run(), run())
    found = agents.read()
    assert len(agents.failures) == 1
    assert str(tmp_path / "files.json") in agents.failures[0]
    assert found["backup.status[mail]"] == 0.0


def test_the_begin_and_the_end_of_a_run_are_news(agents: Reader, tmp_path: Path) -> None:
    assert not agents.has_news()
    agents.read()
    assert not agents.has_news()
    state(tmp_path, "files", run("running"), None)
    assert agents.has_news()
    agents.read()
    assert not agents.has_news()


def test_a_folder_can_be_named_where_no_agent_keeps_the_schedule(tmp_path: Path) -> None:
    state(tmp_path, "files", run(), run())
    found = Reader(read_backups, parameters=Parameters(folder=tmp_path)).read()
    assert found["backup.status[files]"] == 0.0
    assert "backup.overdue_seconds[files]" not in found


def test_an_agent_without_backups_says_how_to_have_some(tmp_path: Path) -> None:
    reader = Reader(read_backups, visit=Visit(folder=tmp_path))
    assert reader.read() == {}
    assert "`backup` in the agent's configuration" in reader.failures[0]


def test_a_run_is_told_beside_its_usual_time_and_the_window_it_began_in(agents: Reader, tmp_path: Path) -> None:
    table = json.loads((tmp_path / SETS_FILE).read_text())
    begun = datetime.now(UTC) - timedelta(hours=3)
    table["sets"][0]["window"] = f"{begun - timedelta(minutes=5):%H:%M}-{begun + timedelta(hours=1):%H:%M}"
    (tmp_path / SETS_FILE).write_text(json.dumps(table))
    state(tmp_path, "files", run("running", ended_at=None, kind=None), run())
    known = json.loads((tmp_path / "files.json").read_text())
    (tmp_path / "files.json").write_text(json.dumps(known | {"usual_seconds": {"full": 3600.0, "incremental": 60.0}}))
    found = agents.read()
    assert found["backup.run_seconds[files]"] == pytest.approx(3 * 3600, abs=60)
    assert found["backup.duration_ratio[files]"] == pytest.approx(3.0, abs=0.1)  # of the kind that takes longest
    assert found["backup.overrun_seconds[files]"] == pytest.approx(2 * 3600, abs=120)
    state(tmp_path, "files", run(), run())
    known = json.loads((tmp_path / "files.json").read_text())
    (tmp_path / "files.json").write_text(json.dumps(known | {"usual_seconds": {"full": 180.0}}))
    found = agents.read()
    assert found["backup.duration_ratio[files]"] == pytest.approx(2.0, abs=0.1)
    assert found["backup.overrun_seconds[files]"] == 0.0


def test_a_set_that_waits_says_since_when_and_for_which_run_of_its(agents: Reader, tmp_path: Path) -> None:
    due, since, asked = instant(hours=1), instant(hours=25), instant(minutes=30)
    claim = {"due_at": due, "since": since, "asked_at": asked, "targets": ["store", "far"]}
    told = {"waiting": {"mail": instant(hours=2)}, "claims": {"files": claim}, "unplaced": ["mail"]}
    (tmp_path / RUNS_FILE).write_text(json.dumps(told))
    found = agents.read()
    assert found["backup.queued_seconds[files]"] == pytest.approx(1800, abs=60)
    assert found["backup.claim[files]"] == f"{due} {since} store,far"
    assert (found["backup.unplaced[files]"], found["backup.unplaced[mail]"]) == (0.0, 1.0)
    assert found["backup.waiting_seconds[mail]"] == pytest.approx(7200, abs=60)
    assert found["backup.waiting_seconds[files]"] == 0.0
