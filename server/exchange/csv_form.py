"""History as CSV (RFC 4180) with a header."""

from __future__ import annotations

import csv
import io
import re
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

from core.model.record import MAX_TEXT_BYTES
from server.exchange.form import (
    BYTES_AT_ONCE,
    ROWS_AT_ONCE,
    SAMPLE_COLUMNS,
    TREND_COLUMNS,
    judge_columns,
    kept_rows,
    write_instants,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from server.exchange.form import Faults, Kind, Rows
    from server.store.paging import SampleRows, TrendRows

_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_MAX_LINE: Final = 8 * MAX_TEXT_BYTES
_ROWS_A_STEP: Final = 100  # after so many rows it is looked how much they are
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
    blocks = _Blocks(text)
    reader = csv.reader(chain.from_iterable(blocks), strict=True)
    try:
        yield from _read(reader, blocks, faults)
    except UnicodeDecodeError as error:
        faults.add(reader.line_num + 1, "", f"from here on it is not UTF-8 text ({error.reason})", "Save it as UTF-8.")
    except csv.Error as error:
        faults.add(reader.line_num, "", f"the line is no CSV: {error}", 'Quote fields by ", and double a quote inside.')
    finally:
        text.detach()


class _Blocks:
    """Whole lines, many at once; a file without any end of line does not fill the memory. `letters`: so many came."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self.letters = 0

    def __iter__(self) -> Iterator[io.StringIO]:
        held = ""
        while block := self._text.read(_MAX_LINE):
            self.letters += len(block)
            held += block
            end = held.rfind("\n") + 1
            if end:
                yield io.StringIO(held[:end], newline="")
                held = held[end:]
            elif len(held) > _MAX_LINE:
                raise csv.Error(f"it is longer than {_MAX_LINE} letters")
        if held:
            yield io.StringIO(held, newline="")


def _read(reader: Any, blocks: _Blocks, faults: Faults) -> Iterator[Rows]:
    names = next(reader, None)
    if names is None:
        faults.add(1, "", "the file is empty", f"Begin it with the header {','.join(SAMPLE_COLUMNS)}.")
        return
    kind = judge_columns(names, faults)
    if kind is None:
        return
    width = len(names)
    while True:
        before = reader.line_num
        rows, end = _take(reader, blocks)
        lines = _lines(rows, before, reader.line_num)
        if set(map(len, rows)) - {width}:
            for line, row in zip(lines, rows, strict=True):
                if len(row) not in (width, 0):
                    faults.add(
                        line, "", f"expected {width} fields, found {len(row)}", "Give as many as the header has."
                    )
            lines = [line for line, row in zip(lines, rows, strict=True) if len(row) == width]
            fitting = [row for row in rows if len(row) == width]
        else:
            fitting = rows
        if fitting:
            columns = dict(zip(names, zip(*fitting, strict=True), strict=True))
            yield kept_rows(kind, lines, columns, faults)
        if end is not None:
            raise end
        if not rows:
            return


def _take(reader: Any, blocks: _Blocks) -> tuple[list[list[str]], Exception | None]:
    """Return the next rows, long ones fewer, and what ended them early: those before it are judged all the same."""
    rows: list[list[str]] = []
    until = blocks.letters + BYTES_AT_ONCE
    try:
        while len(rows) < ROWS_AT_ONCE and blocks.letters < until:
            before = len(rows)
            rows.extend(islice(reader, _ROWS_A_STEP))
            if len(rows) == before:
                break
    except (csv.Error, UnicodeDecodeError) as error:
        return rows, error
    return rows, None


def _lines(rows: list[list[str]], before: int, last: int) -> Sequence[int]:
    """Return the line at which each row ends; only a row with ends of line in its fields takes several."""
    if last - before == len(rows):
        return range(before + 1, last + 1)
    lines, line = [], before
    for row in rows:
        line += 1 + sum(len(_LINE_END.findall(field)) for field in row)
        lines.append(line)
    return lines
