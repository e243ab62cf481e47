"""How long to wait before trying again."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Backoff:
    """Decorrelated jitter: each wait is drawn between the base and three times the wait before, up to the cap.

    So many that failed together do not come back together
    (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """

    base_seconds: float = 0.5
    cap_seconds: float = 30.0

    def next_delay(self, previous_seconds: float, fraction: float) -> float:
        """Return the seconds to wait after a wait of `previous_seconds` (0 at first), `fraction` random in [0, 1)."""
        highest = max(self.base_seconds, previous_seconds * 3)
        return min(self.cap_seconds, self.base_seconds + fraction * (highest - self.base_seconds))
