from __future__ import annotations

import pytest

from server.escalation.retry import GiveUp, Retry, RetryTerms, judge_retry

TERMS = RetryTerms(first_seconds=1, longest_seconds=60, give_up_seconds=3600)


def wait(attempts: int, *, wish: float | None = None, chance: float = 0.5, age: float = 0.0) -> float:
    verdict = judge_retry(TERMS, attempts=attempts, age_seconds=age, wish_seconds=wish, chance=chance)
    assert isinstance(verdict, Retry)
    return verdict.after_seconds


def test_waits_double_up_to_the_longest() -> None:
    assert [wait(n) for n in range(1, 9)] == pytest.approx([1, 2, 4, 8, 16, 32, 60, 60])
    assert wait(100_000) == pytest.approx(60)


def test_waits_spread_by_a_fifth() -> None:
    assert wait(3, chance=0.0) == pytest.approx(3.2)
    assert wait(3, chance=0.999999) == pytest.approx(4.8, abs=0.001)


def test_the_receivers_wish_is_waited_at_least_and_within_bounds() -> None:
    assert wait(1, wish=30) == 30
    assert wait(7, wish=1) == pytest.approx(60)
    assert wait(1, wish=1e9) == 3600


def test_a_notice_is_given_up_only_when_it_is_old_whatever_the_attempts() -> None:
    assert isinstance(judge_retry(TERMS, attempts=2, age_seconds=3600, wish_seconds=None, chance=0.5), GiveUp)
    assert wait(10_000, age=3599) > 0


def test_the_last_attempt_comes_when_the_time_is_up_not_later() -> None:
    assert wait(20, age=3590, wish=300) == 10
