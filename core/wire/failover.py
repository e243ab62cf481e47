"""Which upstream comes next, and when: a decision only."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from core.wire.timings import LinkTimings


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Why a session ended. `was_welcomed`: data could flow. `go_to`: endpoints named by a redirect, best first.

    `stay`: say hello to the same upstream again. `retry_seconds`: what the collector asked us to wait.
    """

    trouble: str
    was_welcomed: bool = False
    go_to: Sequence[str] = ()
    stay: bool = False
    retry_seconds: float = 0.0


class Failover:
    """The ordered list of upstreams and the place in it.

    Every upstream is tried before a pause; pauses grow with decorrelated jitter (Brooker, "Exponential Backoff And
    Jitter", AWS 2015) until a session is welcomed. A redirect is followed only to a member of the list.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        timings: LinkTimings,
        between: Callable[[float, float], float] = random.uniform,
    ) -> None:
        if not endpoints:
            raise ValueError("a source needs at least one upstream")
        self._endpoints = tuple(endpoints)
        self._timings = timings
        self._between = between
        self._tried = 0
        self._pause_seconds = timings.first_retry_seconds
        self.place = 0

    def ended(self, ending: Ending) -> float:
        """Move to the next place; return how many seconds to wait before trying it."""
        if ending.was_welcomed:
            self._tried = 0
            self._pause_seconds = self._timings.first_retry_seconds
        else:
            self._tried += 1
        is_round_over = self._tried >= len(self._endpoints)
        named = [self._endpoints.index(endpoint) for endpoint in ending.go_to if endpoint in self._endpoints]
        if named:
            self.place = named[0]
        elif not ending.stay:
            self.place = (self.place + 1) % len(self._endpoints)
        if is_round_over or (ending.was_welcomed and not named):
            return self._pause(ending.retry_seconds, is_round_over=is_round_over)
        return 0.0

    def _pause(self, asked_seconds: float, *, is_round_over: bool) -> float:
        timings = self._timings
        pause = self._between(timings.first_retry_seconds / 2, self._pause_seconds)
        if is_round_over:
            self._tried = 0
            self._pause_seconds = min(timings.longest_retry_seconds, max(pause, timings.first_retry_seconds) * 3)
            pause = max(pause, min(asked_seconds, timings.longest_retry_seconds))
        return pause
