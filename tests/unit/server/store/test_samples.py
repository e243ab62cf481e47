from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.store.columns import unpack_late
from server.store.copying import NULL, late_field
from server.store.instants import HOUR_US
from server.store.samples import Samples, concatenate, cut_by_hour, in_order, items_of, no_samples, reduce_runs

ROWS = st.lists(
    st.tuples(
        st.integers(1, 4),
        st.integers(0, 5 * HOUR_US) | st.sampled_from([0, HOUR_US - 1, HOUR_US]),
        st.floats(width=64),
        st.booleans(),
    ),
    max_size=40,
)


def make(rows: list[tuple[int, int, float, bool]]) -> Samples:
    return Samples(
        items=np.array([row[0] for row in rows], dtype=np.int32),
        at_us=np.array([row[1] for row in rows], dtype=np.int64),
        values=np.array([row[2] for row in rows], dtype=np.float64),
        late=np.array([row[3] for row in rows], dtype=np.bool_),
    )


@settings(deadline=None)  # a loaded machine is no failure
@given(ROWS)
def test_order_keeps_the_last_of_equal_samples_and_loses_no_other(rows: list[tuple[int, int, float, bool]]) -> None:
    ordered = in_order(make(rows))
    expected = {(item, at): (value, late) for item, at, value, late in rows}
    assert list(zip(ordered.items.tolist(), ordered.at_us.tolist(), strict=True)) == sorted(expected)
    for place, key in enumerate(sorted(expected)):
        np.testing.assert_equal((ordered.values[place], bool(ordered.late[place])), expected[key])


@settings(deadline=None)  # a loaded machine is no failure
@given(ROWS)
def test_hours_are_cut_so_that_every_run_is_one_item_in_one_hour(rows: list[tuple[int, int, float, bool]]) -> None:
    ordered = in_order(make(rows))
    begins, hours = cut_by_hour(ordered)
    assert begins[0] == 0
    assert begins[-1] == len(ordered)
    keys = []
    for begin, end, hour in zip(begins[:-1], begins[1:], hours.tolist(), strict=True):
        assert len(set(ordered.items[begin:end].tolist())) == 1
        assert set((ordered.at_us[begin:end] // HOUR_US * HOUR_US).tolist()) == {hour}
        keys.append((int(ordered.items[begin]), hour))
    assert len(set(keys)) == len(keys)


@settings(deadline=None)  # a loaded machine is no failure
@given(ROWS)
def test_items_of_yields_every_item_once_with_all_its_samples(rows: list[tuple[int, int, float, bool]]) -> None:
    ordered = in_order(make(rows))
    parts = dict(items_of(ordered))
    assert list(parts) == sorted({row[0] for row in rows})
    assert sum(len(part) for part in parts.values()) == len(ordered)
    for item, part in parts.items():
        np.testing.assert_equal(part.at_us, ordered.of_item(item).at_us)


def test_nan_does_not_spoil_a_bucket_that_holds_numbers() -> None:
    samples = make([(1, 0, float("nan"), False), (1, 1, 2.0, False), (1, 2, 4.0, False), (2, 3, float("nan"), False)])
    reduced = reduce_runs(samples, np.array([0, 3, 4]))
    assert (reduced.minimum[0], reduced.average[0], reduced.maximum[0]) == (2.0, 3.0, 4.0)
    assert reduced.count.tolist() == [2, 0]
    assert np.isnan(reduced.average[1])


def test_nothing_at_all_is_handled() -> None:
    assert len(in_order(concatenate([]))) == 0
    begins, hours = cut_by_hour(no_samples())
    assert (begins.tolist(), hours.tolist()) == ([0], [])
    assert len(reduce_runs(no_samples(), begins).count) == 0


@pytest.mark.parametrize("count", [1, 7, 8, 9, 64])
def test_late_marks_pack_and_unpack(count: int) -> None:
    late = np.random.default_rng(count).random(count) < 0.5
    late[0] = True
    np.testing.assert_array_equal(unpack_late(late_field(late)[4:], count), late)
    assert late_field(np.zeros(count, np.bool_)) == NULL
    assert not unpack_late(None, count).any()
