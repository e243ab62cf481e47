"""History as JSON lines: an object a sample. What JSON has no number for is text: "nan", "inf", "-inf"."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final

from core.model.record import MAX_TEXT_BYTES
from server.exchange.form import (
    BYTES_AT_ONCE,
    ROWS_AT_ONCE,
    SAMPLE_COLUMNS,
    TREND_COLUMNS,
    judge_columns,
    keep_complete,
    kept_rows,
    shorten,
    write_instants,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from server.exchange.form import Faults, Kind, Rows
    from server.store.paging import SampleRows, TrendRows

_MAX_LINE_BYTES: Final = 8 * MAX_TEXT_BYTES


class JsonEncoder:
    """Writes an object a line, without blanks."""

    def head(self) -> bytes:
        """Return nothing: a line stands for itself."""
        return b""

    def samples(self, rows: SampleRows) -> bytes:
        """Return a line a sample."""
        item = rows.item
        prefix = _prefix(host=item.host, item=item.key, type=item.type, unit=item.unit)
        if isinstance(rows.values, list) and item.type == "structured":
            values = rows.values
        elif isinstance(rows.values, list):
            values = [json.dumps(value, ensure_ascii=False) for value in rows.values]
        else:
            values = [_number(value) for value in rows.values.tolist()]
        lines = [
            f'{prefix},"at":"{at}Z","value":{value},"late":{"true" if late else "false"}}}\n'
            for at, value, late in zip(write_instants(rows.at_us), values, rows.late.tolist(), strict=True)
        ]
        return "".join(lines).encode()

    def trends(self, rows: TrendRows) -> bytes:
        """Return a line an hour."""
        item, trends = rows.item, rows.trends
        prefix = _prefix(host=item.host, item=item.key, unit=item.unit)
        figures = zip(
            write_instants(trends.at_us), trends.minimum.tolist(), trends.average.tolist(), trends.maximum.tolist(),
            trends.count.tolist(), strict=True,
        )  # fmt: skip
        return "".join(
            [
                f'{prefix},"at":"{at}Z","minimum":{_number(low)},"average":{_number(mean)},'
                f'"maximum":{_number(high)},"count":{count}}}\n'
                for at, low, mean, high, count in figures
            ]
        ).encode()

    def tail(self) -> bytes:
        """Return nothing: the last line was the end."""
        return b""


def _prefix(**names: str) -> str:
    return json.dumps(names, ensure_ascii=False, separators=(",", ":"))[:-1]


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else f'"{value!r}"'


def decode_json(stream: BinaryIO, faults: Faults) -> Iterator[Rows]:
    """Read an object a line, in UTF-8; empty lines count for nothing. See form.Decoder."""
    kind: Kind | None = None
    line = 0
    while lines := _take(stream):
        numbered: list[tuple[int, dict[str, Any]]] = []
        for raw in lines:
            line += 1
            if len(raw) == _MAX_LINE_BYTES and not raw.endswith(b"\n"):
                faults.add(line, "", f"the line is longer than {_MAX_LINE_BYTES} bytes", "Give an object a line.")
                return
            found = _object(raw, line, faults)
            if found is None:
                continue
            if kind is None:
                kind = judge_columns(list(found), faults, line)
                if kind is None:
                    return
            numbered.append((line, found))
        if numbered and kind is not None:
            names = SAMPLE_COLUMNS if kind == "samples" else TREND_COLUMNS
            columns: dict[str, Any] = {name: [row.get(name) for _, row in numbered] for name in names}
            yield keep_complete(kept_rows(kind, [number for number, _ in numbered], columns, faults), faults)


def _take(stream: BinaryIO) -> list[bytes]:
    """Return the next lines; long ones fewer."""
    lines: list[bytes] = []
    size = 0
    while len(lines) < ROWS_AT_ONCE and size < BYTES_AT_ONCE and (line := stream.readline(_MAX_LINE_BYTES)):
        lines.append(line)
        size += len(line)
    return lines


def _object(raw: bytes, line: int, faults: Faults) -> dict[str, Any] | None:
    if not raw.strip():
        return None
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        faults.add(line, "", f"the line is no JSON ({error})", "Give one whole object a line.")
        return None
    if not isinstance(found, dict):
        faults.add(line, "", f"expected an object, found {shorten(found)}", 'Write it like {"host": "db1", …}.')
        return None
    return found
