"""As of when a pruner judges, whatever its clock says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from backup.pruning.strays import Stray
from backup.pruning.witness import witnessed_by_strays

_NOW = datetime(2026, 11, 30, 4, 0, tzinfo=UTC)
_DAY = timedelta(days=1)


def _stray(days_ago: float) -> Stray:
    at = _NOW - days_ago * _DAY
    return Stray(chain="20261101T000000Z", at=at, changed_at=None, files={"duplicity-x": 1})


def test_what_failing_runs_leave_goes_by_age_among_itself_though_no_restore_point_comes_any_more() -> None:
    newest_point = _NOW - 20 * _DAY
    assert witnessed_by_strays(_NOW, newest_point, [_stray(12), _stray(3)]) == _NOW - 3 * _DAY
    assert witnessed_by_strays(_NOW, newest_point, [_stray(12), _stray(-1)]) == _NOW - 12 * _DAY  # of the future
    assert witnessed_by_strays(_NOW, newest_point, [_stray(40)]) == newest_point
    assert witnessed_by_strays(_NOW, newest_point, []) == newest_point
