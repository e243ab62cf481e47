"""What an encoder writes its decoder reads again, whatever letters and numbers there are."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.exchange.book import Book
from server.exchange.csv_form import decode_csv
from server.exchange.form import Faults
from server.exchange.registry import FORMS, find_decoder, make_encoder
from server.inventory.effective import Inventory
from server.inventory.keep import Keep, Retention
from server.store.inventory import Item
from server.store.paging import SampleRows

if TYPE_CHECKING:
    from server.exchange.form import Rows

LETTERS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30)
ROWS = st.lists(
    st.tuples(st.integers(0, 7_200_000_000_000_000), st.floats(width=64), LETTERS, st.booleans()),
    min_size=1, max_size=20,
)  # fmt: skip


def item(key: str, type_: str) -> Item:
    return Item(id=1, host_id=1, host="db1", key=key, type=type_, unit='"%",', description="")


@pytest.mark.parametrize("form", FORMS)
@settings(deadline=None, max_examples=60)  # a loaded machine is no failure
@given(key=LETTERS, rows=ROWS)
def test_numbers_and_texts_come_back_as_they_were(
    form: str, key: str, rows: list[tuple[int, float, str, bool]]
) -> None:
    at_us = np.array([row[0] for row in rows], dtype=np.int64)
    late = np.array([row[3] for row in rows])
    numbers = np.array([row[1] for row in rows])
    texts = [row[2] for row in rows]
    encoder = make_encoder(form, "samples")
    content = encoder.head()
    content += encoder.samples(SampleRows(item=item(key, "number"), at_us=at_us, values=numbers, late=late))
    content += encoder.samples(SampleRows(item=item(key, "text"), at_us=at_us, values=texts, late=late))
    content += encoder.tail()
    faults = Faults(file="x")
    found: list[Rows] = list(find_decoder(form)(io.BytesIO(content), faults))
    assert faults.found == []
    values = [value for each in found for value in each.columns["value"]]
    assert [at for each in found for at in each.at] == at_us.tolist() * 2
    read = np.array([float(value) for value in values[: len(rows)]])
    np.testing.assert_array_equal(read[~np.isnan(numbers)].view(np.int64), numbers[~np.isnan(numbers)].view(np.int64))
    assert np.isnan(read).tolist() == np.isnan(numbers).tolist()
    assert values[len(rows) :] == texts
    assert {name for each in found for name in each.columns["item"]} == {key}
    assert {name for each in found for name in each.columns["unit"]} == {'"%",'}


def test_a_line_without_end_is_a_fault_and_not_a_full_memory() -> None:
    faults = Faults(file="x")
    endless = io.BytesIO(b"host,item,at,value\n" + b"x" * 5_000_000)
    assert list(decode_csv(endless, faults)) == []
    assert "longer than" in faults.found[0].message
    assert endless.tell() < 4_000_000


def test_the_line_of_a_fault_counts_the_ends_of_line_in_texts() -> None:
    faults = Faults(file="x")
    rows = b'db1,log,2026-11-21T00:00:00Z,"two\nlines"\ndb1,log,2026-11-21T00:00:00Z,"one\r\nmore"\ndb1,log,never,x\n'
    assert [len(each) for each in decode_csv(io.BytesIO(b"host,item,at,value\n" + rows), faults)] == [2]
    assert [(fault.line, fault.column) for fault in faults.found] == [(6, "at")]


def test_of_many_faults_the_first_are_kept_and_all_are_counted() -> None:
    faults = Faults(file="x")
    inventory = Inventory(revision=1, templates={}, hosts={}, receivers={}, revisions={})
    retention = Retention(default=Keep(), inventory=lambda: inventory)
    book = Book(retention=retention, now_us=1_796_000_000_000_000, faults=faults, visible=None)
    content = b"host,item,type,at,value\n" + b"db1,x.y,number,2026-11-21T00:00:00Z,wrong\n" * 3000
    kept = sum(len(book.settle(rows).places) for rows in decode_csv(io.BytesIO(content), faults))
    assert (kept, faults.count, len(faults.found)) == (0, 3000, 50)
