"""A MariaDB database is saved while it is written to, and comes back with the rows of one moment (B-6)."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from backup.errors import SourceFailed
from backup.model import Kind
from backup.proof.versions import version_in
from backup.settings.source import MariadbSettings, MysqlSettings
from backup.sources.mysql.client import login
from backup.sources.mysql.mariadb import MariadbSource
from backup.sources.mysql.mysql import MysqlSource
from probes.inventory import Parameters, read_inventory
from tests.support.backups import new_site
from tests.support.mariadb import mariadb
from tests.support.mysql import mysql_programs
from tests.support.waiting import wait_until
from tests.unit.probes.visiting import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.backups import Pairs, Site
    from tests.support.mariadb import MariadbServer

__all__ = ["mariadb"]

_PASSWORD = 'p"w\\ #1'
_TOTAL = 1_000_000
_SHOP = f"""
CREATE TABLE bank (id int PRIMARY KEY, amount bigint NOT NULL);
CREATE TABLE purse (id int PRIMARY KEY, amount bigint NOT NULL);
CREATE TABLE turnover (number int AUTO_INCREMENT PRIMARY KEY, at datetime(6), waited int);
CREATE TABLE `bulk /of %things` (id int PRIMARY KEY, words varchar(200), bytes varbinary(40));
CREATE TABLE control (is_going bool);
INSERT INTO bank VALUES (1, {_TOTAL});
INSERT INTO purse VALUES (1, 0);
INSERT INTO control VALUES (1);
INSERT INTO `bulk /of %things` SELECT seq, CONCAT('line\\n', MD5(seq)), UNHEX(SHA1(seq)) FROM seq_1_to_60000;
CREATE VIEW rich AS SELECT id FROM bank WHERE amount > 10;
CREATE SEQUENCE tickets START WITH 5;
DELIMITER //
CREATE PROCEDURE trade()
BEGIN
  -- a comment that stays
  DECLARE began datetime(6);
  WHILE (SELECT is_going FROM control) DO
    SET began = SYSDATE(6);
    START TRANSACTION;
    UPDATE bank SET amount = amount - 3;
    UPDATE purse SET amount = amount + 3;
    INSERT INTO turnover (at, waited) VALUES (SYSDATE(6), 0);
    COMMIT;
    UPDATE turnover SET waited = TIMESTAMPDIFF(MICROSECOND, began, SYSDATE(6)) WHERE number = LAST_INSERT_ID();
  END WHILE;
END //
CREATE TRIGGER poor AFTER UPDATE ON purse FOR EACH ROW
BEGIN
  IF NEW.amount < 0 THEN SIGNAL SQLSTATE '45000'; END IF;
END //
DELIMITER ;
"""  # noqa: S608 - numbers of this file


@pytest.fixture
def shop(mariadb: MariadbServer, tmp_path: Path) -> Iterator[MariadbSettings]:
    """A database, and an account that may read it and no more."""
    name = f"shop_{uuid4().hex[:8]}"
    mariadb.sql(f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci;")
    mariadb.sql(_SHOP, name)
    mariadb.sql(
        f"CREATE USER {name} IDENTIFIED BY '{_PASSWORD.replace(chr(92), chr(92) * 2)}';"
        f"GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON {name}.* TO {name}; GRANT SELECT ON mysql.proc TO {name};"
    )
    options = tmp_path / "my.cnf"
    escaped = _PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
    options.write_text(f'[client]\npassword="{escaped}"\n')
    options.chmod(0o600)
    yield MariadbSettings(database=name, host="127.0.0.1", port=mariadb.port, user=name, option_file=options)
    mariadb.sql(f"DROP DATABASE {name}; DROP USER {name};")


@pytest.fixture
def site(pairs: Pairs, shop: MariadbSettings) -> Iterator[Site]:
    source = (
        f'max_block_size = 4096\nmariadb.database = "{shop.database}"\nmariadb.host = "{shop.host}"\n'
        f'mariadb.port = {shop.port}\nmariadb.user = "{shop.user}"\nmariadb.option_file = "{shop.option_file}"'
    )
    with new_site(pairs, source=source) as made:
        yield made


@pytest.fixture
def back(mariadb: MariadbServer) -> Iterator[str]:
    """The name of a database that is not there yet."""
    name = f"back_{uuid4().hex[:8]}"
    yield name
    mariadb.sql(f"DROP DATABASE IF EXISTS {name}")


@pytest.mark.trial("B-6")
def test_a_database_saved_under_load_comes_back_as_of_one_moment_and_no_writer_was_locked_out(
    mariadb: MariadbServer, shop: MariadbSettings, site: Site, back: str, figure: Callable[[str], None]
) -> None:
    with subprocess.Popen([*mariadb.client(shop.database), "--execute=CALL trade()"], stdin=subprocess.DEVNULL) as load:
        try:
            wait_until(lambda: _number(mariadb, shop, "SELECT COUNT(*) > 50 FROM turnover") == 1, 240, "the load")
            said_before = len(mariadb.statements)
            site.run()
            record = site.manifest()["consistency"]
            saved = record["rows"]["turnover"]
            wait_until(
                lambda: _number(mariadb, shop, "SELECT COUNT(*) FROM turnover") > saved, 240, "the load going on"
            )
        finally:
            mariadb.sql("UPDATE control SET is_going = 0", shop.database)
        assert load.wait(240) == 0
    restored = site.bkp("station", "restore", "files", "--to", str(site.folder / "dump"), "--json",
                        "--into-database", f"mariadb://root@localhost/{back}?socket={mariadb.socket}")  # fmt: skip
    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert '"is_compared": true' in restored.stdout

    assert mariadb.sql("SELECT (SELECT amount FROM bank) + (SELECT amount FROM purse)", back).strip() == str(_TOTAL)
    turnover = int(mariadb.sql("SELECT COUNT(*) FROM turnover", back))
    assert turnover == saved
    assert int(mariadb.sql("SELECT amount FROM purse", back)) == 3 * turnover
    assert 50 < turnover < _number(mariadb, shop, "SELECT COUNT(*) FROM turnover")  # the load went on
    assert mariadb.sql(f"SHOW CREATE DATABASE {back}").endswith("COLLATE utf8mb4_unicode_ci */\n")
    assert "-- a comment that stays" in mariadb.sql("SHOW CREATE PROCEDURE trade", back)
    checksum = "CHECKSUM TABLE `bulk /of %things`"
    assert mariadb.sql(checksum, back).split("\t")[1] == mariadb.sql(checksum, shop.database).split("\t")[1]

    assert record["binlog_file"].startswith("binary.")
    assert record["binlog_position"] > 0
    assert record["gtid"]
    said = mariadb.statements[said_before:].upper()
    assert "START TRANSACTION /*!40100 WITH CONSISTENT SNAPSHOT" in said
    assert "WITH READ LOCK" not in said
    assert "LOCK TABLES `" not in said
    assert record["commits_blocked_seconds"] == 0.0
    assert 0 < record["changes_of_tables_blocked_seconds"] <= record["snapshot_held_seconds"]
    longest = _number(mariadb, shop, "SELECT MAX(waited) FROM turnover")
    figure(f"MariaDB dumped in {record['snapshot_held_seconds']} s; a transaction meanwhile took at most {longest} µs")


def test_one_changed_row_makes_a_small_increment_and_a_database_that_is_there_is_refused(
    mariadb: MariadbServer, shop: MariadbSettings, site: Site, back: str, figure: Callable[[str], None]
) -> None:
    full = site.run()
    mariadb.sql("DELETE FROM `bulk /of %things` WHERE id = 30000; UPDATE bank SET amount = 7", shop.database)
    incremental = site.run()
    assert (full.kind, incremental.kind) == (Kind.FULL, Kind.INCREMENTAL)
    assert full.stored_bytes
    assert incremental.stored_bytes
    assert incremental.stored_bytes < full.stored_bytes / 20
    figure(f"MariaDB, a row of 60,000 gone: {incremental.stored_bytes} of {full.stored_bytes} bytes stored")
    assert site.manifest()["consistency"]["rows"]["bulk /of %things"] == 59_999
    covers = {"engine": "mariadb", "port": mariadb.port, "databases": [shop.database]}
    assert site.state()["last_good"]["covers"].items() >= covers.items()
    assert not any((site.folder / "host/work/files").glob("scratch*"))  # no dump stays in the clear

    table = site.bkp("station", "restore", "files", "--path", "database/tables/bank.sql", "--to", str(site.folder))
    assert table.returncode == 0, table.stderr
    assert "(1,7);" in (site.folder / "bank.sql").read_text()
    mariadb.sql(f"CREATE DATABASE {back}; CREATE TABLE {back}.other (a int)")
    single = ("restore", "files", "--into-database", f"mariadb://root@localhost/{back}?socket={mariadb.socket}",
              "--table", "bulk /of %things", "--json")  # fmt: skip
    loaded = site.bkp("station", *single, "--to", str(site.folder / "single"))
    assert loaded.returncode == 0, loaded.stdout + loaded.stderr
    assert '"rows": 59999' in loaded.stdout
    again = site.bkp("station", *single, "--to", str(site.folder / "again"))
    assert (again.returncode, "there is a table 'bulk /of %things' already" in again.stderr) == (52, True), again.stderr
    used = site.bkp("station", "restore", "files", "--to", str(site.folder / "dump"), "--into-database",
                    f"mariadb://root@localhost/{shop.database}?socket={mariadb.socket}")  # fmt: skip
    assert used.returncode == 52
    assert "is there already, and a dump makes its own: name another one" in used.stderr
    assert not (site.folder / "dump").exists()  # it was seen before anything was fetched
    assert _number(mariadb, shop, "SELECT amount FROM bank") == 7


def test_a_drill_starts_a_server_on_the_dump_and_looks_through_its_tables(site: Site) -> None:
    site.run()
    with site.file("station").open("a") as file:
        file.write('drill_questions = ["SELECT amount = 1000000 FROM bank", "SELECT COUNT(*) = 0 FROM rich"]\n')
    done = site.bkp("station", "drill", "files", "--json")
    (row,) = json.loads(done.stdout)["sets"]
    tables = site.manifest()["consistency"]["rows"]
    assert f"{len(tables)} tables with {sum(tables.values())} rows counted against the record;" in row["error"]
    assert f"{len(tables)} tables looked through by CHECK TABLE" in row["error"]
    assert (
        f"in MariaDB {version_in(site.manifest()['consistency']['server_version'])}, as it was dumped" in row["error"]
    )
    assert "2 questions answered, 1 of them wrong (SELECT COUNT(*) = 0 FROM rich: 0)" in row["error"]
    assert row["error"].count("wrong") == 1
    assert not row["is_proven"]
    assert not [path for path in (site.folder / "station/work").rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_what_no_snapshot_holds_is_told_at_every_run(mariadb: MariadbServer, shop: MariadbSettings, site: Site) -> None:
    mariadb.sql(
        "CREATE TABLE loose (a int) ENGINE=Aria; CREATE TABLE old (a int) WITH SYSTEM VERSIONING", shop.database
    )
    site.run()
    reminders = " ".join(site.state()["reminders"])
    assert f"tables loose of {shop.database} have no transactions" in reminders
    assert f"the history of tables old of {shop.database} is not saved" in reminders
    assert site.manifest()["consistency"]["not_in_snapshot"] == ["loose"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"database": "nowhere"}, "nowhere"),
        ({"database": "--help"}, "--help"),
        ({"port": 1}, "Can't connect"),
        ({"user": "nobody"}, "Access denied"),
    ],
)
def test_what_is_wrong_with_the_database_is_said_and_no_password_is_on_a_command_line(
    shop: MariadbSettings, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    settings = replace(shop, **changes)  # type: ignore[arg-type] # parametrised
    (tmp_path / "scratch").mkdir()
    with pytest.raises(SourceFailed, match=words), MariadbSource(settings, 600).prepare(tmp_path / "scratch"):
        pass
    assert _PASSWORD not in " ".join(login(settings))


@pytest.mark.parametrize("option", ["ignore-table=shop.bank", "where=0", "no_data", "result-file=/dev/null"])
@pytest.mark.parametrize("is_named", [True, False])
def test_an_option_file_that_leaves_something_out_is_refused(
    shop: MariadbSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, option: str, is_named: bool
) -> None:
    assert shop.option_file is not None
    more = f"[mariadb-dump]\nquick\n{option}\n"
    if is_named:
        shop.option_file.write_text(shop.option_file.read_text() + more)
        settings = shop
    else:
        (tmp_path / ".my.cnf").write_text(shop.option_file.read_text() + more)
        monkeypatch.setenv("HOME", str(tmp_path))
        settings = replace(shop, option_file=None)
    words = f"has {option.partition('=')[0].replace('_', '-')} for mariadb-dump"
    (tmp_path / "scratch").mkdir()
    with pytest.raises(SourceFailed, match=words) as told, MariadbSource(settings, 600).prepare(tmp_path / "scratch"):
        pass
    assert _PASSWORD not in str(told.value)


@pytest.mark.parametrize("right", ["TRIGGER ON {}.*", "SELECT ON mysql.proc"])
def test_what_an_account_may_not_see_fails_a_run_where_the_dump_would_leave_it_out(
    mariadb: MariadbServer, shop: MariadbSettings, tmp_path: Path, right: str
) -> None:
    mariadb.sql(f"REVOKE {right.format(shop.database)} FROM {shop.user}")
    words = re.escape(f"GRANT {right.format(f'`{shop.database}`')}")
    with pytest.raises(SourceFailed, match=words), MariadbSource(shop, 600).prepare(tmp_path):
        pass


def test_a_mariadb_is_not_saved_as_a_mysql(mariadb: MariadbServer) -> None:
    meant_otherwise = MysqlSettings(database="mysql", socket=mariadb.socket, binaries=mysql_programs())
    with pytest.raises(SourceFailed, match=r"\[sets\.mariadb\]"):
        MysqlSource(meant_otherwise, 600).examine()


def test_an_option_file_others_may_read_is_refused(shop: MariadbSettings, tmp_path: Path) -> None:
    assert shop.option_file is not None
    shop.option_file.chmod(0o640)
    with pytest.raises(SourceFailed, match="chmod 600"), MariadbSource(shop, 600).prepare(tmp_path):
        pass


def test_the_agent_names_its_databases_and_a_replica_as_one(mariadb: MariadbServer, shop: MariadbSettings) -> None:
    reader = Reader(read_inventory, parameters=Parameters(postgresql=(), mariadb=(str(mariadb.socket),), libvirt=()))
    (server,) = json.loads(str(reader.read()["inventory.databases"]))["servers"]
    assert (server["engine"], server["port"], server["is_replica"]) == ("mariadb", mariadb.port, False)
    assert shop.database in server["names"]
    with mariadb.replicating():
        (server,) = json.loads(str(reader.read()["inventory.databases"]))["servers"]
        assert server["is_replica"]
    assert reader.failures == []


def _number(mariadb: MariadbServer, shop: MariadbSettings, question: str) -> int:
    return int(mariadb.sql(question, shop.database))
