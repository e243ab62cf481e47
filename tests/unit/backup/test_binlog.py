"""Binary logs are known by events and names, go on from each other, and are never replayed where they must not."""

from __future__ import annotations

import json
import struct
import subprocess
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from backup.binlog.archive import Fetched
from backup.binlog.choice import Start, choose, ends_of, read_start
from backup.binlog.continuing import NO_GAP, Gap, Last, beginning, break_between, doubt, following, standing_gap
from backup.binlog.events import Statement
from backup.binlog.log_file import find_stop, gtids_at, look_through
from backup.binlog.names import ArchivedLog, LogName, Piece, read_log_name, read_piece_name, whole_logs
from backup.binlog.recovery import Way, is_place
from backup.binlog.replaying import reading_options
from backup.binlog.server import BinlogServer, Listed
from backup.binlog.standing import Standing
from backup.binlog.standings import Standings
from backup.binlog.statements import Names, Segment, objection, segments_of
from backup.errors import BackupDamaged, ObjectMissing, SourceFailed, TargetAway
from backup.saving.sealed_files import Seal
from backup.settings.document import BackupSettings
from backup.settings.source import MariadbSettings, MysqlSettings

if TYPE_CHECKING:
    from pathlib import Path

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
NAMES = Names(saved="shop", restored="back", others=frozenset({"shop", "crm", "mysql"}))
HEADS = (
    bytes.fromhex("380d000800120004040404120000e400041a08000000080808020000000a0a0a2a2a001234000a2800").ljust(
        159, b"\0"
    )
    + bytes((0, 4, 19, 4))
    + bytes(8)
)
"""How long what each kind of event begins with is, by its number from 1 on: a MariaDB's."""


def log(number: int) -> LogName:
    return LogName(base="mariadb-bin", number=number)


def minute(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def archived(
    number: int, since: float, until: float, line: str = "20261130T110000Z", digest: str = "0" * 16
) -> ArchivedLog:
    piece = Piece(log=log(number), since=minute(since), until=minute(until), piece=1, pieces=1, digest=digest)
    return ArchivedLog(line=line, pieces=(piece,))


def start(number: int, minutes: float) -> Start:
    return Start(log=log(number), position=400, taken_at=minute(minutes), gtid="")


def event(kind: int, at: int, body: bytes, position: int) -> bytes:
    length = 19 + len(body) + 4
    head = struct.pack("<IBIIIH", at, kind, 7, length, position + length, 0)
    return head + body + zlib.crc32(head + body).to_bytes(4, "little")


def write_log(
    path: Path, *transactions: tuple[int, int], begun: int = 1000, before: int = 0, ending: bool = True
) -> Path:
    """Write a MariaDB's log: its transactions as (number, second of its end)."""
    content = bytearray(b"\xfebin")
    form = struct.pack("<H50sIB", 4, b"10.11.6-MariaDB", begun, 19) + HEADS + b"\x01"
    content += event(15, begun, form, len(content))
    listed = struct.pack("<IIIQ", 1, 0, 7, before) if before else struct.pack("<I", 0)
    content += event(163, begun, listed, len(content))
    for number, at in transactions:
        content += event(162, at - 1, struct.pack("<QIB", number, 0, 0) + bytes(6), len(content))
        content += event(16, at, bytes(8), len(content))
    if ending:
        content += event(4, 9999, struct.pack("<Q", 4) + b"mariadb-bin.000009", len(content))
    path.write_bytes(content)
    return path


def test_a_log_says_what_it_holds_and_a_bit_or_an_end_that_is_missing_is_damage_named_by_its_position(
    tmp_path: Path,
) -> None:
    path = write_log(tmp_path / "mariadb-bin.000008", (5, 1100), (6, 1200), before=4)
    facts = look_through(path)
    assert (facts.gtids_before, facts.gtids_after, facts.next_log) == ("0-7-4", "0-7-6", "mariadb-bin.000009")
    assert facts.since == datetime.fromtimestamp(1000, UTC)
    content = path.read_bytes()
    path.write_bytes(content[:21] + b"\x01" + content[22:])  # its server died: that is no damage
    assert look_through(path).gtids_after == "0-7-6"
    path.write_bytes(content[:300] + bytes([content[300] ^ 1]) + content[301:])
    with pytest.raises(BackupDamaged, match=r"mariadb-bin.000008 is damaged: the event at position \d+"):
        look_through(path)
    path.write_bytes(content[:-3])
    with pytest.raises(BackupDamaged, match="ends in the middle of an event"):
        look_through(path)
    path.write_bytes(b"\xfdbin" + content[4:])
    with pytest.raises(BackupDamaged, match="no binary log"):
        look_through(path)
    head = content[: 4 + int.from_bytes(content[13:17], "little")]
    path.write_bytes(head + event(164, 1000, bytes(17), len(head)))
    with pytest.raises(SourceFailed, match="encrypted by its server"):
        look_through(path)


def test_replaying_ends_before_the_first_transaction_that_was_not_over_when_the_second_began(tmp_path: Path) -> None:
    path = write_log(tmp_path / "log", (5, 1100), (6, 1200), (7, 1300), before=4)
    whole = find_stop(path, 0, None)
    assert (whole.position, whole.last_gtid) == (None, "0-7-7")
    stop = find_stop(path, 0, datetime.fromtimestamp(1200, UTC))
    assert stop.last_gtid == "0-7-5"
    assert find_stop(path, 0, datetime.fromtimestamp(1200.5, UTC)) == stop  # an event's own fraction nobody knows
    assert stop.position == stop.last_end
    assert stop.last_end is not None
    assert gtids_at(path, stop.last_end) == "0-7-5"
    later = find_stop(path, stop.last_end, datetime.fromtimestamp(1201, UTC))
    assert later.last_gtid == "0-7-6"
    with pytest.raises(BackupDamaged, match="no event of log begins at position 401"):
        find_stop(path, 401, None)


def test_names_are_read_back_and_a_log_without_all_its_pieces_is_none() -> None:
    pieces = [
        Piece(log=log(41), since=NOON, until=minute(5), piece=number, pieces=2, digest="0123456789abcdef", size_bytes=9)
        for number in (2, 1)
    ]
    read = [read_piece_name(each.name, 9) for each in pieces]
    assert read == pieces
    torn, again = (replace(pieces[1], seal=Seal(digest="fedcba9876543210", size_bytes=size)) for size in (8, 9))
    assert read_piece_name(torn.name, 9) == torn
    for both in ([torn, again], [again, torn]):
        assert whole_logs("20261130T110000Z", [pieces[0], *both])[0].pieces == (again, pieces[0])
    (whole,) = whole_logs("20261130T110000Z", pieces)
    assert [each.piece for each in whole.pieces] == [1, 2]
    assert whole_logs("20261130T110000Z", pieces[:1]) == []
    assert read_piece_name("mariadb-bin.000041-20261130T120000Z-x.gpg", 9) is None
    assert read_log_name("binary.000009") == LogName(base="binary", number=9)
    assert read_log_name("../binary.000009") is None


def test_logs_go_on_until_the_server_is_another_or_lacks_what_comes_next() -> None:
    last = Last(line="l", log=log(5), size_bytes=100, identity="a", gtids="0-7-9")
    there = [Listed(log=log(number), size_bytes=100) for number in (4, 5, 6, 7)]
    assert doubt(last, "a", there) is None
    assert [each.log.number for each in following(last, there[:-1])] == [6]
    assert "another server" in str(doubt(last, "b", there))
    assert "mariadb-bin.000006 was purged" in str(doubt(last, "a", there[3:]))
    assert "begun anew" in str(doubt(last, "a", [Listed(log=log(1), size_bytes=100)]))
    assert "another mariadb-bin.000005" in str(doubt(last, "a", [Listed(log=log(5), size_bytes=90), *there[2:]]))
    assert "mariadb-bin.000006 is missing" in str(doubt(last, "a", [there[1], there[3]]))
    assert [each.log.number for each in beginning(log(5), there[:-1])] == [5, 6]
    assert [each.log.number for each in beginning(None, there[:-1])] == [6]


def test_a_log_that_does_not_begin_where_the_last_one_ended_breaks_the_line(tmp_path: Path) -> None:
    facts = look_through(write_log(tmp_path / "log", (1, 1100)))
    assert break_between("", log(6), facts) is None
    assert "RESET MASTER" in str(break_between("0-7-9", log(6), facts))


def test_a_gap_stands_until_a_run_was_begun_after_it_was_found_also_in_the_same_second() -> None:
    gap = Gap(why="it was purged", found_at=NOON + timedelta(milliseconds=400))
    for milliseconds, left in ((300, gap), (500, NO_GAP)):
        started_at = NOON + timedelta(milliseconds=milliseconds)
        assert standing_gap(gap.notes, {"started_at": started_at.isoformat()}) == left
    assert standing_gap(gap.notes, {}) == gap
    assert standing_gap(NO_GAP.notes, {}) == NO_GAP


def test_the_logs_up_to_a_moment_are_chosen_and_a_gap_is_refused_with_what_can_be_reached() -> None:
    line = [archived(1, 0, 5), archived(2, 5, 10), archived(3, 10, 15), archived(4, 15, 20)]
    chosen = choose(start(2, 7), line, minute(12))
    assert [each.log.number for each in chosen.logs] == [2, 3]
    assert chosen.reaches == minute(20)
    beyond = choose(start(2, 7), line, minute(60))
    assert (len(beyond.logs), beyond.reaches) == (3, minute(20))
    holed = [line[1], line[3]]
    assert len(choose(start(2, 7), holed, minute(9)).logs) == 1  # before the gap
    with pytest.raises(
        ObjectMissing, match=r"mariadb-bin.000003 is missing .*--at 2026-11-30T12:10:00\+00:00 or earlier"
    ):
        choose(start(2, 7), holed, minute(17))
    with pytest.raises(ObjectMissing, match=r"mariadb-bin\.000001, where this restore point is, is missing"):
        choose(start(1, 2), line[1:], minute(17))
    assert choose(start(5, 30), line, minute(40)).reaches is None  # not archived yet


def test_no_log_between_two_is_left_out_when_the_clock_was_ahead_as_it_began() -> None:
    line = [archived(1, 0, 5), archived(2, 65, 66), archived(3, 7, 12), archived(4, 12, 17)]
    assert [each.log.number for each in choose(start(1, 2), line, minute(10)).logs] == [1, 2, 3]
    assert [each.log.number for each in choose(start(1, 2), line, minute(5)).logs] == [1]


def test_the_last_log_of_an_idle_server_that_was_killed_lasts_until_the_next_one_was_begun() -> None:
    line = [archived(1, 0, 5), archived(2, 5, 5), archived(3, 300, 310)]
    assert [each.log.number for each in choose(start(2, 240), line, minute(305)).logs] == [2, 3]
    assert ends_of(line)[line[1].line, log(2)] == minute(300)  # the pruner's, too
    assert ends_of(line)[line[2].line, log(3)] == minute(310)


def test_logs_of_another_line_go_on_only_where_both_have_the_very_same_log() -> None:
    old = [archived(1, 0, 5), archived(2, 5, 10, digest="a" * 16)]
    same = [archived(2, 5, 10, line="20261130T121000Z", digest="a" * 16), archived(3, 10, 15, line="20261130T121000Z")]
    assert [each.log.number for each in choose(start(1, 2), [*old, *same], minute(14)).logs] == [1, 2, 3]
    anew = [
        archived(1, 11, 12, line="20261130T121200Z", digest="b" * 16),
        archived(2, 12, 15, line="20261130T121200Z", digest="b" * 16),
    ]
    with pytest.raises(ObjectMissing, match=r"goes on with mariadb-bin\.000001"):
        choose(start(1, 2), [*old, *anew], minute(14))
    assert choose(start(1, 11.5), [*old, *anew], minute(14)).logs == tuple(anew)


def test_only_a_record_with_a_place_in_a_log_and_a_moment_is_gone_on_from() -> None:
    record = {"binlog_file": "mariadb-bin.000002", "binlog_position": 400, "taken_at": minute(7).isoformat()}
    assert read_start(record) == start(2, 7)
    assert read_start(record | {"binlog_position": None}) is None
    assert read_start(record | {"taken_at": "noon"}) is None
    assert read_start({}) is None


@pytest.mark.parametrize(
    ("database", "text", "words"),
    [
        ("shop", "INSERT INTO orders VALUES ('crm.x; shop.orders')", None),
        ("shop", "INSERT INTO orders SELECT * FROM crm.leads -- more", "names the database 'crm'"),
        ("shop", "DROP TABLE `shop` . `orders`", "names 'shop' itself"),
        ("shop", "DROP DATABASE IF EXISTS shop", "names 'shop' itself"),
        ("shop", "DROP /*!40005 TEMPORARY */ TABLE IF EXISTS `shop`.`draft`", None),
        ("shop", "CREATE VIEW v AS SELECT x.shop FROM x", None),
        ("shop", "CREATE /*!50017 DEFINER=`a`@`b`*/ TRIGGER t BEFORE INSERT ON crm.x FOR EACH ROW SET @a = 1", "'crm'"),
        ("crm", "UPDATE shop.orders SET a = 1", "though it was run in 'crm'"),
        ("", "ALTER TABLE Shop.orders ADD b int", "though it was run in 'no database'"),
        ("crm", "UPDATE leads SET shop = 'shop.orders'", None),
        ("shop", 'ALTER TABLE "shop"."orders" ADD b int', "names 'shop' itself"),  # sql_mode ANSI_QUOTES
        ("crm", 'DROP DATABASE "shop"', "though it was run in 'crm'"),
        ("crm", 'UPDATE leads SET a = "shop.orders"', None),
        ("crm", "GRANT SELECT ON shop.* TO a", None),
        ("shop", "GRANT SELECT ON shop.* TO a", None),  # is left out
    ],
)
def test_a_statement_that_names_databases_itself_is_not_replayed_into_one(
    database: str, text: str, words: str | None
) -> None:
    found = objection(Statement(database, text.encode()), NAMES)
    assert (found is None) if words is None else (words in str(found)), found


def test_a_database_restored_by_its_own_name_may_be_named_and_a_loaded_file_is_not_replayed() -> None:
    own = Names(saved="shop", restored="shop", others=frozenset({"crm"}))
    assert objection(Statement("shop", b"ALTER TABLE shop.orders ADD b int"), own) is None
    assert objection(Statement("", b"ALTER TABLE shop.orders ADD b int"), own) is not None
    assert "cannot be looked at" in str(objection(Statement("", b"", is_hidden=True), own))
    assert "XA PREPARE" in str(objection(Statement("", b"XA PREPARE", is_prepared=True), own))
    assert "LOAD DATA" in str(objection(Statement("shop", b"LOAD DATA INFILE 'x' INTO TABLE a", is_load=True), own))


def test_what_the_logs_have_of_an_earlier_database_of_the_new_name_is_not_replayed_into_it() -> None:
    segment = Segment(files=(), start=4, stop=None)
    renamed = Names(saved="shop", restored="back", others=frozenset())
    found = reading_options(MysqlSettings(database="back"), segment, renamed)
    assert "--database=back" in found  # MySQL's program judges by the name it was changed to
    assert [each for each in found if each.startswith("--rewrite-db=")] == [
        "--rewrite-db=shop->back",
        "--rewrite-db=back->watchkeep_left_out",
    ]
    same = Names(saved="shop", restored="shop", others=frozenset())
    assert not [each for each in reading_options(MysqlSettings(database="shop"), segment, same) if "rewrite" in each]
    assert "--database=shop" in reading_options(MariadbSettings(database="back"), segment, renamed)


def test_a_log_of_some_size_holds_something_and_its_statements_are_not_asked_for(tmp_path: Path) -> None:
    server = BinlogServer(MariadbSettings(database="shop", binaries=tmp_path), "shop", 60)
    assert server.holds_something(Listed(log=log(1), size_bytes=20 << 20))
    with pytest.raises(SourceFailed, match="mariadb is not in"):  # a small one's are
        server.holds_something(Listed(log=log(1), size_bytes=400))


def test_transactions_of_two_servers_in_one_domain_whose_numbers_fall_are_read(tmp_path: Path) -> None:
    path = write_log(tmp_path / "mariadb-bin.000001", (9, 1100), (4, 1101), (5, 1102))
    way = Way(files=(path,), start=4, stop=None, reaches=NOON, last_at=NOON, last_gtid=None, last_end=None)
    (segment,), _ = segments_of(way, lambda _: False)
    options = reading_options(MariadbSettings(database="shop"), segment, None)
    read = subprocess.run(
        ["mariadb-binlog", "--no-defaults", *options, str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert read.returncode == 0, read.stderr
    assert [line for line in read.stdout.splitlines() if line.startswith("COMMIT")]


def test_a_record_may_tell_domains_that_are_in_no_log_but_none_less_than_the_log_has() -> None:
    assert is_place("0-7-5", "0-7-5")
    assert is_place("0-7-5,1-7-2", "1-7-2,0-7-5")
    assert is_place("0-7-5", "0-7-5,3-1-900")  # replicated once, gtid_slave_pos has it
    assert not is_place("0-7-5,1-7-2", "0-7-5")
    assert not is_place("0-7-4", "0-7-5")
    assert not is_place("", "0-7-5")


def test_a_line_that_was_begun_goes_on_after_a_kill_and_is_the_same_at_each_target(tmp_path: Path) -> None:
    settings = BackupSettings(host="web1", work=tmp_path, state=tmp_path)
    (tmp_path / "shop").mkdir()
    path = write_log(tmp_path / "mariadb-bin.000001", (5, 1100), before=4)
    fetched = Fetched(log=log(1), path=path, facts=look_through(path))

    def standings(*targets: str) -> Standings:
        return Standings(settings, "shop", targets, timedelta(minutes=5))

    lines = standings("near", "far").lines(["near", "far"], fetched)
    assert lines["near"] == lines["far"]
    again = standings("near", "far")
    assert again.lines(["far"], fetched) == {"far": lines["far"]}
    last = Last(line=lines["near"], log=log(1), size_bytes=9, identity="a", gtids="0-7-5")
    again.advance("near", last, NOON)
    again.finish("near", NOON)
    again.fail("far", TargetAway("target 'far': gone"))
    assert again.table["archived"] is None
    assert standings("near", "more")["near"].last == last
    assert standings("near", "more")["more"] == Standing()  # a target that is new to the set
    other = write_log(tmp_path / "mariadb-bin.000002", (9, 1200), before=8)
    after = Fetched(log=log(2), path=other, facts=look_through(other))
    assert again.lines(["near"], after)["near"] > lines["near"]
    assert "RESET MASTER" in again.table["gap"]


def test_notes_of_before_targets_stood_alone_are_of_each_of_them(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    notes = {
        "line": "20261130T110000Z",
        "archived": "mariadb-bin.000005",
        "size_bytes": 9,
        "identity": "a",
        "gtids": "",
    }
    (tmp_path / "shop/binlog.json").write_text(json.dumps(notes))
    settings = BackupSettings(host="web1", work=tmp_path, state=tmp_path)
    known = Standings(settings, "shop", ("near", "far"), timedelta(minutes=5))
    assert known["near"].last == known["far"].last == Last(
        line="20261130T110000Z", log=log(5), size_bytes=9, identity="a", gtids=""
    )  # fmt: skip
