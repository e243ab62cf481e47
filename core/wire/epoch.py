"""The highest epoch a source has seen: commands of a lower one come from a server that was replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class EpochMemory:
    """Only rises; `keep` is told of each rise and has written it down when it returns."""

    def __init__(self, highest: int, keep: Callable[[int], None]) -> None:
        self.highest = highest
        self._keep = keep

    def is_stale(self, epoch: int) -> bool:
        """Tell whether a lower epoch than the highest speaks."""
        return epoch < self.highest

    def see(self, epoch: int) -> None:
        """Take note of an epoch that was heard."""
        if epoch > self.highest:
            self.highest = epoch
            self._keep(epoch)
