from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from click.testing import CliRunner

from core.wire.curve import load_or_create
from server.inventory.plan import StoredDefinition
from server.store.diagnosis import Diagnosis, Ledger, NoticeView, SourceView
from server.store.gap_ledger import SourceTotals
from server.store.lease import LeaseView
from watchkeep.__main__ import cli
from watchkeep.checks.database import check_clock, check_migrations, check_quarantine, check_reachable
from watchkeep.checks.folder import check_data_folder, check_installation, check_keys
from watchkeep.checks.processes import check_descriptors, check_running
from watchkeep.checks.registry import CHECKS
from watchkeep.checks.service import check_lease, check_page
from watchkeep.checks.sources import check_agent_spool, check_gap_ledger, check_heard
from watchkeep.checks.subject import ProcessView, Subject
from watchkeep.checks.telling import check_definitions, check_notices
from watchkeep.checks.verdict import State
from watchkeep.checks.wording import count, names, size, span
from watchkeep.installation import Installation

if TYPE_CHECKING:
    from pathlib import Path

    from watchkeep.checks.registry import Check
    from watchkeep.checks.verdict import Verdict

TOTALS = SourceTotals(
    name="db1", uuid=UUID(int=1), host="db1", lives=2, in_time=100, late=2, replayed=5, lost=3, refused=1, open=4,
    missing=0, heard_at=datetime(2026, 1, 1, tzinfo=UTC), wrong_lives=0,
)  # fmt: skip
LEDGER = Ledger(
    lease=LeaseView(
        epoch=3,
        holder="one",
        endpoint="tcp://127.0.0.1:1",
        taken_at=datetime(2026, 1, 1, tzinfo=UTC),
        is_released=False,
        heartbeat_age_seconds=0.4,
    ),
    sources=[SourceView(name="db1", heard_seconds_ago=4.0, is_shut_out=False)],
    notices=NoticeView(waiting=0, oldest_waiting_seconds=0.0, failed_today=0, last_error=None),
    quarantined_records=0,
    definitions=[],
    totals=[TOTALS],
)
DIAGNOSIS = Diagnosis(
    server_version="18.4",
    timescale_version=None,
    size_bytes=9_700_000,
    skew_seconds=0.01,
    missing_migrations=[],
    migration_fault="",
    ledger=LEDGER,
)


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    """An installation in order, of which nothing runs."""
    tmp_path.chmod(0o700)
    installation = Installation(dsn="host=127.0.0.1 password=hidden", url="http://127.0.0.1:1/", server="one")
    installation.write(tmp_path)
    load_or_create(tmp_path / "keys" / "agent.key")
    return Subject(
        data=tmp_path,
        installation=installation,
        installation_fault="",
        diagnosis=DIAGNOSIS,
        database_fault="",
        processes={},
    )


def with_ledger(subject: Subject, **changes: Any) -> Subject:
    return replace(subject, diagnosis=replace(DIAGNOSIS, ledger=replace(LEDGER, **changes)))


def with_lease(subject: Subject, **changes: Any) -> Subject:
    return with_ledger(subject, lease=replace(LEDGER.lease, **changes))


def assert_told(verdict: Verdict, state: State, *words: str) -> None:
    """It says this, and what to do when something is to be done."""
    assert verdict.state == state, verdict
    assert all(word in verdict.message for word in words), verdict
    assert bool(verdict.remedy) == (state in (State.WARNING, State.FAILURE)), verdict


def test_a_file_that_goes_while_the_doctor_looks_is_no_fault(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, gone = type(subject.data), subject.data / "gone.key"
    look, search = kind.iterdir, kind.glob
    monkeypatch.setattr(kind, "iterdir", lambda folder: [*look(folder), gone])
    monkeypatch.setattr(kind, "glob", lambda folder, pattern: [*search(folder, pattern), gone])
    assert [check(subject).state for check in (check_data_folder, check_keys)] == [State.OK, State.OK]


@pytest.mark.parametrize(
    "check",
    [
        check_data_folder,
        check_installation,
        check_keys,
        check_reachable,
        check_migrations,
        check_clock,
        check_quarantine,
        check_lease,
        check_heard,
        check_gap_ledger,
        check_definitions,
        check_notices,
    ],
)
def test_what_is_in_order_is_said_to_be(check: Check, subject: Subject) -> None:
    assert_told(check(subject), State.OK)


def test_a_gap_ledger_that_does_not_add_up_or_misses_records_is_told(subject: Subject) -> None:
    assert_told(check_gap_ledger(subject), State.OK, "107 records stored", "3 lost", "1 refused")
    missing = with_ledger(subject, totals=[TOTALS, replace(TOTALS, name="web1", missing=4)])
    assert_told(check_gap_ledger(missing), State.WARNING, "web1 (4 records)")
    wrong = with_ledger(subject, totals=[replace(TOTALS, wrong_lives=1), replace(TOTALS, name="web1", missing=4)])
    assert_told(check_gap_ledger(wrong), State.FAILURE, "db1 (1 life)")


@pytest.mark.parametrize("check", [check for checks in CHECKS.values() for check in checks])
def test_every_check_has_a_verdict_when_there_is_nothing_at_all(check: Check, tmp_path: Path) -> None:
    nothing = Subject(
        data=tmp_path / "missing",
        installation=None,
        installation_fault="no installation",
        diagnosis=None,
        database_fault="away",
        processes={},
    )
    verdict = check(nothing)
    assert verdict.message
    assert bool(verdict.remedy) == (verdict.state in (State.WARNING, State.FAILURE))


def test_a_data_folder_others_may_enter_is_a_warning(subject: Subject) -> None:
    subject.data.chmod(0o755)
    assert_told(check_data_folder(subject), State.WARNING, "755")


def test_a_readable_installation_file_is_a_failure_since_it_holds_a_password(subject: Subject) -> None:
    (subject.data / "installation.json").chmod(0o644)
    assert_told(check_installation(subject), State.FAILURE, "password")


def test_a_key_others_may_read_is_named(subject: Subject) -> None:
    (subject.data / "keys" / "agent.key").chmod(0o640)
    assert_told(check_keys(subject), State.FAILURE, "agent.key")


def test_a_damaged_key_is_named(subject: Subject) -> None:
    (subject.data / "keys" / "agent.key").write_text('public = "short"\nsecret = "short"\n')
    assert_told(check_keys(subject), State.FAILURE, "agent.key", "damaged")


def test_a_database_away_is_a_failure_and_its_password_is_not_shown(subject: Subject) -> None:
    verdict = check_reachable(replace(subject, diagnosis=None, database_fault="connection refused"))
    assert_told(verdict, State.FAILURE, "connection refused")
    assert "hidden" not in verdict.message + verdict.remedy


def test_missing_migrations_are_named(subject: Subject) -> None:
    found = replace(subject, diagnosis=replace(DIAGNOSIS, missing_migrations=["0004_more"], ledger=None))
    assert_told(check_migrations(found), State.FAILURE, "0004_more")


def test_a_database_of_a_newer_version_is_a_failure(subject: Subject) -> None:
    found = replace(subject, diagnosis=replace(DIAGNOSIS, migration_fault="does not know 0099", ledger=None))
    assert_told(check_migrations(found), State.FAILURE, "0099")


@pytest.mark.parametrize(
    ("skew_seconds", "state", "word"),
    [(0.9, State.OK, "agrees"), (-5.0, State.WARNING, "5.0 s behind"), (3600.0, State.FAILURE, "60 min ahead")],
)
def test_clocks_apart_are_told_with_their_direction(
    skew_seconds: float, state: State, word: str, subject: Subject
) -> None:
    found = replace(subject, diagnosis=replace(DIAGNOSIS, skew_seconds=skew_seconds))
    assert_told(check_clock(found), state, word)


def test_records_put_aside_are_a_warning(subject: Subject) -> None:
    assert_told(check_quarantine(with_ledger(subject, quarantined_records=2)), State.WARNING, "2 records", "were")


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"epoch": 0}, "none was ever active"),
        ({"is_released": True}, "ended"),
        ({"heartbeat_age_seconds": 400.0}, "7 min ago"),
    ],
)
def test_no_active_server_is_a_failure(changes: dict[str, Any], word: str, subject: Subject) -> None:
    assert_told(check_lease(with_lease(subject, **changes)), State.FAILURE, word)


def test_a_page_that_does_not_answer_is_a_failure(subject: Subject) -> None:
    assert_told(check_page(subject), State.FAILURE, "http://127.0.0.1:1/", "refused")


def test_one_silent_source_among_others_is_a_warning_all_silent_a_failure(subject: Subject) -> None:
    heard = LEDGER.sources[0]
    silent = SourceView(name="web1", heard_seconds_ago=900.0, is_shut_out=False)
    never = SourceView(name="web2", heard_seconds_ago=None, is_shut_out=False)
    some = check_heard(with_ledger(subject, sources=[heard, silent, never]))
    assert_told(some, State.WARNING, "silent: web1 (15 min)", "never heard: web2")
    assert_told(check_heard(with_ledger(subject, sources=[silent, never])), State.FAILURE)


def test_a_source_whose_keys_are_revoked_may_be_silent(subject: Subject) -> None:
    gone = SourceView(name="old", heard_seconds_ago=1e6, is_shut_out=True)
    assert_told(check_heard(with_ledger(subject, sources=[LEDGER.sources[0], gone])), State.OK, "1 source")


def test_without_any_source_it_says_how_to_let_one_in(subject: Subject) -> None:
    verdict = check_heard(with_ledger(subject, sources=[]))
    assert_told(verdict, State.WARNING)
    assert "watchkeep key allow" in verdict.remedy


def test_a_notice_given_up_is_a_failure_with_its_error(subject: Subject) -> None:
    notices = NoticeView(waiting=0, oldest_waiting_seconds=0.0, failed_today=1, last_error="on-call: 404")
    assert_told(check_notices(with_ledger(subject, notices=notices)), State.FAILURE, "1 notice", "on-call: 404")


def test_a_notice_that_waits_long_is_a_warning(subject: Subject) -> None:
    waiting = NoticeView(waiting=3, oldest_waiting_seconds=600.0, failed_today=0, last_error="on-call: refused")
    assert_told(check_notices(with_ledger(subject, notices=waiting)), State.WARNING, "3 waiting", "10 min", "refused")
    soon = replace(waiting, oldest_waiting_seconds=20.0)
    assert_told(check_notices(with_ledger(subject, notices=soon)), State.OK, "3 waiting")


def test_a_definition_this_version_does_not_understand_is_named(subject: Subject) -> None:
    strange = StoredDefinition(
        kind="template",
        name="odd",
        body={"kind": "template", "name": "odd", "colour": 1},
        revision=1,
        via="file",
        changed_by="somebody",
        changed_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert_told(check_definitions(with_ledger(subject, definitions=[strange])), State.FAILURE, "template odd")


def test_a_part_that_does_not_run_is_named_with_its_log(subject: Subject) -> None:
    for part in ("server", "proxy", "agent"):
        subject.config_file(part).write_text("")
    running = ProcessView(pid=1, open_files=1, file_limit=10)
    verdict = check_running(replace(subject, processes={"server": running, "agent": running}))
    assert_told(verdict, State.FAILURE, "proxy")
    assert str(subject.data / "log" / "proxy.log") in verdict.remedy
    assert_told(check_running(subject), State.FAILURE, "not running")


def test_descriptors_nearly_used_up_are_a_warning(subject: Subject) -> None:
    few, many = (ProcessView(pid=1, open_files=n, file_limit=1024) for n in (20, 900))
    assert_told(check_descriptors(replace(subject, processes={"proxy": few})), State.OK, "proxy 20 of 1024")
    found = check_descriptors(replace(subject, processes={"proxy": many, "agent": few}))
    assert_told(found, State.WARNING, "proxy uses 900 of 1024")


def test_a_faulty_configuration_is_told_with_its_faults(subject: Subject) -> None:
    subject.config_file("agent").write_text("colour = 1\n")
    assert_told(check_agent_spool(subject), State.FAILURE, "colour", "upstreams")


def test_a_missing_folder_is_a_failure_for_people_and_programs(tmp_path: Path) -> None:
    data = str(tmp_path / "nowhere")
    result = CliRunner().invoke(cli, ["doctor", "--data", data])
    assert result.exit_code == 2
    assert f"{data} does not exist" in result.stdout
    assert "→ name it with --data" in result.stdout
    answer = CliRunner().invoke(cli, ["doctor", "--json", "--data", data])
    assert answer.exit_code == 2
    told = json.loads(answer.stdout)
    assert told["state"] == "failure"
    assert {check["state"] for check in told["checks"]} <= {"ok", "unknown", "warning", "failure"}
    assert told["checks"][0]["check"] == "data folder"
    assert told["checks"][0]["remedy"]


def test_quantities_are_told_as_people_say_them() -> None:
    assert [size(n) for n in (0, 512, 4_400, 268_000_000, 4.3e9, 2e13)] == [
        "0 B", "512 B", "4.4 kB", "268 MB", "4.3 GB", "20.0 TB",
    ]  # fmt: skip
    assert [span(s) for s in (0.31, 45, 720, 18_000, 400_000)] == ["0.3 s", "45 s", "12 min", "5 h", "5 days"]
    assert names(["a", "b", "c", "d", "e", "f"]) == "a, b, c, d and 2 more"
    assert (count(1, "host"), count(0, "host")) == ("1 host", "0 hosts")
