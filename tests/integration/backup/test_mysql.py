"""A database of MySQL's server is saved while it is written to, and comes back with the rows of one moment (B-6)."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from backup.command.doctor.databases import examine_database
from backup.errors import SourceFailed
from backup.settings.source import MariadbSettings, MysqlSettings
from backup.sources.mysql.mariadb import MariadbSource
from backup.sources.mysql.mysql import MysqlSource
from backup.sources.mysql.rows import StatementRows
from probes.inventory import Parameters, read_inventory
from tests.support.backups import new_site
from tests.support.mysql import mysql
from tests.support.waiting import wait_until
from tests.unit.probes.visiting import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.backups import Pairs, Site
    from tests.support.mysql import MysqlServer

__all__ = ["mysql"]

_PASSWORD = 'p"w\\ #1'
_TOTAL = 1_000_000
_ODD = "bulk /of %things"
_SHOP = f"""
CREATE TABLE bank (id int PRIMARY KEY, amount bigint NOT NULL);
CREATE TABLE purse (id int PRIMARY KEY, amount bigint NOT NULL);
CREATE TABLE turnover (number int AUTO_INCREMENT PRIMARY KEY, at datetime(6));
CREATE TABLE control (is_going bool);
CREATE TABLE `{_ODD}` (id int PRIMARY KEY, words varchar(200), bytes varbinary(40), facts json, bits bit(9),
  place point, `it's VALUES (` int GENERATED ALWAYS AS (id * 2) STORED);
SET SESSION sql_generate_invisible_primary_key = ON;
CREATE TABLE keyless (word varchar(20)) COLLATE utf8mb4_ja_0900_as_cs;
SET SESSION sql_generate_invisible_primary_key = OFF;
INSERT INTO bank VALUES (1, {_TOTAL});
INSERT INTO purse VALUES (1, 0);
INSERT INTO control VALUES (1);
INSERT INTO keyless VALUES ('a),(b'), ('it''s'), ('東京');
SET SESSION cte_max_recursion_depth = 100000;
INSERT INTO `{_ODD}` (id, words, bytes, facts, bits, place)
  WITH RECURSIVE seq AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM seq WHERE n < 20000)
  SELECT n, CONCAT('line\\n),(', SHA2(n, 256), '\\\\'), UNHEX(SHA2(n, 256)), JSON_OBJECT('it''s', n), n % 512,
    POINT(n, 1) FROM seq;
ANALYZE TABLE `{_ODD}` UPDATE HISTOGRAM ON words;
CREATE VIEW rich AS SELECT id FROM bank WHERE amount > 10;
CREATE EVENT later ON SCHEDULE EVERY 1 DAY DO SELECT 1;
DELIMITER //
CREATE PROCEDURE trade()
BEGIN
  -- a comment that stays
  WHILE (SELECT is_going FROM control) DO
    START TRANSACTION;
    UPDATE bank SET amount = amount - 3;
    UPDATE purse SET amount = amount + 3;
    INSERT INTO turnover (at) VALUES (SYSDATE(6));
    COMMIT;
    DO SLEEP(0.005); -- all of it is done once more by the binary log
  END WHILE;
END //
CREATE TRIGGER poor AFTER UPDATE ON purse FOR EACH ROW
BEGIN
  IF NEW.amount < 0 THEN SIGNAL SQLSTATE '45000'; END IF;
END //
DELIMITER ;
"""  # noqa: S608 - numbers of this file


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A set that was saved while it was written to. later: what the binary log has after that, for `back`."""

    site: Site
    record: dict[str, Any]
    back: str
    later: str
    last_gtids: str


@pytest.fixture(scope="module")
def shop(mysql: MysqlServer, tmp_path_factory: pytest.TempPathFactory) -> MysqlSettings:
    """A database, and an account that may read it and no more."""
    name = f"shop_{uuid4().hex[:8]}"
    mysql.sql(f"CREATE DATABASE {name} COLLATE utf8mb4_0900_as_ci;")
    mysql.sql(_SHOP, name)
    mysql.sql(
        f"CREATE USER {name} IDENTIFIED BY '{_PASSWORD.replace(chr(92), chr(92) * 2)}';"
        f"GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON {name}.* TO {name};"
        f"GRANT SHOW_ROUTINE, FLUSH_TABLES, REPLICATION CLIENT ON *.* TO {name};"
    )
    options = tmp_path_factory.mktemp("login") / "my.cnf"
    escaped = _PASSWORD.replace("\\", "\\\\").replace('"', '\\"')
    options.write_text(f'[client]\npassword="{escaped}"\n')
    options.chmod(0o600)
    return MysqlSettings(database=name, host="127.0.0.1", port=mysql.port, user=name, option_file=options,
                         binaries=mysql.programs)  # fmt: skip


@pytest.fixture(scope="module")
def saved(mysql: MysqlServer, shop: MysqlSettings, pairs: Pairs) -> Iterator[Saved]:
    source = (
        f'mysql.database = "{shop.database}"\nmysql.host = "{shop.host}"\nmysql.port = {shop.port}\n'
        f'mysql.user = "{shop.user}"\nmysql.option_file = "{shop.option_file}"\nmysql.binaries = "{shop.binaries}"'
    )
    back = f"back_{uuid4().hex[:8]}"
    with new_site(pairs, source=source) as site:
        call = [*mysql.client(shop.database), "--execute=CALL trade()"]
        with subprocess.Popen(call, stdin=subprocess.DEVNULL) as load:
            try:
                wait_until(lambda: _number(mysql, shop, "SELECT COUNT(*) > 50 FROM turnover") == 1, 240, "the load")
                site.run()
                record = site.manifest()["consistency"]
                more = f"SELECT COUNT(*) > {record['rows']['turnover']} FROM turnover"  # noqa: S608 - a number
                wait_until(lambda: _number(mysql, shop, more) == 1, 240, "the load going on")
            finally:
                mysql.sql("UPDATE control SET is_going = 0", shop.database)
            assert load.wait(240) == 0
        later = mysql.later_statements(record["binlog_file"], record["binlog_position"], f"{shop.database}->{back}")
        last = mysql.sql("SELECT @@global.gtid_executed").strip()
        yield Saved(site=site, record=record, back=back, later=later, last_gtids=last)


@pytest.mark.trial("B-6")
def test_a_mysql_database_saved_under_load_comes_back_and_its_binary_log_goes_on_exactly_there(
    mysql: MysqlServer, shop: MysqlSettings, saved: Saved, figure: Callable[[str], None]
) -> None:
    record, back = saved.record, saved.back
    after = mysql.sql(f"SELECT GTID_SUBTRACT('{saved.last_gtids}', '{record['gtid']}')").strip()
    first, _, last = after.rpartition(":")[2].partition("-")
    assert int(last) - int(first) + 1 == saved.later.count("\nCOMMIT/*!*/;\n")

    mysql.sql("SET GLOBAL sql_require_primary_key = ON")
    loaded = saved.site.bkp("station", "restore", "files", "--to", str(saved.site.folder / "dump"), "--json",
                            "--into-database", _dsn(mysql, back))  # fmt: skip
    mysql.sql("SET GLOBAL sql_require_primary_key = OFF")
    assert loaded.returncode == 0, loaded.stdout + loaded.stderr
    assert '"is_compared": true' in loaded.stdout
    assert mysql.sql("SELECT (SELECT amount FROM bank) + (SELECT amount FROM purse)", back).strip() == str(_TOTAL)
    turnover = record["rows"]["turnover"]
    assert int(mysql.sql("SELECT amount FROM purse", back)) == 3 * turnover
    assert 50 < turnover < _number(mysql, shop, "SELECT COUNT(*) FROM turnover")  # the load went on
    mysql.sql(saved.later)
    assert _sums(mysql, back) == _sums(mysql, shop.database)

    assert record["rows"].items() >= {_ODD: 20_000, "keyless": 3, "bank": 1}.items()
    assert "utf8mb4_0900_as_ci" in mysql.sql(f"SHOW CREATE DATABASE {back}")
    assert "-- a comment that stays" in mysql.sql("SHOW CREATE PROCEDURE trade", back)
    assert "my_row_id" in mysql.sql("SHOW CREATE TABLE keyless", back)
    kept = "SELECT (SELECT COUNT(*) FROM {0}.EVENTS WHERE event_schema = '{1}'), (SELECT COUNT(*) FROM {0}.TRIGGERS"
    kept += " WHERE trigger_schema = '{1}'), (SELECT COUNT(*) FROM {0}.COLUMN_STATISTICS WHERE schema_name = '{1}')"
    assert mysql.sql(kept.format("information_schema", back)).split() == ["1", "1", "1"]
    assert "LOCK TABLES `" not in mysql.statements
    assert 0 < record["commits_blocked_seconds"] <= record["snapshot_held_seconds"]
    figure(
        f"MySQL dumped in {record['snapshot_held_seconds']} s; commits waited {record['commits_blocked_seconds']} s"
        " for its snapshot, signing in included"
    )


def test_a_single_table_goes_beside_others_and_what_is_there_stays(
    mysql: MysqlServer, shop: MysqlSettings, saved: Saved
) -> None:
    site, beside = saved.site, f"beside_{uuid4().hex[:8]}"
    covers = {"engine": "mysql", "port": mysql.port, "databases": [shop.database]}
    assert site.state()["last_good"]["covers"].items() >= covers.items()
    mysql.sql(f"CREATE DATABASE {beside}; CREATE TABLE {beside}.other (a int)")
    single = ("restore", "files", "--into-database", _dsn(mysql, beside), "--json", "--table", _ODD)
    loaded = site.bkp("station", *single, "--to", str(site.folder / "single"))
    assert loaded.returncode == 0, loaded.stdout + loaded.stderr
    assert '"rows": 20000' in loaded.stdout
    assert _sums(mysql, beside, _ODD) == _sums(mysql, shop.database, _ODD)
    there = site.bkp("station", *single, "--to", str(site.folder / "again"))
    assert (there.returncode, f"there is a table '{_ODD}' already" in there.stderr) == (52, True), there.stderr


def test_a_drill_starts_a_mysql_on_the_dump_and_a_row_too_few_fails_it(
    mysql: MysqlServer, saved: Saved, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = saved.site
    with site.file("station").open("a") as file:
        file.write('drill_questions = ["SELECT COUNT(*) > 50 FROM turnover"]\n')
        file.write(f'[drills]\nmysql_programs = "{mysql.programs}"\n')
    row = _drilled(site)
    assert row["is_proven"], row
    monkeypatch.setattr(StatementRows, "rows", 7)
    site.run()
    row = _drilled(site)
    tables = site.manifest()["consistency"]["rows"]
    assert not row["is_proven"]
    assert "bank: 1 row, saved 7" in row["error"]
    assert f"{len(tables)} tables looked through by CHECK TABLE" in row["error"]


def test_neither_kind_saves_the_others_server_nor_with_the_others_programs(
    mysql: MysqlServer, shop: MysqlSettings
) -> None:
    meant_otherwise = MariadbSettings(database=shop.database, socket=mysql.socket)
    with pytest.raises(SourceFailed, match=r"is a MySQL .* save it by \[sets\.mysql\]"):
        MariadbSource(meant_otherwise, 600).examine()
    # Debian's `mysql` and `mysqldump` are MariaDB's.
    with pytest.raises(SourceFailed, match=r"is not MySQL's own .*MariaDB"):
        MysqlSource(replace(shop, binaries=None), 600).examine()


def test_what_an_account_may_not_see_fails_a_run_with_the_statement_that_lets_it(
    mysql: MysqlServer, shop: MysqlSettings, saved: Saved
) -> None:
    settings = saved.site.settings()
    (well,) = examine_database(settings, settings.find_set("files"))
    assert f"{shop.user} may read all of {shop.database}" in well.text
    both = (f"TRIGGER ON {shop.database}.*", "SHOW_ROUTINE ON *.*")
    mysql.sql("".join(f"REVOKE {each} FROM {shop.user};" for each in both))
    words = f"GRANT TRIGGER ON `{shop.database}`.*; GRANT SHOW_ROUTINE ON *.*"
    try:
        with pytest.raises(SourceFailed, match=re.escape(words)):
            saved.site.run()
        (ill,) = examine_database(settings, settings.find_set("files"))
        assert (ill.level, words in ill.text) == ("fault", True)
    finally:
        mysql.sql("".join(f"GRANT {each} TO {shop.user};" for each in both))


def test_a_lock_that_is_not_given_ends_the_run_and_nobody_waits_on(
    mysql: MysqlServer, shop: MysqlSettings, tmp_path: Path
) -> None:
    impatient = replace(shop, lock_wait=timedelta(seconds=1))
    with subprocess.Popen(mysql.client(shop.database), stdin=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        try:
            holder.stdin.write(b"LOCK TABLES bank WRITE;\n")
            holder.stdin.flush()
            held = f"SHOW OPEN TABLES FROM {shop.database} WHERE in_use > 0"
            wait_until(lambda: "bank" in mysql.sql(held), 60, "the lock that is in the way")
            with pytest.raises(SourceFailed, match="within 1 s"), MysqlSource(impatient, 600).prepare(tmp_path):
                pass
            wait_until(lambda: "FLUSH" not in mysql.sql("SHOW PROCESSLIST"), 60, "the waiting's end")
            mysql.sql("UPDATE purse SET amount = 9", shop.database)
        finally:
            holder.stdin.close()
    (tmp_path / "database").rename(tmp_path / "before")
    without = replace(shop, binlog_position=False)
    said_before = len(mysql.statements)
    with MysqlSource(without, 600).prepare(tmp_path) as prepared:
        assert "binlog_file" not in prepared.consistency
        assert prepared.consistency["commits_blocked_seconds"] == 0.0
    assert "READ LOCK" not in mysql.statements[said_before:]


def test_the_agent_names_its_databases_and_a_replica_as_one(mysql: MysqlServer, shop: MysqlSettings) -> None:
    reader = Reader(read_inventory, parameters=Parameters(postgresql=(), mariadb=(str(mysql.socket),), libvirt=()))
    (server,) = json.loads(str(reader.read()["inventory.databases"]))["servers"]
    assert (server["engine"], server["port"], server["is_replica"]) == ("mysql", mysql.port, False)
    assert shop.database in server["names"]
    with mysql.replicating():
        (server,) = json.loads(str(reader.read()["inventory.databases"]))["servers"]
        assert server["is_replica"]
    assert reader.failures == []


def _drilled(site: Site) -> dict[str, Any]:
    done = site.bkp("station", "drill", "files", "--json")
    (row,) = json.loads(done.stdout)["sets"]
    found: dict[str, Any] = row
    return found


def _dsn(mysql: MysqlServer, database: str) -> str:
    return f"mysql://root@localhost/{database}?socket={mysql.socket}&binaries={mysql.programs}"


def _sums(mysql: MysqlServer, database: str, *tables: str) -> dict[str, str]:
    """Return the checksum of tables, or of all but the one that ends the load, by name."""
    names = tables or ("bank", "purse", "turnover", _ODD, "keyless")
    rows = mysql.sql(f"CHECKSUM TABLE {', '.join(f'`{name}`' for name in names)} EXTENDED", database).splitlines()
    return {row.partition("\t")[0].partition(".")[2]: row.partition("\t")[2] for row in rows}


def _number(mysql: MysqlServer, shop: MysqlSettings, question: str) -> int:
    return int(mysql.sql(question, shop.database))
