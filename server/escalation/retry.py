"""Decides when a notice that could not be delivered is tried again, and when it is given up; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryTerms:
    """Waits double from `first_seconds` up to `longest_seconds`; a notice older than `give_up_seconds` is given up."""

    first_seconds: float = 1.0
    longest_seconds: float = 300.0
    give_up_seconds: float = 86_400.0


class Retry(NamedTuple):
    """Try again after this long."""

    after_seconds: float


class GiveUp(NamedTuple):
    """No further attempt."""

    reason: str


def judge_retry(
    terms: RetryTerms, *, attempts: int, age_seconds: float, wish_seconds: float | None, chance: float
) -> Retry | GiveUp:
    """Judge a notice after its `attempts`-th failed attempt.

    `wish_seconds` is what the receiver asked for: it is waited at least, the longest wait and the give-up age stay.
    `chance` in [0, 1) spreads the waits by ±20 %, so that notices that failed together do not come back together.
    """
    if age_seconds >= terms.give_up_seconds:
        return GiveUp(f"given up after {attempts} attempts in {age_seconds / 3600:.1f} h")
    # The exponent is bounded, so that a long-lived notice does not overflow a float.
    wait = min(terms.first_seconds * 2.0 ** min(attempts - 1, 30), terms.longest_seconds) * (0.8 + 0.4 * chance)
    if wish_seconds is not None:
        wait = max(wait, min(wish_seconds, 3600.0))
    return Retry(min(wait, max(terms.give_up_seconds - age_seconds, terms.first_seconds)))
