"""Binary logs of MariaDB and MySQL are archived while the server is written to, and bring back any moment (B-6)."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from backup.binlog import archive
from backup.binlog.archive import BinlogArchive, Fetched
from backup.binlog.archiving import archive_logs
from backup.binlog.log_file import look_through
from backup.binlog.names import LogName
from backup.binlog.standings import Standings
from backup.command.doctor.databases import examine_database
from backup.errors import BackupDamaged, SourceFailed, TargetAway, TimedOut
from backup.model import instant_name
from backup.settings.source import MariadbSettings
from backup.targets.registry import open_target
from tests.support.backups import PLACE, new_site
from tests.support.mariadb import mariadb, mariadb_server
from tests.support.mysql import MysqlServer, mysql
from tests.support.waiting import wait_until
from tests.unit.backup.test_binlog import write_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.backups import Pairs, Site
    from tests.support.mariadb import MariadbServer

__all__ = ["mariadb", "mysql"]

_SHOP = """
CREATE TABLE orders (number int AUTO_INCREMENT PRIMARY KEY, at datetime(6), words varchar(60));
CREATE TABLE control (is_going bool);
INSERT INTO control VALUES (1);
DELIMITER //
CREATE PROCEDURE trade()
BEGIN
  WHILE (SELECT is_going FROM control) DO
    START TRANSACTION;
    INSERT INTO orders (at, words) VALUES (SYSDATE(6), 'it''s; other.x');
    UPDATE orders SET words = CONCAT(words, number) WHERE number = LAST_INSERT_ID();
    COMMIT;
    DO SLEEP(0.005);
  END WHILE;
END //
DELIMITER ;
"""


@dataclass(frozen=True, kw_only=True)
class Shop:
    """A database of a server, the set that saves it, and a name for a restored one."""

    server: MariadbServer
    site: Site
    name: str
    back: str

    def number(self, question: str) -> int:
        return int(self.server.sql(question, self.name))

    def sums(self, database: str) -> list[str]:
        rows = self.server.sql("CHECKSUM TABLE orders, control, late EXTENDED", database).splitlines()
        return [row.rpartition("\t")[2] for row in rows]

    def next_second(self) -> int:
        """Wait until the server's clock shows another second, as binary logs tell times, and return it."""
        second = self.number("SELECT UNIX_TIMESTAMP()")
        wait_until(lambda: self.number("SELECT UNIX_TIMESTAMP()") > second, 60, "the next second")
        return second + 1

    def restore(self, folder: str, *options: str) -> subprocess.CompletedProcess[str]:
        kind = "mysql" if isinstance(self.server, MysqlServer) else "mariadb"
        binaries = f"&binaries={self.server.programs}" if isinstance(self.server, MysqlServer) else ""
        dsn = f"{kind}://root@localhost/{self.back}?socket={self.server.socket}{binaries}"
        return self.site.bkp("station", "restore", "files", "--to", str(self.site.folder / folder), "--json",
                             "--into-database", dsn, *options)  # fmt: skip

    def archive(self) -> dict[str, Any]:
        done = self.site.bkp("host", "binlog", "archive", "files", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def pieces(self) -> list[Path]:
        return sorted((self.site.store / "web1/files/binlog").rglob("*.gpg"), key=lambda path: path.name)


@contextmanager
def following(replica: MariadbServer, source: MariadbServer) -> Iterator[None]:
    """Have a server replicate from another one, from now on."""
    account = "follower@'127.0.0.1'"
    source.sql(f"SET GLOBAL server_id = 2; CREATE USER {account}; GRANT REPLICATION SLAVE ON *.* TO {account}")
    log, position, *_ = source.sql("SHOW MASTER STATUS").split()
    replica.sql(
        f"CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {source.port}, MASTER_USER = 'follower',"
        f" MASTER_LOG_FILE = '{log}', MASTER_LOG_POS = {position}; START SLAVE"
    )
    try:
        wait_until(lambda: replica.sql("SHOW STATUS LIKE 'Slaves_running'").split()[-1] == "1", what="replication")
        yield
    finally:
        replica.sql("STOP SLAVE; RESET SLAVE ALL")


@pytest.fixture(params=["mariadb", "mysql"])
def shop(request: pytest.FixtureRequest, pairs: Pairs) -> Iterator[Shop]:
    server = request.getfixturevalue(request.param)
    name, back = (f"{word}_{uuid4().hex[:8]}" for word in ("shop", "back"))
    server.sql(f"CREATE DATABASE {name}")
    server.sql(_SHOP, name)
    lines = [f'database = "{name}"', f'socket = "{server.socket}"', 'binary_logs = "5m"']
    if isinstance(server, MysqlServer):
        lines.append(f'binaries = "{server.programs}"')
    source = "\n".join(f"{request.param}.{line}" for line in lines)
    with new_site(pairs, source=source) as site:
        yield Shop(server=server, site=site, name=name, back=back)
    server.sql(f"DROP DATABASE {name}; DROP DATABASE IF EXISTS {back}")


@pytest.mark.trial("B-6")
def test_a_table_dropped_at_a_known_moment_comes_back_as_of_just_before_it_and_what_is_missing_is_named(
    shop: Shop, figure: Callable[[str], None]
) -> None:
    call = [*shop.server.client(shop.name), "--execute=CALL trade()"]
    with subprocess.Popen(call, stdin=subprocess.DEVNULL) as load:
        try:
            wait_until(lambda: shop.number("SELECT COUNT(*) > 20 FROM orders") == 1, 240, "the load")
            shop.site.run()
            saved = shop.site.manifest()["consistency"]["rows"]["orders"]
            wait_until(lambda: shop.number("SELECT COUNT(*) FROM orders") > saved, 240, "the load going on")
            first = shop.archive()
            shop.server.sql("CREATE TABLE late (a int PRIMARY KEY); INSERT INTO late VALUES (7)", shop.name)
            shop.server.sql(f"CREATE USER {shop.name}; DROP USER {shop.name}", shop.name)
            wait_until(lambda: shop.number("SELECT COUNT(*) FROM orders") > saved + 20, 240, "the load going on")
        finally:
            shop.server.sql("UPDATE control SET is_going = 0", shop.name)
        assert load.wait(240) == 0
    sums, rows = shop.sums(shop.name), shop.number("SELECT COUNT(*) FROM orders")
    dropped_at = datetime.fromtimestamp(shop.next_second(), UTC).isoformat()
    shop.server.sql("DROP TABLE orders", shop.name)
    later = shop.archive()
    assert (len(later["logs"]), first["line"] == later["line"], later["gap"]) == (1, True, None)
    assert shop.archive()["logs"] == []  # nothing was written since

    restored = shop.restore("dump", "--at", dropped_at)
    assert restored.returncode == 0, restored.stdout + restored.stderr
    told = json.loads(restored.stdout)
    assert shop.sums(shop.back) == sums
    assert (told["database"]["rows_then"], told["database"]["left_out_of_logs"]) == (rows + 2, 2)
    assert rows > saved
    figure(f"{rows - saved} orders replayed from {len(told['binlog']['logs'])} binary logs")

    if isinstance(shop.server, MysqlServer):
        return  # what follows is the same of both

    shop.server.sql(f"DROP DATABASE {shop.back}")
    foretold = shop.restore("foretold", "--at", dropped_at, "--dry-run")
    assert json.loads(foretold.stdout)["binlog"]["logs"] == 2
    verified = shop.site.bkp("station", "verify", "files", "--depth", "decrypted")
    assert (verified.returncode, "each archived log decrypted" in verified.stdout) == (0, True), verified
    *_, victim = shop.pieces()
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-40] + bytes(byte ^ 1 for byte in whole[-40:]))
    verified = shop.site.bkp("station", "verify", "files", "--depth", "read")
    assert (verified.returncode, f"{victim.name}: its content is not what was sent" in verified.stdout) == (53, True)
    assert "costs every moment after" in verified.stdout
    damaged = shop.restore("damaged", "--at", dropped_at)
    assert damaged.returncode in (15, 53)  # as gpg sees it first: the signature, or what is encrypted
    assert victim.name in damaged.stderr
    victim.unlink()
    shop.server.sql("CREATE TABLE more (a int); INSERT INTO more VALUES (1)", shop.name)
    assert shop.archive()["gap"] is None
    verified = shop.site.bkp("station", "verify", "files")
    assert (verified.returncode, f"{later['logs'][0]}: it is missing" in verified.stdout) == (53, True), verified
    missing = shop.restore("missing", "--at", "now")
    assert (missing.returncode, f"the binary log {later['logs'][0]} is missing" in missing.stderr) == (23, True), (
        missing
    )
    assert "--at 20" in missing.stderr  # up to where it goes
    assert shop.server.sql(f"SHOW DATABASES LIKE '{shop.back}'") == ""


@pytest.mark.parametrize("shop", ["mariadb"], indirect=True)
def test_logs_begun_anew_are_a_gap_until_there_is_another_restore_point(shop: Shop) -> None:
    shop.site.run()
    shop.server.sql("INSERT INTO orders (words) VALUES ('one')", shop.name)
    before = shop.archive()
    shop.server.sql("RESET MASTER; INSERT INTO orders (words) VALUES ('two')", shop.name)
    after = shop.archive()
    assert after["line"] > before["line"]
    assert "begun anew" in after["gap"]
    assert shop.site.state()["binlog"]["gap"] == after["gap"]
    settings = shop.site.settings()
    findings = {each.text: each.level for each in examine_database(settings, settings.find_set("files"))}
    assert [level for text, level in findings.items() if "begun anew" in text or "MIXED" in text] == ["warning"] * 2
    refused = shop.restore("dump", "--at", "now")
    assert (refused.returncode, "missing in the archive" in refused.stderr) == (23, True), refused.stderr
    listed = shop.site.bkp("station", "binlog", "list", "files")
    assert "a gap" in listed.stdout

    shop.site.run()
    shop.next_second()  # what is logged in the restore point's own is no span of time
    shop.server.sql("INSERT INTO orders (words) VALUES ('three')", shop.name)
    assert shop.archive()["gap"] is None
    assert "Any moment from" in shop.site.bkp("station", "list", "files").stdout
    with shop.site.file("station").open("a") as file:
        file.write("drill_questions = [\"SELECT GROUP_CONCAT(words) = 'one,two,three' FROM orders\"]\n")
    drilled = shop.site.bkp("station", "drill", "files", "--json")
    assert drilled.returncode == 0, drilled.stdout
    assert "1 replay of 1 binary log, up to" in drilled.stdout


def test_a_log_lies_in_pieces_at_every_target_before_it_counts_as_archived(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "PIECE_BYTES", 100)
    log = LogName(base="binary", number=7)
    path = write_log(tmp_path / "written", (5, 1100), (6, 1200), before=4)
    fetched = Fetched(log=log, path=path, facts=look_through(path))
    with site.ring() as ring, open_target(site.settings().find_target("store")) as target:
        keys = ring.signing_key(datetime.now(UTC)), ring.recipients((), datetime.now(UTC))
        there = BinlogArchive(target, PLACE, ring)
        there.put("20261130T120000Z", fetched, *keys)
        before = sorted(site.store.rglob("*.gpg"))
        assert len(before) == -(-fetched.facts.size_bytes // 100)
        before[1].write_bytes(b"of a put that was killed")
        there.put("20261130T120000Z", fetched, *keys)
        (again,) = {*site.store.rglob("*.gpg")}.difference(before)
        there.put("20261130T120000Z", fetched, *keys)
        assert {*site.store.rglob("*.gpg")} == {*before, again}  # what is whole stays
        other = write_log(tmp_path / "other", (5, 1100), before=4)
        with pytest.raises(SourceFailed, match=r"another binary\.000007"):
            there.put("20261130T120000Z", Fetched(log=log, path=other, facts=look_through(other)), *keys)
    with site.ring("station") as ring, open_target(site.settings().find_target("store")) as target:
        kept = BinlogArchive(target, PLACE, ring)
        (whole,) = kept.logs()
        assert kept.fetch(whole, tmp_path).read_bytes() == path.read_bytes()
        first, _, third, *_ = before
        first.write_bytes(third.read_bytes())  # signed, but of another place
        with pytest.raises(BackupDamaged, match=r"binary\.000007 .* is another log than its name says"):
            kept.fetch(whole, tmp_path)
        first.unlink()
        assert kept.logs() == []


@pytest.mark.parametrize("shop", ["mariadb"], indirect=True)
def test_a_target_that_is_away_keeps_no_log_from_the_other_and_gets_what_it_missed_in_order(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far, away = (shop.site.folder / name for name in ("store", "far", "away"))
    far.mkdir()
    file = shop.site.file("host")
    table = f'[[targets]]\nname = "far"\nkind = "folder"\nfolder = "{far}"\n'
    text = file.read_text().replace('target = "store"\n', 'target = "store"\nalso = ["far"]\n')
    file.write_text(text.replace("[[sets]]", f"{table}[[sets]]"))
    settings = shop.site.settings()
    hasty = replace(shop.site.settings().find_set("files"), mariadb=MariadbSettings(
        database=shop.name, socket=shop.server.socket, binary_logs=timedelta(0),
    ))  # fmt: skip

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    def write_one() -> None:
        shop.server.sql("INSERT INTO orders (words) VALUES ('one')", shop.name)

    def archived(store: Path) -> dict[str, bytes]:
        """Return what lies there, by names without what tells its seal."""
        found = {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("binlog/*/*/*.gpg")}
        return {name.rsplit(".", 3)[0]: content for name, content in found.items()}

    shop.site.run()
    write_one()
    with monkeypatch.context() as killing:
        killing.setattr(Standings, "advance", killed)
        with pytest.raises(KeyboardInterrupt):
            archive_logs(settings, "files")
    archive_logs(settings, "files")
    assert archived(near).keys() == archived(far).keys()
    assert len({name.split("/")[3] for name in archived(near)}) == 1  # the line that was begun
    far.rename(away)
    for _ in range(2):
        write_one()
        with pytest.raises(TargetAway):
            archive_logs(settings, "files")
    there = archived(near)
    *_, missed, newest = sorted(there)
    assert sorted(there.keys() - archived(away).keys()) == [missed, newest]
    state = shop.site.state()["binlog"]
    assert state["archived"] == state["targets"]["far"]["archived"] < state["targets"]["store"]["archived"]
    assert state["error"].startswith("at 'far': the disk at")
    assert state["error"].count("archived up to") == 1

    away.rename(far)
    with pytest.raises(TimedOut, match=r"still to come: 1 log$"):  # its interval being over, the next archiving goes on
        archive_logs(replace(settings, sets=(hasty,)), "files")
    assert there.keys() - archived(far).keys() == {newest}
    archive_logs(settings, "files")
    assert there.keys() == archived(far).keys()
    assert archived(near) == there  # sealed once
    state = shop.site.state()["binlog"]
    assert (state["error"], state["failing_since"], state["targets"]["far"]["error"]) == (None, None, None)

    far.rename(away)
    shop.server.sql("RESET MASTER")
    write_one()
    with pytest.raises(TargetAway):
        archive_logs(settings, "files")
    assert "begun anew" in shop.site.state()["binlog"]["targets"]["far"]["gap"]  # seen while it is away
    away.rename(far)
    shop.site.run()
    shop.next_second()
    write_one()
    assert archive_logs(settings, "files").gap is None
    assert Path(max(archived(near).keys() - there.keys())).name in {Path(name).name for name in archived(far)}


@pytest.mark.parametrize("shop", ["mariadb"], indirect=True)
def test_what_cannot_be_replayed_is_refused_outdated_logs_go_with_the_prune_and_a_right_that_is_missing_is_told(
    shop: Shop,
) -> None:
    shop.site.run()
    table = f"{shop.name}.orders"
    shop.server.sql(f"DELETE FROM {table}")  # noqa: S608 - a name of ours; as a statement, in no database
    shop.next_second()  # its own is left out
    shop.archive()
    refused = shop.restore("dump", "--at", "now")
    assert (refused.returncode, "though it was run in 'no database'" in refused.stderr) == (52, True), refused.stderr
    assert shop.server.sql(f"SHOW DATABASES LIKE '{shop.back}'") == ""
    (piece,) = shop.pieces()
    log, _, _, rest = piece.name.split("-", 3)
    base, _, number = log.rpartition(".")
    old = LogName(base=base, number=int(number) + 2)  # what follows a log says until when it lasted
    since, until = (instant_name(datetime.now(UTC) - timedelta(days=days)) for days in (366, 365))
    outdated = piece.with_name(f"{old}-{since}-{until}-{rest}")
    shutil.copy(piece, outdated)
    shop.site.add_pruner("retention.keep_chains = 1")
    *_, line = [each for each in shop.site.prune("--dry-run") if each["event"] == "binlog"]
    assert (line["files"], line["reason"]) == (1, "written before the oldest restore point that stays")
    assert shop.site.prune("--yes")[-1]["binlog_deleted"] == 1
    assert shop.pieces() == [piece]

    user = f"{shop.name}_a"
    shop.server.sql(f"CREATE USER {user}; GRANT RELOAD ON *.* TO {user}")
    file = shop.site.file("host")
    file.write_text(file.read_text() + f'mariadb.user = "{user}"\n')
    refused = shop.site.bkp("host", "binlog", "archive", "files")
    shop.server.sql(f"DROP USER {user}")
    assert refused.returncode == 30
    assert "GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.*" in refused.stderr
    state = shop.site.state()["binlog"]
    assert (state["error"] in refused.stderr, state["failing_since"] is not None) == (True, True)
    assert "no binary log has been archived since" in shop.site.bkp("host", "status").stderr


def test_a_copied_server_goes_on_to_a_moment_by_the_command_that_is_told_and_a_drill_replays_all_its_logs(
    mariadb: MariadbServer, pairs: Pairs
) -> None:
    name = f"wiki_{uuid4().hex[:8]}"
    source = f'mariadb_base.socket = "{mariadb.socket}"\nmariadb_base.binary_logs = "5m"'
    with new_site(pairs, source=source) as site:
        site.run()
        mariadb.sql(f"CREATE DATABASE {name}")
        mariadb.sql("CREATE TABLE pages (a int); INSERT INTO pages VALUES (1), (2)", name)
        mariadb.sql(f"CREATE USER {name}; FLUSH PRIVILEGES; DROP USER {name}")
        second = int(mariadb.sql("SELECT UNIX_TIMESTAMP()"))
        wait_until(lambda: int(mariadb.sql("SELECT UNIX_TIMESTAMP()")) > second, 60, "the next second")
        mariadb.sql(f"DROP DATABASE {name}")
        archived = site.bkp("host", "binlog", "archive", "files")
        assert archived.returncode == 0, archived.stderr

        at = datetime.fromtimestamp(second + 1, UTC).isoformat()
        restored = site.bkp("station", "restore", "files", "--to", str(site.folder / "back"), "--at", at)
        assert restored.returncode == 0, restored.stderr
        (line,) = [each for each in restored.stdout.splitlines() if " | mariadb " in each]
        with mariadb_server(site.folder / "back/data") as copy:
            call = line.replace(" | mariadb ", f" | {shlex.join(copy.client())} ")
            subprocess.run(["bash", "-o", "pipefail", "-c", call], check=True, timeout=240)
            assert copy.sql("SELECT COUNT(*) FROM pages", name).strip() == "2"

            with following(mariadb, copy):  # what a replica takes from others is not in its log
                refused = site.bkp("host", "binlog", "archive", "files")
            assert (refused.returncode, "log_slave_updates" in refused.stderr) == (30, True), refused.stderr

        drilled = site.bkp("station", "drill", "files", "--json")
        assert drilled.returncode == 0, drilled.stdout
        assert "1 replay of 1 binary log, up to" in drilled.stdout
