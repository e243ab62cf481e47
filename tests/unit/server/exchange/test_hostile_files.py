"""Files made to break an import: every odd value is a fault at its line, and no line or batch fills the memory."""

from __future__ import annotations

import io
import json

import pyarrow
import pyarrow.parquet
import pytest

from server.exchange.book import Book
from server.exchange.form import Faults
from server.exchange.registry import find_decoder
from server.inventory.effective import Inventory
from server.inventory.keep import Keep, Retention

AT = "2026-11-18T06:00:00Z"
LARGE = 60_000


def settle(form: str, content: bytes) -> tuple[int, list[str]]:
    """Return how many rows were taken, and the faults."""
    faults = Faults(file="x")
    inventory = Inventory.from_stored(0, [])
    book = Book(
        retention=Retention(default=Keep(), inventory=lambda: inventory), now_us=1_795_000_000_000_000, faults=faults,
        visible=None,
    )  # fmt: skip
    taken = sum(len(book.settle(rows).places) for rows in find_decoder(form)(io.BytesIO(content), faults))
    return taken, [f"{fault.line}: {fault.column}" for fault in faults.found]


@pytest.mark.parametrize(
    ("changed", "column"),
    [
        ({"host": ["db1"]}, "host"),
        ({"host": {"a": 1}}, "host"),
        ({"item": []}, "item"),
        ({"type": ["number"]}, "type"),
        ({"unit": 5}, "unit"),
        ({"value": 10**400}, "value"),
        ({"value": {}}, "value"),
        ({"at": 5}, "at"),
        ({"at": []}, "at"),
    ],
)
def test_json_of_another_shape_is_a_fault_at_its_line(changed: dict[str, object], column: str) -> None:
    right = {"host": "db1", "item": "load", "type": "number", "unit": "", "at": AT, "value": 1.5}
    content = "\n".join(json.dumps(row) for row in (right, right | changed, right)).encode()
    assert settle("jsonl", content) == (2, [f"2: {column}"])


def test_parquet_of_another_shape_is_a_fault() -> None:
    at = pyarrow.array([1_795_000_000_000_000 - 60_000_000], pyarrow.timestamp("us", tz="UTC"))
    names = {"host": ["db1"], "item": ["load"]}
    trends = {"minimum": [1.0], "average": [1.0], "maximum": [1.0], "count": [1]}
    for columns in (
        names | {"host": [["db1"]], "at": at, "value": [1.0]},
        names | {"at": at, "text": ["a"], **trends},
        names | {"at": at, "text": [["a"]], "value": [1.0]},
    ):
        sink = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.table(columns), sink)
        taken, faults = settle("parquet", sink.getvalue())
        assert (taken, len(faults)) == (0, 1)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_long_lines_are_read_some_at_a_time(form: str) -> None:
    """20,000 lines of 64 KiB would be more than a gigabyte at once."""
    text = "x" * LARGE
    if form == "csv":
        content = "host,item,at,value\n" + f"db1,log,{AT},{text}\n" * 600
    else:
        content = (json.dumps({"host": "db1", "item": "log", "at": AT, "value": text}) + "\n") * 600
    faults = Faults(file="x")
    pieces = [len(rows) for rows in find_decoder(form)(io.BytesIO(content.encode()), faults)]
    assert sum(pieces) == 600
    assert max(pieces) * LARGE < 20 << 20
    assert faults.found == []


def test_a_parquet_text_that_stands_in_every_row_is_not_multiplied() -> None:
    """A file of two kilobytes would be more than two gigabytes."""
    count = 600
    columns = {"host": ["db1"] * count, "item": ["log"] * count, "text": ["x" * LARGE] * count}
    columns |= {
        "at": pyarrow.array([0] * count, pyarrow.timestamp("us", tz="UTC")),
        "value": pyarrow.nulls(count, pyarrow.float64()),
    }
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), sink, compression="zstd")
    assert len(sink.getvalue()) < 10_000
    found = list(find_decoder("parquet")(io.BytesIO(sink.getvalue()), Faults(file="x")))
    assert [line for rows in found for line in rows.lines] == list(range(1, count + 1))
    assert max(map(len, found)) * LARGE < 20 << 20
    assert all(len(set(map(id, rows.columns["value"]))) == 1 for rows in found)
