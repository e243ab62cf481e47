from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from server.store.samples import Samples
from server.store.thinning import of_values
from server.store.thinning import thin as thin_series

if TYPE_CHECKING:
    from server.store.thinning import Series


def thin(at_us: np.ndarray, values: np.ndarray, points: int) -> Series:
    count = len(values)
    samples = Samples(items=np.ones(count, np.int32), at_us=at_us, values=values, late=np.zeros(count, np.bool_))
    return thin_series(of_values(samples), points)


def test_a_short_series_comes_out_as_it_is() -> None:
    series = thin(np.array([1_000, 2_000, 5_000]), np.array([3.0, 1.0, 2.0]), 3)
    assert series.at_us.tolist() == [1_000, 2_000, 5_000]
    assert series.value.tolist() == series.minimum.tolist() == series.maximum.tolist() == [3.0, 1.0, 2.0]


def test_each_stretch_has_its_mean_least_and_greatest() -> None:
    series = thin(np.arange(6) * 1000, np.array([1.0, 5.0, 3.0, 10.0, 20.0, 0.0]), 2)
    assert series.value.tolist() == [3.0, 10.0]
    assert series.minimum.tolist() == [1.0, 0.0]
    assert series.maximum.tolist() == [5.0, 20.0]


def test_gaps_stay_gaps() -> None:
    hour = 3_600_000_000
    at_us = np.concatenate((np.arange(100) * 1_000_000, 10 * hour + np.arange(100) * 1_000_000))
    series = thin(at_us, np.ones(200), 50)
    assert np.diff(series.at_us).max() > 9 * hour


def test_what_is_not_a_number_counts_for_nothing() -> None:
    series = thin(np.arange(4), np.array([np.nan, 1.0, np.nan, 3.0]), 10)
    assert series.value.tolist() == [1.0, 3.0]


def test_a_lonely_spike_survives_thinning_a_day_to_a_hundred_points() -> None:
    values = np.zeros(86_400)
    values[54_321] = 99.0
    series = thin(np.arange(86_400, dtype=np.int64) * 1_000_000, values, 100)
    assert len(series.at_us) == 100
    assert series.maximum.tolist().index(99.0) == 54_321 // 864


@given(
    arrays(np.float64, st.integers(0, 400), elements=st.floats(-1e9, 1e9)),
    st.integers(1, 50),
    st.integers(0, 2**32),
)
def test_peaks_are_kept_and_the_number_of_points_is_bounded(values: np.ndarray, points: int, seed: int) -> None:
    at_us = np.sort(np.random.default_rng(seed).integers(0, 10**12, len(values)))
    series = thin(at_us, values, points)
    assert len(series.at_us) == len(series.value) <= points or len(values) <= points
    assert (np.diff(series.at_us) >= 0).all()
    if len(values):
        assert series.minimum.min() == values.min()
        assert series.maximum.max() == values.max()
        assert (series.minimum <= series.maximum).all()
