"""The ledger: for every life of every source, which numbers have ended, and how.

The active server's copy of the table `received`. It changes only after the transaction that recorded the same has
committed, so it never claims more than the database.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.model.ranges import RangeSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from server.store.received import Received, ReceivedDelta

Life = tuple[int, int]
"""(source id, boot)."""


@dataclass(slots=True)
class Account:
    """One life's numbers: `stored` are committed, `lost` were dropped by the source, `refused` never will be stored."""

    stored: RangeSet = field(default_factory=RangeSet)
    lost: RangeSet = field(default_factory=RangeSet)
    refused: RangeSet = field(default_factory=RangeSet)
    last_number: int | None = None

    @property
    def highest(self) -> int:
        """The highest number this life is known to have issued."""
        return max(self.stored.highest, self.lost.highest, self.refused.highest, self.last_number or 0)

    def gaps(self) -> RangeSet:
        """Return the numbers up to the highest known one that have not ended in any way."""
        gaps = self.stored.missing(1, self.highest)
        for ended in (self.lost, self.refused):
            for first, last in ended:
                gaps.remove(first, last)
        return gaps


class Ledger:
    """All accounts, by (source id, boot)."""

    def __init__(self, received: Mapping[Life, Received] | None = None) -> None:
        self._accounts: dict[Life, Account] = {}
        self._boots: dict[int, set[int]] = {}
        for row in (received or {}).values():
            self.replace(row)

    def account(self, life: Life) -> Account:
        """Return a life's account; one of a life never heard of is empty."""
        return self._accounts.get(life) or Account()

    def lives(self, source_id: int) -> Iterable[tuple[int, Account]]:
        """Return (boot, account) of every known life of a source."""
        return [(boot, self._accounts[source_id, boot]) for boot in self._boots.get(source_id, ())]

    def replace(self, row: Received) -> None:
        """Take over what the database says of one life."""
        self._open(row.source_id, row.boot, Account(row.ranges, row.lost, row.refused, row.last_number))

    def commit(self, deltas: Iterable[ReceivedDelta]) -> None:
        """Add what a committed transaction recorded."""
        for delta in deltas:
            account = self._accounts.get((delta.source_id, delta.boot))
            if account is None:
                account = self._open(delta.source_id, delta.boot, Account())
            account.stored.update(delta.ranges)
            account.refused.update(delta.refused)
            account.lost.update(delta.lost)
            for first, last in delta.ranges:
                account.lost.remove(first, last)
            if delta.last_number is not None:
                account.last_number = max(delta.last_number, account.last_number or 0)

    def _open(self, source_id: int, boot: int, account: Account) -> Account:
        self._accounts[source_id, boot] = account
        self._boots.setdefault(source_id, set()).add(boot)
        return account
