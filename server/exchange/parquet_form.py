"""History as Parquet, with pyarrow: what analysis tools read. `value` is a float, a text stands in `text`."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow
import pyarrow.parquet

from server.exchange.form import BYTES_AT_ONCE, ROWS_AT_ONCE, Rows, judge_columns, keep_complete

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from server.exchange.form import Faults, Kind
    from server.store.inventory import Item
    from server.store.paging import SampleRows, TrendRows

_NAME: Final = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
_AT: Final = pyarrow.timestamp("us", tz="UTC")
SCHEMAS: Final[dict[Kind, Any]] = {
    "samples": pyarrow.schema(
        [
            ("host", _NAME), ("item", _NAME), ("type", _NAME), ("unit", _NAME), ("at", _AT),
            ("value", pyarrow.float64()), ("text", pyarrow.string()), ("late", pyarrow.bool_()),
        ]
    ),
    "trends": pyarrow.schema(
        [
            ("host", _NAME), ("item", _NAME), ("unit", _NAME), ("at", _AT), ("minimum", pyarrow.float64()),
            ("average", pyarrow.float64()), ("maximum", pyarrow.float64()), ("count", pyarrow.int64()),
        ]
    ),
}  # fmt: skip
GROUP_ROWS: Final = 100_000
GROUP_TEXT_BYTES: Final = 16 << 20


class ParquetEncoder:
    """Writes row groups of some 100,000 rows; until one is full its columns are held."""

    def __init__(self, kind: Kind) -> None:
        self._schema = SCHEMAS[kind]
        self._sink = _Sink()
        self._writer = pyarrow.parquet.ParquetWriter(self._sink, self._schema, compression="zstd")
        self._held: list[Any] = []
        self._rows = self._text_bytes = 0

    def head(self) -> bytes:
        """Return the magic number."""
        return self._sink.take()

    def samples(self, rows: SampleRows) -> bytes:
        """Hold these samples, and return a row group when one is full."""
        count = len(rows.at_us)
        is_text = isinstance(rows.values, list)
        if isinstance(rows.values, list):
            self._text_bytes += sum(map(len, rows.values))
        item = rows.item
        return self._hold(
            item,
            rows.at_us,
            type=_constant(item.type, count),
            value=pyarrow.nulls(count, pyarrow.float64()) if is_text else pyarrow.array(rows.values),
            text=pyarrow.array(rows.values) if is_text else pyarrow.nulls(count, pyarrow.string()),
            late=pyarrow.array(rows.late),
        )

    def trends(self, rows: TrendRows) -> bytes:
        """Hold these hours, and return a row group when one is full."""
        trends = rows.trends
        figures = {name: pyarrow.array(getattr(trends, name)) for name in ("minimum", "average", "maximum", "count")}
        return self._hold(rows.item, trends.at_us, **figures)

    def tail(self) -> bytes:
        """Return the last row group and the footer."""
        self._write_group()
        self._writer.close()
        return self._sink.take()

    def _hold(self, item: Item, at_us: Any, **columns: Any) -> bytes:
        count = len(at_us)
        columns |= {
            "host": _constant(item.host, count),
            "item": _constant(item.key, count),
            "unit": _constant(item.unit, count),
            "at": pyarrow.array(at_us.view("datetime64[us]"), type=_AT),
        }
        self._held.append(pyarrow.table([columns[name] for name in self._schema.names], schema=self._schema))
        self._rows += count
        if self._rows >= GROUP_ROWS or self._text_bytes >= GROUP_TEXT_BYTES:
            self._write_group()
        return self._sink.take()

    def _write_group(self) -> None:
        if self._held:
            self._writer.write_table(pyarrow.concat_tables(self._held).unify_dictionaries())
        self._held, self._rows, self._text_bytes = [], 0, 0


def _constant(text: str, count: int) -> Any:
    return pyarrow.DictionaryArray.from_arrays(np.zeros(count, dtype=np.int32), [text])


class _Sink(io.RawIOBase):
    """Keeps what is written until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self._pieces.append(bytes(piece))
        self._position += len(self._pieces[-1])
        return len(self._pieces[-1])

    def tell(self) -> int:
        return self._position

    def take(self) -> bytes:
        """Return what was written since the last call."""
        taken, self._pieces = b"".join(self._pieces), []
        return taken


def decode_parquet(stream: BinaryIO, faults: Faults) -> Iterator[Rows]:
    """Read a Parquet file, a batch of rows at a time; see form.Decoder. The stream has to be able to seek."""
    try:
        file = pyarrow.parquet.ParquetFile(stream, memory_map=False)
        names = file.schema_arrow.names
        if "value" in names:
            names = [name for name in names if name != "text"]
        kind = judge_columns(names, faults)
        if kind is None:
            return
        nested = [each for each in file.schema_arrow if pyarrow.types.is_nested(each.type)]
        for each in nested:
            faults.add(0, each.name, f"expected plain values, found {each.type}", "Write a document as JSON text.")
        if nested:
            return
        line = 1
        texts = [each.name for each in file.schema_arrow if pyarrow.types.is_string(each.type)]
        # A text that is there once in the file and stands in every row is not multiplied.
        file = pyarrow.parquet.ParquetFile(stream, memory_map=False, read_dictionary=texts)
        for batch in file.iter_batches(ROWS_AT_ONCE):
            for rows in _pieces(_rows(kind, line, batch)):
                yield keep_complete(rows, faults)
            line += batch.num_rows
    except (pyarrow.ArrowException, OSError) as error:
        faults.add(0, "", f"it cannot be read as Parquet ({str(error).splitlines()[0]})", "Write the file again.")


def _rows(kind: Kind, line: int, batch: Any) -> Rows:
    columns: dict[str, Any] = {}
    for name in batch.schema.names:
        if name != "at":
            columns[name] = _list(batch.column(name))
    instants = batch.column("at")
    at = instants.cast(_AT).cast(pyarrow.int64()).to_pylist()
    if "text" in columns:
        texts = columns.pop("text")
        columns["value"] = [
            text if text is not None else value for value, text in zip(columns["value"], texts, strict=True)
        ]
    return Rows(kind=kind, lines=range(line, line + batch.num_rows), at=at, columns=columns)


def _list(column: Any) -> list[Any]:
    """Return a column's values; of a dictionary's each is made once, however many rows have it."""
    if not pyarrow.types.is_dictionary(column.type):
        values: list[Any] = column.to_pylist()
        return values
    words = column.dictionary.to_pylist()
    return [None if place is None else words[place] for place in column.indices.to_pylist()]


def _pieces(rows: Rows) -> Iterator[Rows]:
    """Yield the rows, those with long texts fewer at once: written out they are as long as they say."""
    longest = max((len(value) for value in rows.columns.get("value", ()) if isinstance(value, str)), default=1)
    step = max(1, BYTES_AT_ONCE // max(longest, 1))
    for begin in range(0, len(rows), step):
        piece = slice(begin, begin + step)
        columns = {name: column[piece] for name, column in rows.columns.items()}
        yield Rows(kind=rows.kind, lines=rows.lines[piece], at=rows.at[piece], columns=columns)
