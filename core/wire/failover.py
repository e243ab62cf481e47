"""Which upstream comes next, and when: a decision only."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.runtime.backoff import Backoff

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

    Every upstream is tried before a pause; pauses grow until a session is welcomed. A redirect is followed only to a
    member of the list.
    """

    def __init__(
        self, endpoints: Sequence[str], timings: LinkTimings, fraction: Callable[[], float] = random.random
    ) -> None:
        if not endpoints:
            raise ValueError("a source needs at least one upstream")
        self._endpoints = tuple(endpoints)
        self._backoff = Backoff(base_seconds=timings.first_retry_seconds, cap_seconds=timings.longest_retry_seconds)
        self._fraction = fraction
        self._tried = 0
        self._paused_seconds = 0.0
        self.place = 0

    def reorder(self, endpoints: Sequence[str]) -> None:
        """Follow another order of the same endpoints; the place stays on the endpoint it is on."""
        present = self._endpoints[self.place]
        self._endpoints = tuple(endpoints)
        self.place = self._endpoints.index(present)

    def ended(self, ending: Ending) -> float:
        """Move to the next place; return how many seconds to wait before trying it."""
        named = [self._endpoints.index(endpoint) for endpoint in ending.go_to if endpoint in self._endpoints]
        if named:
            self.place = named[0]
        elif not ending.stay:
            self.place = (self.place + 1) % len(self._endpoints)
        if ending.was_welcomed:
            self._tried = 0
            self._paused_seconds = 0.0
            # Many sources lose their collector at the same instant and shall not come back at the same instant.
            return 0.0 if named else self._backoff.next_delay(0.0, 0.0) * self._fraction()
        self._tried += 1
        if self._tried < len(self._endpoints):
            return 0.0
        self._tried = 0
        self._paused_seconds = self._backoff.next_delay(self._paused_seconds, self._fraction())
        return max(self._paused_seconds, min(ending.retry_seconds, self._backoff.cap_seconds))
