"""Bodies of many records joined say what each says alone."""

from __future__ import annotations

from array import array
from uuid import UUID

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from core.model.record import Origin, pack_values, read_header
from server.intake.columns import join_columns

ORIGIN = Origin(UUID(int=7), 9)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8))
def test_records_of_any_lengths_are_joined_in_their_order(lengths: list[int]) -> None:
    records: list[memoryview] = []
    items: list[int] = []
    offsets: list[int] = []
    values: list[float] = []
    for number, count in enumerate(lengths, 1):
        own = [number * 100 + place for place in range(count)]
        at = [1_000_000 + place * 7 for place in range(count)]
        columns = array("I", own), at, array("d", [each / 3 for each in own])
        records.append(memoryview(pack_values(ORIGIN, number, 1, *columns)))
        items += own
        offsets += [each - at[0] for each in at]
        values += columns[2]
    joined = join_columns(records, np.array([read_header(record).count for record in records]))
    assert joined.items.tolist() == items
    assert joined.offsets.tolist() == offsets
    assert joined.values.tolist() == values
