"""History as CSV (RFC 4180) with a header."""

from __future__ import annotations

import csv
import io
import re
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from core.model.record import MAX_TEXT_BYTES
from server.exchange.form import (
    ROWS_AT_ONCE,
    SAMPLE_COLUMNS,
    TREND_COLUMNS,
    judge_columns,
    kept_rows,
    write_instants,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from server.exchange.form import Faults, Kind, Rows
    from server.store.paging import SampleRows, TrendRows

_MAX_LINE: Final = 8 * MAX_TEXT_BYTES
_SPECIAL: Final = re.compile(r'[,"\r\n]')


class CsvEncoder:
    """Writes CSV; lines end with a newline alone."""

    def __init__(self, kind: Kind) -> None:
        self._columns = SAMPLE_COLUMNS if kind == "samples" else TREND_COLUMNS

    def head(self) -> bytes:
        """Return the header."""
        return (",".join(self._columns) + "\n").encode()

    def samples(self, rows: SampleRows) -> bytes:
        """Return a line a sample."""
        item = rows.item
        prefix = ",".join(_quote(text) for text in (item.host, item.key, item.type, item.unit))
        values = [_quote(v) for v in rows.values] if isinstance(rows.values, list) else map(repr, rows.values.tolist())
        lines = [
            f"{prefix},{at}Z,{value},{'true' if late else 'false'}\n"
            for at, value, late in zip(write_instants(rows.at_us), values, rows.late.tolist(), strict=True)
        ]
        return "".join(lines).encode()

    def trends(self, rows: TrendRows) -> bytes:
        """Return a line an hour."""
        item, trends = rows.item, rows.trends
        prefix = ",".join(_quote(text) for text in (item.host, item.key, item.unit))
        figures = zip(
            write_instants(trends.at_us), trends.minimum.tolist(), trends.average.tolist(), trends.maximum.tolist(),
            trends.count.tolist(), strict=True,
        )  # fmt: skip
        return "".join(
            [f"{prefix},{at}Z,{low!r},{mean!r},{high!r},{n}\n" for at, low, mean, high, n in figures]
        ).encode()

    def tail(self) -> bytes:
        """Return nothing: CSV just ends."""
        return b""


def _quote(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _SPECIAL.search(text) else text


def decode_csv(stream: BinaryIO, faults: Faults) -> Iterator[Rows]:
    """Read CSV with a header, in UTF-8; see form.Decoder."""
    csv.field_size_limit(2 * MAX_TEXT_BYTES)
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    reader = csv.reader(_lines(text), strict=True)
    try:
        yield from _read(reader, faults)
    except UnicodeDecodeError as error:
        faults.add(reader.line_num + 1, "", f"from here on it is not UTF-8 text ({error.reason})", "Save it as UTF-8.")
    except csv.Error as error:
        faults.add(reader.line_num, "", f"the line is no CSV: {error}", 'Quote fields by ", and double a quote inside.')
    finally:
        text.detach()


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    """Yield the lines; a file without any end of line does not fill the memory."""
    while line := text.readline(_MAX_LINE):
        if len(line) == _MAX_LINE and not line.endswith("\n"):
            raise csv.Error(f"it is longer than {_MAX_LINE} letters")
        yield line


def _read(reader: Any, faults: Faults) -> Iterator[Rows]:
    names = next(reader, None)
    if names is None:
        faults.add(1, "", "the file is empty", f"Begin it with the header {','.join(SAMPLE_COLUMNS)}.")
        return
    kind = judge_columns(names, faults)
    if kind is None:
        return
    width = len(names)
    while True:
        rows, end = _take(reader)
        fitting = [(line, row) for line, row in rows if len(row) == width]
        if len(fitting) < len(rows):
            for line, row in rows:
                if len(row) not in (width, 0):
                    faults.add(
                        line, "", f"expected {width} fields, found {len(row)}", "Give as many as the header has."
                    )
        if fitting:
            columns = dict(zip(names, zip(*[row for _, row in fitting], strict=True), strict=True))
            yield kept_rows(kind, [line for line, _ in fitting], columns, faults)
        if end is not None:
            raise end
        if not rows:
            return


def _take(reader: Any) -> tuple[list[tuple[int, list[str]]], Exception | None]:
    """Return the next rows with their lines, and what ended them early: those before it are judged all the same."""
    rows: list[tuple[int, list[str]]] = []
    try:
        rows.extend((reader.line_num, row) for row in islice(reader, ROWS_AT_ONCE))
    except (csv.Error, UnicodeDecodeError) as error:
        return rows, error
    return rows, None
