"""Due times lie on a grid that nothing shifts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.runtime.schedule import first_due, next_due

seconds = st.floats(0.001, 1e6, allow_nan=False)


@given(due=seconds, interval=st.floats(0.1, 86_400), late=st.floats(0, 1e5))
def test_the_next_due_time_is_the_first_grid_point_after_now_and_what_lies_between_is_missed(
    due: float, interval: float, late: float
) -> None:
    following, missed = next_due(due, interval, due + late)
    assert due + late < following + 1e-6
    assert following <= due + late + interval + 1e-6
    assert abs((following - due) / interval - (missed + 1)) < 1e-6
    assert missed >= 0


def test_a_run_in_time_misses_nothing_and_lateness_does_not_shift_the_grid() -> None:
    assert next_due(100.0, 10.0, 100.0) == (110.0, 0)
    assert next_due(100.0, 10.0, 109.9) == (110.0, 0)
    assert next_due(100.0, 10.0, 110.0) == (120.0, 1)
    assert next_due(100.0, 10.0, 145.0) == (150.0, 4)


@given(now=seconds, interval=st.floats(0.1, 86_400), phase=st.floats(0, 1, exclude_max=True))
def test_the_second_read_comes_within_an_interval_but_leaves_time_for_a_rate(
    now: float, interval: float, phase: float
) -> None:
    due = first_due(now, interval, phase)
    assert now + min(1.0, interval / 2) - 1e-6 < due <= now + min(1.0, interval / 2) + interval + 1e-6


def test_agents_of_different_phase_sample_at_different_times_and_intervals_that_divide_coincide() -> None:
    assert first_due(1000.0, 10.0, 0.0) != first_due(1000.0, 10.0, 0.5)
    assert first_due(1000.0, 60.0, 0.0) % 10.0 == first_due(1000.0, 10.0, 0.0) % 10.0
