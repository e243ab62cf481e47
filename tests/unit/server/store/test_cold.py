"""The cold form gives back every float64 and every instant, and never a wrong one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.store.cold import HEADER, ColdRow, ColdRowDamaged, read_cold, write_cold
from server.store.instants import HOUR_US

HALF_HOUR_US = HOUR_US // 2
SPECIAL = [0.0, -0.0, math.inf, -math.inf, math.nan, 5e-324, -5e-324, 2.2250738585072014e-308, 1.7976931348623157e308]

ANY_BITS = st.integers(0, 2**64 - 1).map(lambda bits: float(np.array(bits, np.uint64).view(np.float64)))
DECIMAL = st.tuples(st.integers(-(10**7), 10**7), st.integers(0, 9)).map(lambda part: part[0] / 10 ** part[1])
VALUES = st.one_of(
    st.lists(st.one_of(ANY_BITS, st.sampled_from(SPECIAL), st.floats()), min_size=1, max_size=40),
    st.lists(DECIMAL, min_size=1, max_size=40),
    st.lists(st.integers(-(2**53), 2**53).map(float), min_size=1, max_size=40),
    st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=40),
)


@st.composite
def hours(draw: st.DrawFn) -> tuple[list[int], list[float]]:
    """One item's hour: rising instants, regular or not, and as many values."""
    values = draw(VALUES)
    if draw(st.booleans()):
        steps = draw(st.integers(1, 2 * HALF_HOUR_US // (len(values) + 1)))
        return [-HALF_HOUR_US + place * steps for place in range(len(values))], values
    instants = draw(st.sets(st.integers(-HALF_HOUR_US, HALF_HOUR_US - 1), min_size=len(values), max_size=len(values)))
    return sorted(instants), values


def columns(made: list[tuple[list[int], list[float]]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (
        np.array([at for instants, _ in made for at in instants], np.int64),
        np.array([value for _, values in made for value in values], np.float64),
        np.array([len(values) for _, values in made], np.int64),
    )


def rows_of(packed: list[bytes]) -> list[ColdRow]:
    return [ColdRow(item, 1_700_000_000_000_000 // HOUR_US * HOUR_US, row) for item, row in enumerate(packed, 1)]


@given(st.lists(hours(), min_size=1, max_size=6))
def test_every_instant_and_every_bit_of_every_value_comes_back(made: list[tuple[list[int], list[float]]]) -> None:
    offsets, values, counts = columns(made)
    again, same, as_many = read_cold(rows_of(write_cold(offsets, values, counts)))
    np.testing.assert_array_equal(again, offsets)
    np.testing.assert_array_equal(same.view(np.uint64), values.view(np.uint64))
    np.testing.assert_array_equal(as_many, counts)


@pytest.mark.parametrize(
    ("values", "most_bytes"),
    [
        (np.full(360, 42.0), 0.2),
        (np.cumsum(np.arange(360) % 7) + 1e9, 0.6),
        (np.where(np.arange(360) < 200, np.arange(360) * 50.0 + 1e12, np.arange(360) * 50.0), 0.8),
        (np.round(np.sin(np.arange(360)) * 50 + 50, 2), 2.0),
        (np.arange(360) % 90 * 4096.0 + 8e9, 1.2),
    ],
    ids=["constant", "counter", "counter that began anew", "two decimals", "whole pages"],
)
def test_what_hosts_say_of_themselves_takes_few_bytes(values: np.ndarray, most_bytes: float) -> None:
    offsets = np.arange(360, dtype=np.int64) * 10_000_000 - HALF_HOUR_US
    (row,) = write_cold(offsets, values, np.array([360]))
    assert len(row) / 360 <= most_bytes + HEADER.itemsize / 360


def test_a_pause_in_the_hour_does_not_widen_every_instant() -> None:
    offsets = np.arange(360, dtype=np.int64) * 10_000_000 - HALF_HOUR_US
    gone = np.delete(offsets, slice(100, 130))
    (row,) = write_cold(gone, np.zeros(len(gone)), np.array([len(gone)]))
    assert len(row) <= HEADER.itemsize + 60


def test_an_hour_of_more_values_than_a_place_can_name_comes_back() -> None:
    count = 100_000
    offsets = np.arange(count, dtype=np.int64) * 30_000 - HALF_HOUR_US
    values = np.where(np.arange(count) == 99_999, 1e300, 1.0)
    again, same, _ = read_cold(rows_of(write_cold(offsets, values, np.array([count]))))
    np.testing.assert_array_equal(again, offsets)
    np.testing.assert_array_equal(same, values)


@given(st.data())
def test_no_flipped_bit_gives_a_wrong_value(data: st.DataObject) -> None:
    offsets, values, counts = columns([data.draw(hours()) for _ in range(2)])
    rows = rows_of(write_cold(offsets, values, counts))
    broken = bytearray(rows[1].packed)
    broken[data.draw(st.integers(0, len(broken) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ColdRowDamaged, match=r"item 2 in the hour from 2023-11-14 21:30 UTC"):
        read_cold([rows[0], ColdRow(rows[1].item, rows[1].middle_us, bytes(broken))])


@given(st.data())
def test_a_row_cut_short_is_named(data: st.DataObject) -> None:
    offsets, values, counts = columns([data.draw(hours())])
    (row,) = rows_of(write_cold(offsets, values, counts))
    with pytest.raises(ColdRowDamaged, match="history_packed"):
        read_cold([ColdRow(row.item, row.middle_us, row.packed[: data.draw(st.integers(0, len(row.packed) - 1))])])


def test_no_rows_are_no_samples() -> None:
    assert write_cold(np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64)) == []
    assert [len(column) for column in read_cold([])] == [0, 0, 0]
