"""A whole MariaDB server is copied while it is written to; its copy starts, holds one moment, and is proven (B-6)."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from backup.errors import SourceFailed
from backup.model import Kind
from backup.settings.source import MariadbBaseSettings
from backup.sources.mysql.mariadb_base import MariadbBaseSource
from tests.support.backups import new_site
from tests.support.mariadb import mariadb, mariadb_server
from tests.support.small_disk import small_disk
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.backups import Pairs, Site
    from tests.support.mariadb import MariadbServer

__all__ = ["mariadb"]
pytestmark = [pytest.mark.timeout(600)]

_PASSWORD = 'p"w #2'
_TOTAL = 1_000_000
_WAIT_SECONDS = 240.0
_SHOP = f"""
CREATE DATABASE shop;
USE shop;
CREATE TABLE bank (id int PRIMARY KEY, amount bigint NOT NULL);
CREATE TABLE purse (id int PRIMARY KEY, amount bigint NOT NULL);
CREATE TABLE turnover (number int AUTO_INCREMENT PRIMARY KEY, waited int);
CREATE TABLE bulk (id int PRIMARY KEY, words varchar(200), bytes varbinary(40));
CREATE TABLE loose (id int PRIMARY KEY, words varchar(40), KEY (words)) ENGINE=MyISAM;
CREATE TABLE control (is_going bool);
INSERT INTO bank VALUES (1, {_TOTAL});
INSERT INTO purse VALUES (1, 0);
INSERT INTO control VALUES (1);
INSERT INTO loose SELECT seq, MD5(seq) FROM seq_1_to_500;
INSERT INTO bulk SELECT seq, CONCAT('line\\n', MD5(seq)), UNHEX(SHA1(seq)) FROM seq_1_to_20000;
DELIMITER //
CREATE PROCEDURE trade()
BEGIN
  DECLARE began datetime(6);
  WHILE (SELECT is_going FROM control) DO
    SET began = SYSDATE(6);
    START TRANSACTION;
    UPDATE bank SET amount = amount - 3;
    UPDATE purse SET amount = amount + 3;
    INSERT INTO turnover (waited) VALUES (0);
    COMMIT;
    UPDATE turnover SET waited = TIMESTAMPDIFF(MICROSECOND, began, SYSDATE(6)) WHERE number = LAST_INSERT_ID();
    DO SLEEP(0.002);
  END WHILE;
END //
DELIMITER ;
CREATE USER copier IDENTIFIED BY '{_PASSWORD}';
GRANT RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR, SHOW VIEW ON *.* TO copier;
"""  # noqa: S608 - numbers of this file


@pytest.fixture(scope="module")
def server(mariadb: MariadbServer) -> MariadbServer:
    """A server with a shop, and an account with what docs/backup-databases.md says."""
    mariadb.sql(_SHOP)
    return mariadb


@pytest.fixture
def settings(server: MariadbServer, tmp_path: Path) -> MariadbBaseSettings:
    options = tmp_path / "my.cnf"
    options.write_text('[client]\npassword="p\\"w #2"\n')
    options.chmod(0o600)
    return MariadbBaseSettings(host="127.0.0.1", port=server.port, user="copier", option_file=options)


@pytest.fixture
def site(pairs: Pairs, settings: MariadbBaseSettings) -> Iterator[Site]:
    source = (
        f'max_block_size = 16384\nmariadb_base.host = "{settings.host}"\nmariadb_base.port = {settings.port}\n'
        f'mariadb_base.user = "{settings.user}"\nmariadb_base.option_file = "{settings.option_file}"'
    )
    with new_site(pairs, source=source) as made:
        yield made


@pytest.mark.trial("B-6")
def test_a_server_copied_under_load_comes_back_as_of_one_moment_and_its_locks_are_measured(
    server: MariadbServer, site: Site, figure: Callable[[str], None]
) -> None:
    with subprocess.Popen([*server.client("shop"), "--execute=CALL trade()"], stdin=subprocess.DEVNULL) as load:
        try:
            wait_until(lambda: _number(server, "SELECT COUNT(*) > 50 FROM turnover") == 1, _WAIT_SECONDS, "the load")
            site.run()
        finally:
            server.sql("UPDATE control SET is_going = 0", "shop")
        assert load.wait(_WAIT_SECONDS) == 0
    record = site.manifest()["consistency"]
    assert _PASSWORD not in json.dumps(record)
    covers = {"engine": "mariadb", "port": server.port, "is_whole": True, "left_out": []}
    assert site.state()["last_good"]["covers"].items() >= covers.items()
    restored = site.bkp("station", "restore", "files", "--to", str(site.folder / "back"), "--json")
    assert restored.returncode == 0, restored.stdout + restored.stderr
    told = json.loads(restored.stdout)["server"]
    place = (record["binlog_file"], record["binlog_position"])
    assert (told["binlog_file"], told["binlog_position"], told["settings"]) == (*place, {})
    assert server.sql(f"SELECT BINLOG_GTID_POS('{place[0]}', {place[1]})").strip() == record["gtid"]

    with mariadb_server(site.folder / "back/data") as copy:
        assert _number(copy, "SELECT (SELECT amount FROM bank) + (SELECT amount FROM purse)") == _TOTAL
        turnover = _number(copy, "SELECT COUNT(*) FROM turnover")
        assert _number(copy, "SELECT amount FROM purse") == 3 * turnover
        assert 50 < turnover < _number(server, "SELECT COUNT(*) FROM turnover")  # the load went on
        for table in ("bulk", "loose"):
            assert copy.sql(f"CHECKSUM TABLE {table}", "shop") == server.sql(f"CHECKSUM TABLE {table}", "shop")
        assert copy.sql("SELECT COUNT(*) FROM mysql.global_priv WHERE user = 'copier'").strip() == "1"

    longest = _number(server, "SELECT MAX(waited) FROM turnover") / 1e6
    assert 0 < record["commits_blocked_seconds"] <= record["changes_of_tables_blocked_seconds"]
    figure(
        f"MariaDB server copied in {record['copied_seconds']} s and prepared in {record['prepared_seconds']} s; commits"
        f" were blocked for {record['commits_blocked_seconds']} s, a transaction meanwhile took at most {longest} s"
    )


def test_one_changed_row_makes_a_small_increment_and_a_drill_starts_the_copy_and_looks_through_its_tables(
    server: MariadbServer, site: Site, figure: Callable[[str], None]
) -> None:
    full = site.run()
    server.sql("UPDATE bulk SET words = 'other' WHERE id = 10000", "shop")
    incremental = site.run()
    assert (full.kind, incremental.kind) == (Kind.FULL, Kind.INCREMENTAL)
    assert full.stored_bytes
    assert incremental.stored_bytes
    assert incremental.stored_bytes < full.stored_bytes / 10
    figure(f"MariaDB server, a row of 20,000 changed: {incremental.stored_bytes} of {full.stored_bytes} bytes stored")
    assert not any((site.folder / "host/work/files").glob("scratch*"))  # no copy stays in the clear

    with site.file("station").open("a") as file:
        file.write("drill_questions = [\"SELECT words = 'other' FROM shop.bulk WHERE id = 10000\"]\n")
    done = site.bkp("station", "drill", "files", "--json")
    (row,) = json.loads(done.stdout)["sets"]
    assert row["is_proven"], row
    assert row["drill"]["server"]["version"] == row["drill"]["server"]["saved_version"]
    checks = {check["what"]: check for check in row["drill"]["checks"]}
    (read,) = [check for what, check in checks.items() if what.startswith("databases read")]
    assert (read["looked_at"], read["differing"]) == (3, 0)
    assert checks["tables looked through by CHECK TABLE"]["looked_at"] > 30  # the server's own as well
    assert checks["questions answered"]["looked_at"] == 1


def test_a_drill_names_a_table_that_was_damaged_when_it_was_copied(server: MariadbServer, site: Site) -> None:
    server.sql("FLUSH TABLES loose", "shop")
    path = server.folder / "data/shop/loose.MYI"
    whole = path.read_bytes()
    path.write_bytes(whole[:1024] + bytes(1024) + whole[2048:])
    try:
        site.run()
    finally:
        path.write_bytes(whole)
        server.sql("FLUSH TABLES loose", "shop")
    done = site.bkp("station", "drill", "files", "--json")
    (row,) = json.loads(done.stdout)["sets"]
    assert (done.returncode, row["is_proven"]) == (54, False)
    assert "1 of them wrong (shop.loose: error Can't read key" in row["error"]


def test_what_cannot_be_saved_so_is_refused_before_anything_is_copied(
    server: MariadbServer, settings: MariadbBaseSettings, tmp_path: Path
) -> None:
    elsewhere = server.folder / "elsewhere"
    elsewhere.mkdir(mode=0o777)
    server.sql(f"CREATE TABLE far (a int) DATA DIRECTORY = '{elsewhere}'", "shop")
    try:
        _demand_refusal(settings, tmp_path, r"outside of the data directory .*: shop/far\.isl")
    finally:
        server.sql("DROP TABLE far", "shop")
    with small_disk(tmp_path / "disk", size_mib=4) as disk:
        _demand_refusal(settings, disk.folder, r"needs \d+ MiB, but .* has 4 MiB free: set `work` to a larger disk")


@pytest.mark.usefixtures("server")
def test_files_of_another_server_at_the_same_place_are_not_taken_for_this_ones(
    settings: MariadbBaseSettings, tmp_path: Path
) -> None:
    """A server of another machine or container, reached by its port, may name a folder that is here too."""
    (tmp_path / "other").mkdir()
    options = tmp_path / "root.cnf"
    options.touch(mode=0o600)
    with mariadb_server() as other, MariadbBaseSource(settings, 60).prepare(tmp_path) as copied:
        (other.folder / "data").rename(other.folder / "its own")
        (copied.root / "data").rename(other.folder / "data")
        wrong = MariadbBaseSettings(socket=other.socket, option_file=options)
        _demand_refusal(wrong, tmp_path / "other", "are these the files of another server")


def test_a_statement_that_holds_its_locks_fails_the_run_after_a_bounded_wait(
    server: MariadbServer, settings: MariadbBaseSettings, tmp_path: Path
) -> None:
    holding = subprocess.Popen([*server.client("shop"), "--unbuffered"], stdin=subprocess.PIPE, text=True)
    assert holding.stdin is not None
    try:
        holding.stdin.write("LOCK TABLES bank WRITE;\n")
        holding.stdin.flush()
        locked = "SHOW OPEN TABLES FROM shop WHERE `Table` = 'bank' AND In_use > 0"
        wait_until(lambda: bool(server.sql(locked)), _WAIT_SECONDS, "the lock")
        _demand_refusal(
            replace(settings, lock_wait=timedelta(seconds=1)), tmp_path, "did not give BACKUP STAGE START within 1 s"
        )
    finally:
        holding.stdin.close()
        holding.wait(_WAIT_SECONDS)


@pytest.mark.parametrize("place", ["option_file", "home"])
@pytest.mark.parametrize("option", ["databases-exclude=shop", "tables-exclude=shop[.]bulk", "databases=mysql"])
@pytest.mark.usefixtures("server")
def test_a_copy_of_which_an_option_file_left_something_out_is_refused(
    settings: MariadbBaseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, option: str
) -> None:
    chosen = _with_options(settings, tmp_path, monkeypatch, place, f"[mariadb-backup]\n{option}\n")
    _demand_refusal(chosen, tmp_path, "not of the whole server: an option file .* has databases, databases-exclude")


@pytest.mark.parametrize("place", ["option_file", "home"])
def test_no_option_file_has_tables_copied_unlocked_and_rows_in_no_file_are_named(
    server: MariadbServer, settings: MariadbBaseSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    chosen = _with_options(settings, tmp_path, monkeypatch, place, "[mariadb-backup]\nno-lock\n")
    server.sql("CREATE TABLE fleeting (a int) ENGINE=MEMORY", "shop")
    locked = server.statements.count("BACKUP STAGE BLOCK_COMMIT")
    try:
        with MariadbBaseSource(chosen, 60).prepare(tmp_path) as copied:
            assert (copied.root / "data/shop/bulk.ibd").is_file()
    finally:
        server.sql("DROP TABLE fleeting", "shop")
    assert server.statements.count("BACKUP STAGE BLOCK_COMMIT") == locked + 1
    assert copied.consistency["other_engines"] == {"MEMORY": ["shop.fleeting"]}
    (remark,) = copied.remarks
    assert "shop.fleeting are of the engine MEMORY: their rows are in no file" in remark


def _with_options(
    settings: MariadbBaseSettings, folder: Path, monkeypatch: pytest.MonkeyPatch, place: str, more: str
) -> MariadbBaseSettings:
    """Return the settings with `more` in their option file, or with both in ~/.my.cnf and no option file."""
    assert settings.option_file is not None
    with settings.option_file.open("a") as file:
        file.write(more)
    if place == "option_file":
        return settings
    settings.option_file.rename(folder / ".my.cnf")
    monkeypatch.setenv("HOME", str(folder))
    return replace(settings, option_file=None)


def _demand_refusal(settings: MariadbBaseSettings, scratch: Path, words: str) -> None:
    with pytest.raises(SourceFailed, match=words), MariadbBaseSource(settings, 60).prepare(scratch):
        pass


def _number(server: MariadbServer, question: str) -> int:
    return int(server.sql(question, "shop"))
