"""The bytes of COPY, built for many records at once, are those of each record by itself."""

from __future__ import annotations

import struct

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from server.store.batches import BatchColumns, encode_batches
from server.store.copying import float8_column, int4_column, late_field
from server.store.instants import POSTGRES_EPOCH_US

SCALARS = struct.Struct(">hiiiqiqiqiq")


@st.composite
def batches(draw: st.DrawFn) -> BatchColumns:
    count = draw(st.integers(1, 5))
    offsets = draw(st.lists(st.integers(0, 1_800_000_000), min_size=count, max_size=count))
    values = draw(st.lists(st.floats(), min_size=count, max_size=count))
    late = draw(st.none() | st.lists(st.booleans(), min_size=count, max_size=count))
    return BatchColumns(
        source_id=draw(st.integers(1, 2**31 - 1)), boot=draw(st.integers(1, 2**63 - 1)),
        number=draw(st.integers(1, 2**63 - 1)), first_at_us=draw(st.integers(0, 2 * 10**15)),
        items=np.arange(count, dtype=np.int32) + draw(st.integers(1, 10**9)), offsets=np.array(offsets, np.int32),
        values=np.array(values), late=None if late is None else np.array(late),
    )  # fmt: skip


def by_itself(batch: BatchColumns) -> bytes:
    """One row as the manual's COPY chapter says it, field by field."""
    first_at = batch.first_at_us - POSTGRES_EPOCH_US
    last_at = first_at + int(batch.offsets.max())
    pieces: list[bytes | memoryview] = [
        SCALARS.pack(9, 4, batch.source_id, 8, batch.boot, 8, batch.number, 8, first_at, 8, last_at),
        *int4_column([batch.items]).field(0),
        *int4_column([batch.offsets]).field(0),
        *float8_column([batch.values]).field(0),
        late_field(batch.late),
    ]
    return b"".join(pieces)


def rows_of(encoded: bytes, batch: BatchColumns) -> bool:
    return by_itself(batch) in encoded


@given(st.lists(batches(), min_size=1, max_size=8))
def test_every_record_becomes_its_own_row_whatever_its_length_and_marks(made: list[BatchColumns]) -> None:
    encoded = encode_batches(made)
    assert len(encoded) == sum(len(by_itself(batch)) for batch in made)
    assert all(rows_of(encoded, batch) for batch in made)
