"""Whether samples are among others."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from server.store.likeness import are_among
from server.store.samples import Samples, in_order

SAMPLE = st.tuples(st.integers(1, 3), st.integers(0, 3), st.sampled_from([0.0, -0.0, 1.0, float("nan"), float("inf")]))


def columns(rows: list[tuple[int, int, float]]) -> Samples:
    return Samples(
        items=np.array([row[0] for row in rows], np.int32),
        at_us=np.array([row[1] for row in rows], np.int64),
        values=np.array([row[2] for row in rows], np.float64),
        late=np.zeros(len(rows), np.bool_),
    )


@given(st.lists(SAMPLE), st.lists(SAMPLE, min_size=1))
def test_a_sample_is_known_by_item_instant_and_the_bits_of_its_value(
    known: list[tuple[int, int, float]], wanted: list[tuple[int, int, float]]
) -> None:
    there = {(item, at): np.float64(value).tobytes() for item, at, value in known}
    expected = [there.get((item, at)) == np.float64(value).tobytes() for item, at, value in wanted]
    assert are_among(in_order(columns(known)), columns(wanted)).tolist() == expected
