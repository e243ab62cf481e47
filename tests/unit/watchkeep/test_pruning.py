"""When `watchkeep up` prunes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from watchkeep.up.pruning import SETTLING, pruning_due

_DUE = datetime(2026, 11, 30, 4, 30, tzinfo=UTC)
_DAY, _HOUR = timedelta(days=1), timedelta(hours=1)


def test_a_day_is_pruned_once_and_what_was_missed_is_made_up_for_after_the_start() -> None:
    now = _DUE + _HOUR
    assert pruning_due(_DUE + timedelta(minutes=1), now - 9 * _DAY, now) == _DUE + _DAY
    assert pruning_due(_DUE - _HOUR, now - 9 * _DAY, now) == _DUE
    assert pruning_due(None, now - 9 * _DAY, now) == _DUE
    assert pruning_due(_DUE - 3 * _DAY, now, now) == now + SETTLING
    assert pruning_due(None, now, now) == now + SETTLING


def test_a_prune_of_the_future_was_written_by_a_wrong_clock_and_puts_nothing_off() -> None:
    now = datetime(2026, 11, 30, 12, tzinfo=UTC)
    started_at = datetime(2026, 11, 29, tzinfo=UTC)
    assert pruning_due(datetime(2027, 11, 30, tzinfo=UTC), started_at, now) <= now
