"""The outbox: a source's numbering over a spool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from core.model.item import ItemDescription

if TYPE_CHECKING:
    from array import array
    from collections.abc import Mapping, Sequence
    from pathlib import Path
    from uuid import UUID

    from core.runtime.clock import Clock
    from core.spool.spool import Spool, SpoolLimits

__all__ = ["ItemDescription", "Outbox"]


class Outbox:
    """What a source publishes, numbered, on disk before it is sent."""

    source: UUID
    boot: int
    last_number: int
    spool: Spool

    @classmethod
    def open(cls, folder: Path, source: UUID, limits: SpoolLimits, clock: Clock) -> Outbox:
        """Open the folder, begin a new boot and announce the end of the boots found there."""
        raise NotImplementedError

    def describe(self, entries: Sequence[ItemDescription]) -> list[int]:
        """Return the item numbers of `entries`; new ones are announced in the stream. Raises SpoolFault."""
        raise NotImplementedError

    def publish(self, items: array[int], instants: Sequence[int], values: array[float]) -> int:
        """Append a batch of numbers (array('I'), µs, array('d')); return its number. Raises SpoolFault."""
        raise NotImplementedError

    def publish_texts(self, items: Sequence[int], instants: Sequence[int], texts: Sequence[str]) -> int:
        """Append a batch of texts; return its number. Raises SpoolFault."""
        raise NotImplementedError

    def held_boots(self) -> list[tuple[int, int, int]]:
        """Return (boot, lowest number held, last number issued) of each boot held, the present one last."""
        raise NotImplementedError

    def settle(self, seen: Mapping[int, int]) -> bool:
        """Compare with the highest numbers a collector saw; True when a new boot was begun because of them."""
        raise NotImplementedError

    def close(self) -> None:
        """Announce the end of this boot, fsync, release the folder. Idempotent."""
        raise NotImplementedError
