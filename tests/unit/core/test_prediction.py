"""What a disaster costs: predicted by what drills took, by schedule and age."""

from __future__ import annotations

from core.model.prediction import lost_seconds, restore_seconds


def test_the_slowest_of_the_last_three_proofs_counts_made_longer_as_the_set_grew() -> None:
    assert restore_seconds([], 1000) is None
    assert restore_seconds([(1000, 10.0)], 1000) == 10.0
    assert restore_seconds([(1000, 10.0)], 3000) == 30.0
    assert restore_seconds([(1000, 10.0)], 100) == 10.0  # what shrank promises nothing sooner
    assert restore_seconds([(1000, 900.0), (1000, 10.0), (2000, 12.0), (2000, 11.0)], 2000) == 20.0
    assert restore_seconds([(0, 3.0)], 0) == 3.0


def test_what_is_lost_at_worst_is_a_period_and_a_run_or_what_is_late_already() -> None:
    assert lost_seconds(age=100.0, period=3600.0, duration=60.0) == 3660.0
    assert lost_seconds(age=90_000.0, period=3600.0, duration=60.0) == 90_000.0
    assert lost_seconds(age=100.0, period=None, duration=60.0) == 100.0
    assert lost_seconds(age=None, period=3600.0, duration=0.0) is None
    assert lost_seconds(age=100.0, period=3600.0, duration=60.0, archived=30.0) == 30.0
    assert lost_seconds(age=100.0, period=3600.0, duration=60.0, archived=90_000.0) == 3660.0
