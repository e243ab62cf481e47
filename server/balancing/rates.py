"""How much each source sends, in bytes of records a second, smoothed over a window; pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


@dataclass(slots=True)
class _Rate:
    """`value` is the average as if nothing had come before the first look; `weight` is how much of it was looked at."""

    value: float = 0.0
    weight: float = 0.0


class Rates:
    """A moving average (exponential) of every source; one known for less than the window is averaged over that."""

    def __init__(self, window_seconds: float) -> None:
        self._window_seconds = window_seconds
        self._rates: dict[bytes, _Rate] = {}

    def fold(
        self,
        received: Mapping[bytes, int],
        elapsed_seconds: float,
        sources: Collection[bytes],
        unsure: Collection[bytes],
    ) -> None:
        """Take note of the bytes `received` of each source within the last `elapsed_seconds`.

        Only `sources` are kept. What came of `unsure` says nothing: their proxy is behind, or its link is broken.
        """
        if elapsed_seconds <= 0.0:
            return
        kept = math.exp(-elapsed_seconds / self._window_seconds)
        rates = {}
        for source in sources:
            rate = self._rates.get(source) or _Rate()
            if source not in unsure:
                rate.value = rate.value * kept + received.get(source, 0) / elapsed_seconds * (1 - kept)
                rate.weight = rate.weight * kept + 1 - kept
            rates[source] = rate
        self._rates = rates

    def recall(self, source: bytes, bytes_per_second: float) -> None:
        """Begin with what was known of a source before."""
        self._rates[source] = _Rate(bytes_per_second, 1.0)

    def of(self, source: bytes) -> float:
        """Return bytes a second; 0 of a source nothing is known of."""
        rate = self._rates.get(source)
        return 0.0 if rate is None or rate.weight == 0.0 else rate.value / rate.weight
