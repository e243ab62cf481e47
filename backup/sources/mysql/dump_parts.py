"""A stream of mariadb-dump or mysqldump in files: one a table, so that a table can be browsed and restored by itself.

What is put together again in the order of `parts.json` is the stream, byte by byte; but for three lines of mysqldump's,
which keep what is loaded out of the binary log of where it is loaded. Rows are counted on the way: the count is of what
the dump holds, and so of its snapshot. mariadb-dump writes each on a line of its own, mysqldump many on one.
"""

from __future__ import annotations

import json
import re
import time
from typing import IO, TYPE_CHECKING, Final

from backup.sources.mysql.rows import StatementRows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Self

PARTS_FILE: Final = "parts.json"
_SEPARATOR: Final = b"--\n"
_LONGEST_MARK: Final = 1024  # bytes of a line that are looked at: a name has at most 64 letters
_MARK: Final = re.compile(
    rb"-- (?:Table structure for table (?P<table>`.+`)|Dumping data for table (?P<rows>`.+`)"
    rb"|(?:Sequence structure for|Temporary (?:table|view) structure for view|Final view structure for view) `.+`"
    rb"|Dumping (?:events|routines) for database '.+')\n"
)
_ROWS: Final = re.compile(rb"(?:\([^\n]*\n)+")  # many at once: a line at a time took three times as long as the dump
_POSITION: Final = re.compile(
    rb"-- CHANGE (?:MASTER|REPLICATION SOURCE) TO (?:MASTER|SOURCE)_LOG_FILE='([^']+)',"
    rb" (?:MASTER|SOURCE)_LOG_POS=(\d+);\n"
)
_GTID: Final = re.compile(rb"-- SET GLOBAL gtid_slave_pos='([^']*)';\n")
_GTID_SET: Final = re.compile(rb"^/\* SET @@GLOBAL\.GTID_PURGED='\+?([^']*)';\*/$", re.MULTILINE)
_HEAD: Final = "head.sql"
_LONGEST_HEAD: Final = 16 << 20
_NOT_KEPT_OF_HEAD: Final = (
    b"SET @MYSQLDUMP_TEMP_LOG_BIN = @@SESSION.SQL_LOG_BIN;\n",
    b"SET @@SESSION.SQL_LOG_BIN= 0;\n",
)
_NOT_KEPT: Final = b"SET @@SESSION.SQL_LOG_BIN = @MYSQLDUMP_TEMP_LOG_BIN;\n"


class DumpParts:
    """Takes the stream in pieces of any size, in bounded memory however long a row is; whole when its context is left.

    rows: how many rows each table has, by its name. binlog, gtid: the position the snapshot is of, where it was told.
    longest_seconds: how long the table took that took longest.
    """

    def __init__(self, folder: Path, *, counts: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """Write into `folder`, which is empty. counts: whether rows are counted. clock: tells seconds."""
        self.rows: dict[str, int] = {}
        self.binlog: tuple[str, int] | None = None
        self.gtid: str | None = None
        self.longest_seconds = 0.0
        self._clock = clock
        self._began: float | None = None  # when the table began that is read now
        self._folder = folder
        self._counts = counts
        self._parts: list[str] = []
        self._held = b""  # the start of a line that is still too short to tell what it is
        self._is_in_line = False
        self._separator = b""  # a "--" that belongs to what comes after it
        self._rests = 0
        self._is_table = False
        self._counting: str | None = None
        self._statement: StatementRows | None = None  # the INSERT whose line is being taken
        (folder / "tables").mkdir()
        self._file: IO[bytes] = self._open(_HEAD)

    def take(self, piece: bytes) -> None:
        """Take the next piece."""
        data = self._held + piece
        self._held = b""
        start = 0
        while start < len(data):
            if self._counting is not None and not self._is_in_line and (rows := _ROWS.match(data, start)) is not None:
                self.rows[self._counting] += data.count(b"\n", start, rows.end())
                self._file.write(data[start : rows.end()])
                start = rows.end()
                continue
            end = data.find(b"\n", start) + 1
            if self._is_in_line:
                self._take_more(data[start : end or len(data)], is_end=end != 0)
            elif end == 0 and len(data) - start < _LONGEST_MARK:
                self._held = data[start:]
                return
            else:
                self._take_line(data[start : end or len(data)])
                self._take_more(b"", is_end=end != 0)
            start = end or len(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.write(self._separator + self._held)
        self._file.close()
        self._end_table()
        self._take_gtid_set()
        (self._folder / PARTS_FILE).write_text(json.dumps(self._parts, indent=0) + "\n", encoding="utf-8")

    def _take_line(self, line: bytes) -> None:
        """Take a line, of a long one the start."""
        if line == _NOT_KEPT or (line in _NOT_KEPT_OF_HEAD and len(self._parts) == 1):
            return
        if line.startswith(b"(") and self._counting is not None:  # a row that is longer than the piece
            self.rows[self._counting] += 1
            self._file.write(line)
            return
        if line == _SEPARATOR and not self._separator:
            self._separator = line
            return
        if line.startswith(b"-- "):
            self._take_comment(line)
        elif self._counting is not None:
            self._take_between_rows(line)
        self._file.write(self._separator + line)
        self._separator = b""

    def _take_more(self, rest: bytes, *, is_end: bool) -> None:
        """Take what else there is of a line that began."""
        self._file.write(rest)
        self._is_in_line = not is_end
        if self._statement is not None:
            self._statement.take(rest)
            if is_end and self._counting is not None:
                self.rows[self._counting] += self._statement.rows
                self._statement = None

    def _take_between_rows(self, line: bytes) -> None:
        if line.startswith(b"INSERT INTO `"):
            self._statement = StatementRows()
            self._statement.take(line)
        elif line != b"\n":
            self._counting = None  # triggers follow, and whatever stands in their bodies

    def _take_gtid_set(self) -> None:
        """Read what MySQL says of its transactions, a line for each server they are of."""
        with (self._folder / _HEAD).open("rb") as file:
            found = _GTID_SET.search(file.read(_LONGEST_HEAD))
        if found is not None:
            self.gtid = "".join(found[1].decode().split())

    def _take_comment(self, line: bytes) -> None:
        if self.binlog is None and (position := _POSITION.fullmatch(line)) is not None:
            self.binlog = (position[1].decode(), int(position[2]))
        elif (gtid := _GTID.fullmatch(line)) is not None:
            self.gtid = gtid[1].decode()
        elif self._separator and (mark := _MARK.fullmatch(line)) is not None:
            self._begin(mark["table"], mark["rows"])

    def _begin(self, table: bytes | None, rows: bytes | None) -> None:
        """Go on to another file where another thing begins. A name that comes again is a text that looks like one."""
        if rows is not None:
            name = _name(rows)
            if self._counts and name not in self.rows:
                self.rows[name] = 0
                self._counting = name
            return
        self._counting = None
        if table is not None:
            part = f"tables/{file_name(_name(table))}"
            if part not in self._parts:
                self._is_table = True
                self._switch(part)
        elif self._is_table or not self._rests:
            self._is_table = False
            self._rests += 1
            self._switch(f"rest-{self._rests}.sql")

    def _switch(self, part: str) -> None:
        self._end_table()
        self._began = self._clock() if self._is_table else None
        self._file.close()
        self._file = self._open(part)

    def _end_table(self) -> None:
        if self._began is not None:
            self.longest_seconds = max(self.longest_seconds, self._clock() - self._began)

    def _open(self, part: str) -> IO[bytes]:
        self._parts.append(part)
        return (self._folder / part).open("xb", buffering=256 << 10)


def read_parts(folder: Path) -> list[Path]:
    """Return the files of a dump in their order. Raises ValueError, OSError when they are not all there."""
    found = [folder / str(part) for part in json.loads((folder / PARTS_FILE).read_text(encoding="utf-8"))]
    strange = [part for part in found if not part.resolve().is_relative_to(folder.resolve()) or not part.is_file()]
    if strange or not found:
        raise ValueError(f"{strange[0] if strange else folder} is no part of a dump")
    return found


def file_name(table: str) -> str:
    """Return the file a table is dumped to; every letter but those a file cannot have stays readable."""
    return table.replace("%", "%25").replace("/", "%2F") + ".sql"


def _name(quoted: bytes) -> str:
    return quoted[1:-1].replace(b"``", b"`").decode("utf-8", "surrogateescape")
