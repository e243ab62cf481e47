"""A stream of mariadb-dump becomes files, one a table, that are the stream again when they are put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from backup.sources.mysql.dump_parts import DumpParts, read_parts
from backup.sources.mysql.rows import StatementRows

if TYPE_CHECKING:
    from pathlib import Path

_LONG = "x" * 5000
_STREAM = f"""-- MariaDB dump
/*!40101 SET NAMES utf8mb4 */;
-- CHANGE MASTER TO MASTER_LOG_FILE='binary.000001', MASTER_LOG_POS=3591;

--
-- Table structure for table `a`
--

CREATE TABLE `a` (
  `id` int
);

--
-- Dumping data for table `a`
--
-- ORDER BY:  `id`

INSERT INTO `a` VALUES
(1,'{_LONG}'),
(2,'INSERT INTO `a` VALUES');
INSERT INTO `a` VALUES
(3,'-- Table structure for table `b`');
DELIMITER ;;
/*!50003 CREATE*/ trigger t after insert on a for each row begin
insert into b values
(7);
--
-- Table structure for table `a`
--
end */;;

--
-- Table structure for table `../odd ``/% name`
--

--
-- Dumping data for table `../odd ``/% name`
--

INSERT INTO `../odd ``/% name` VALUES
(1);

--
-- Table structure for table `empty`
--

--
-- Dumping data for table `empty`
--


--
-- Final view structure for view `v`
--

--
-- Dumping routines for database 'shop'
--
-- SET GLOBAL gtid_slave_pos='0-1-17';
-- Dump completed
--
""".encode()  # noqa: S608 - a dump, run by nobody


@pytest.mark.parametrize("size", [1, 7, 1000, 1024, 100_000])
def test_parts_in_their_order_are_the_stream_whatever_the_pieces(tmp_path: Path, size: int) -> None:
    with DumpParts(tmp_path, counts=True) as parts:
        for start in range(0, len(_STREAM), size):
            parts.take(_STREAM[start : start + size])
    files = read_parts(tmp_path)
    assert b"".join(file.read_bytes() for file in files) == _STREAM
    assert [str(file.relative_to(tmp_path)) for file in files] == [
        "head.sql", "tables/a.sql", "tables/..%2Fodd `%2F%25 name.sql", "tables/empty.sql", "rest-1.sql"
    ]  # fmt: skip
    assert parts.rows == {"a": 3, "../odd `/% name": 1, "empty": 0}
    assert parts.binlog == ("binary.000001", 3591)
    assert parts.gtid == "0-1-17"


def test_the_time_a_table_was_read_is_that_of_the_longest_and_of_nothing_else(tmp_path: Path) -> None:
    now = 0.0
    first, second, rest = (_STREAM.index(mark) for mark in (b"-- Table structure for table `..", b"-- Table structure "
                                                            b"for table `empty`", b"-- Final view"))  # fmt: skip
    with DumpParts(tmp_path, counts=True, clock=lambda: now) as parts:
        for until, start, end in ((5.0, 0, first), (7.0, first, second), (8.0, second, rest), (99.0, rest, None)):
            parts.take(_STREAM[start:end])
            now = until
    assert parts.longest_seconds == 5.0


_MYSQL = rb"""-- MySQL dump
SET @MYSQLDUMP_TEMP_LOG_BIN = @@SESSION.SQL_LOG_BIN;
SET @@SESSION.SQL_LOG_BIN= 0;

--
-- GTID state at the beginning of the backup
--

/* SET @@GLOBAL.GTID_PURGED='+aa:1-11,
bb:1-3:5';*/

--
-- Position to start replication or point-in-time recovery from
--

-- CHANGE REPLICATION SOURCE TO SOURCE_LOG_FILE='binlog.000002', SOURCE_LOG_POS=3247;

--
-- Temporary view structure for view `v`
--

--
-- Table structure for table `a`
--

--
-- Dumping data for table `a`
--

INSERT INTO `a` (`id`, `we``ird '\`, `),(`) VALUES (1,'it\'s),(\\',0x27),(2,_binary '\\\\',NULL),(3,'','{\"a\": 1}');
INSERT INTO `a` (`id`, `we``ird '\`, `),(`) VALUES (4,'x','y');
/*!80002 ANALYZE TABLE `a` UPDATE HISTOGRAM ON `id` WITH 8 BUCKETS */;
DELIMITER ;;
INSERT INTO `a` VALUES (5),(6) ;;

--
-- Final view structure for view `v`
--

SET @@SESSION.SQL_LOG_BIN = @MYSQLDUMP_TEMP_LOG_BIN;
-- Dump completed
"""


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 100_000])
def test_rows_of_mysqldump_are_counted_though_many_stand_on_a_line(tmp_path: Path, size: int) -> None:
    with DumpParts(tmp_path, counts=True) as parts:
        for start in range(0, len(_MYSQL), size):
            parts.take(_MYSQL[start : start + size])
    assert parts.rows == {"a": 4}
    assert (parts.binlog, parts.gtid) == (("binlog.000002", 3247), "aa:1-11,bb:1-3:5")
    kept = [line for line in _MYSQL.splitlines(keepends=True) if b"SQL_LOG_BIN" not in line]
    assert b"".join(file.read_bytes() for file in read_parts(tmp_path)) == b"".join(kept)


def test_rows_of_a_value_that_is_longer_than_any_piece_are_counted_in_bounded_memory() -> None:
    statement = StatementRows()
    pieces = [b"INSERT INTO `a` VALUES (1,'", *[b"\\'),(" * 300] * 50, b"'),(2,'\\", b"'),(", b"'),(3,0);\n"]
    for piece in pieces:
        statement.take(piece)
        assert sum(len(value) for value in vars(statement).values() if isinstance(value, bytes)) < 20
    assert statement.rows == 3


def test_a_list_of_parts_leads_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "parts.json").write_text('["../../etc/passwd"]')
    with pytest.raises(ValueError, match="no part"):
        read_parts(tmp_path)
