"""What mariadb-backup and a server say of themselves is understood, and what does not fit together is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backup.errors import DrillFailed, SourceFailed
from backup.proof.restored_mariadb import demand_no_way_out, settings_of
from backup.sources.mysql.mariadb_situation import bytes_to_copy, demand_same_series, series_of
from backup.sources.mysql.mariadb_words import Words

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

_PROGRAM = "mariadb-backup based on MariaDB server 10.11.19-MariaDB debian-linux-gnu (x86_64)"
_AT = b"[00] 2026-11-30 09:00:00 "


def test_a_server_of_the_same_series_is_taken_and_any_other_refused() -> None:
    demand_same_series("10.11.6-MariaDB-0+deb12u1-log", _PROGRAM)
    with pytest.raises(SourceFailed, match=r"the server is MariaDB 11\.8, mariadb-backup of 10\.11: install"):
        demand_same_series("11.8.3-MariaDB", _PROGRAM)
    with pytest.raises(SourceFailed, match=r"MariaDB 10\.1, "):
        demand_same_series("10.1.48-MariaDB", _PROGRAM)
    with pytest.raises(SourceFailed, match=r"8\.0\.36, not a MariaDB"):
        demand_same_series("8.0.36", _PROGRAM)
    with pytest.raises(SourceFailed, match="of something else"):
        demand_same_series("10.11.6-MariaDB", "something else")


def test_the_series_is_the_first_two_numbers() -> None:
    assert series_of("mariadbd  Ver 10.11.19-MariaDB for debian-linux-gnu") == "10.11"
    assert series_of("words") is None


def test_files_that_lie_elsewhere_or_cannot_be_read_are_named_before_anything_is_copied(tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "shop").mkdir(parents=True)
    for name, size in (
        ("ibdata1", 100),
        ("binlog.000001", 5000),
        ("shop/a.ibd", 30),
        ("shop/a.frm", 4),
        ("shop/a.ib~", 7),
    ):
        (data / name).write_bytes(bytes(size))
    (data / "mysql.sock").symlink_to("/run/mysqld/mysqld.sock")
    assert bytes_to_copy(data) == 134
    (data / "far").symlink_to(tmp_path)
    (data / "shop/b.MYD").symlink_to("/nowhere")
    (data / "shop/c.isl").touch()
    with pytest.raises(SourceFailed, match=r"outside of the data directory.*far, shop/") as refusal:
        bytes_to_copy(data)
    assert all(name in str(refusal.value) for name in ("shop/b.MYD", "shop/c.isl"))
    with pytest.raises(
        SourceFailed, match=r"\(.*/absent: No such file or directory\): run this on the server's own machine"
    ):
        bytes_to_copy(tmp_path / "absent")


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock of the stages: its only value can be set."""
    found = [100.0]
    monkeypatch.setattr("backup.sources.mysql.mariadb_words.time.monotonic", lambda: found[0])
    return found


def test_locks_are_timed_by_what_is_said_in_whatever_pieces_it_comes(now: list[float]) -> None:
    words = Words(60)
    for at, piece in (
        (100.0, _AT + b"Started BACKUP STAGE BLO"),
        (101.0, b"CK_DDL\n[00] 2026-11-30 09:00:00 Acquired locks for BACKUP STAGE BLOCK_DDL\n"),
        (103.5, _AT + b"Starting BACKUP STAGE BLOCK_COMMIT\n"),
        (103.75, _AT + b"Finishing BACKUP STAGE BLOCK_COMMIT\n" + _AT + b"Starting BACKUP STAGE END\n"),
        (104.0, _AT + b"All tables unlocked\n"),
        (109.0, b"[00] 2026-11-30 09:00:00 more\n"),
    ):
        now[0] = at
        words.hear(piece)
    assert words.blocked() == {"changes_of_tables_blocked_seconds": 3.0, "commits_blocked_seconds": 0.5}


def test_times_nobody_told_are_none() -> None:
    assert set(Words(60).blocked().values()) == {None}


def test_waiting_for_a_lock_ends_and_copying_may_take_its_time(now: list[float]) -> None:
    words = Words(60)
    words.hear(_AT + b"Starting BACKUP STAGE START\n" + _AT + b"Acquired locks for BACKUP STAGE START\n")
    now[0] += 1000  # copying
    words.hear(_AT + b"Started BACKUP STAGE BLOCK_DDL\n")
    now[0] += 59
    words.hear(_AT + b"DDL tracking : create 10\n")
    words.hear(_AT + b"Connecting to MariaDB server host: 127.0.0.1\n")  # another thread, which comes late
    now[0] += 2
    with pytest.raises(SourceFailed, match="did not give BACKUP STAGE BLOCK_DDL within 60 s"):
        words.hear(b"")


@pytest.mark.parametrize(
    "settings",
    [None, {}, {"innodb_data_file_path": "/etc/passwd:1M"}, {"lower_case_table_names": "0 --init-file=/tmp/x"}],
)
def test_settings_no_server_has_reach_no_command_line(settings: Any) -> None:
    usual = {
        "innodb_page_size": "16384",
        "lower_case_table_names": "0",
        "innodb_data_file_path": "ibdata1:12M:autoextend",
    }
    assert settings_of({"settings": usual}) == usual
    with pytest.raises(DrillFailed, match="names no"):
        settings_of({"settings": settings and {**usual, **settings}})


def test_no_server_is_started_on_files_that_lead_elsewhere(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with pytest.raises(DrillFailed, match="nothing there"):
        demand_no_way_out(data)
    (data / "shop").mkdir(parents=True)
    (data / "shop/a.ibd").touch()
    demand_no_way_out(data)
    (data / "shop/b.isl").touch()
    (data / "undo001").symlink_to("/etc/shadow")
    with pytest.raises(DrillFailed) as refusal:
        demand_no_way_out(data)
    assert all(name in str(refusal.value) for name in ("data/shop/b.isl", "data/undo001"))
    (tmp_path / "link").symlink_to(tmp_path / "data/shop")
    with pytest.raises(DrillFailed, match="link is no folder"):
        demand_no_way_out(tmp_path / "link")


def test_complaints_are_its_own_lines_and_never_the_bytes_of_a_damaged_page() -> None:
    words = Words(60)
    words.hear(b"[01] 2026-11-30 09:00:00 Copying ./d/t.ibd to /work/d/t.ibd\n")
    words.hear(b"[01] 2026-11-30 09:00:00 Database page corruption detected at page 10, retrying...\n" * 9)
    words.hear(
        b"\x1b error: a row of somebody\n \x01;[00] FATAL ERROR: 2026-11-30  9:00:00 failed to copy\x1b datafile.\n"
    )
    words.hear(b"2026-11-30  9:00:01 0 [ERROR] InnoDB: broken\n")
    assert words.complaints == (
        "Database page corruption detected at page 10, retrying...; failed to copy? datafile.; [ERROR] InnoDB: broken"
    )
    assert Words(60).complaints == "without a complaint"
