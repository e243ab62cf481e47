"""Functions over windows, held against numpy's own."""

import math

import numpy as np
import pytest

from triggers.functions import FUNCTIONS, Basis, Samples
from triggers.judgement.problem import follow


def time_left(seconds: list[float], values: list[float], threshold: float, window_seconds: float) -> float:
    compute = FUNCTIONS["timeleft"].from_samples
    assert compute is not None
    samples = Samples(
        starts=np.array([0]),
        lengths=np.array([len(values)]),
        seconds=np.array(seconds),
        values=np.array(values),
        window_seconds=window_seconds,
    )
    with np.errstate(all="ignore"):
        return float(compute(samples, (threshold,))[0])


def test_time_left_of_a_straight_line_is_exact() -> None:
    seconds = [-3600.0 + 60 * step for step in range(61)]
    assert time_left(seconds, [1000 - second / 10 for second in seconds], 0, 3600) == pytest.approx(10_000)
    assert time_left(seconds, [50 + second / 100 for second in seconds], 90, 3600) == pytest.approx(4000)


def test_time_left_follows_the_least_squares_line() -> None:
    random = np.random.default_rng(3)
    seconds = np.sort(random.uniform(-3600, 0, 50))
    values = 5e9 + seconds * -1e5 + random.normal(0, 1e7, 50)
    slope, level = np.polyfit(seconds, values, 1)
    assert time_left(seconds.tolist(), values.tolist(), 0, 3600) == pytest.approx(-level / slope, rel=1e-6)


@pytest.mark.parametrize("values", [[5.0, 6.0, 7.0], [5.0, 5.0, 5.0]])
def test_time_left_is_endless_when_the_line_does_not_approach(values: list[float]) -> None:
    assert time_left([-60.0, -30.0, 0.0], values, 0, 60) == math.inf


@pytest.mark.parametrize("seconds", [[0.0], [-29.0, 0.0], [-29.0, -15.0, -5.0, 0.0]])
def test_time_left_is_unknown_until_half_the_window_is_seen(seconds: list[float]) -> None:
    assert math.isnan(time_left(seconds, [9.0 + second for second in seconds], 0, 60))


def test_time_left_of_several_windows_is_that_of_each() -> None:
    compute = FUNCTIONS["timeleft"].from_samples
    assert compute is not None
    samples = Samples(
        starts=np.array([0, 3, 4]),
        lengths=np.array([3, 1, 2]),
        seconds=np.array([-60.0, -30.0, 0.0, 0.0, -60.0, 0.0]),
        values=np.array([30.0, 20.0, 10.0, 5.0, 8.0, 2.0]),
        window_seconds=60.0,
    )
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(compute(samples, (0.0,)), [30.0, np.nan, 20.0])


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_a_declaration_has_what_its_basis_needs(function) -> None:  # type: ignore[no-untyped-def]  # a Function
    assert (function.from_totals is not None) == (function.basis is Basis.TOTALS)
    assert (function.from_samples is not None) == (function.basis is Basis.SAMPLES)
    assert set(function.totals) <= {"sum", "minimum", "maximum"}
    assert function.summary
    assert FUNCTIONS[function.name] is function


def test_openings_and_resolutions_take_turns_and_unknown_is_passed_over() -> None:
    rows = np.array([4, 4, 4, 4, 9, 9, 2])
    truth = np.array([True, False, True, False, True, False, True])
    is_known = np.array([True, False, True, True, False, True, False])
    was_open = np.array([False, False, False, False, True, True, True])
    found = follow(rows, truth, is_known, was_open)
    assert list(zip(rows[found.places].tolist(), found.changes.tolist(), strict=True)) == [(4, 1), (4, 0), (9, 0)]
    assert found.places.tolist() == [0, 3, 5]
    assert list(zip(found.rows.tolist(), found.states.tolist(), found.is_open.tolist(), strict=True)) == [
        (4, 0, False),
        (9, 0, False),
        (2, 2, True),
    ]
