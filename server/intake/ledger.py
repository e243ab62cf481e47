"""The ledger: for every life of every source, which numbers have ended, and how, and where they jump.

The active server's copy of the table `received`. It changes only after the transaction that recorded the same has
committed, so it never claims more than the database.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from core.model.gaps import Gaps, Run
from core.model.ranges import RangeSet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from core.model.gaps import Gap
    from server.store.received import Received, ReceivedDelta

Life = tuple[int, int]
"""(source id, boot)."""
MAX_KEPT_GAPS: Final = 1000
"""Of one life the store keeps the instants of so many gaps, the newest, which windows look back on: of others only the
numbers are known."""


@dataclass(slots=True)
class Account:
    """One life's numbers: `stored` are committed, `lost` were dropped by the source, `refused` never will be stored.

    No number is in two of them. `gaps` are the numbers not stored below the highest stored one, with the instants
    around them.
    """

    stored: RangeSet = field(default_factory=RangeSet)
    lost: RangeSet = field(default_factory=RangeSet)
    refused: RangeSet = field(default_factory=RangeSet)
    last_number: int | None = None
    gaps: Gaps = field(default_factory=Gaps)

    @property
    def highest(self) -> int:
        """The highest number this life is known to have issued."""
        return max(self.stored.highest, self.lost.highest, self.refused.highest, self.last_number or 0)

    @property
    def open(self) -> RangeSet:
        """The numbers up to the highest known one that have not ended in any way: under way, or missing."""
        return self.stored.missing(1, self.highest).without(self.lost).without(self.refused)


class Ledger:
    """All accounts, by (source id, boot)."""

    def __init__(
        self, received: Mapping[Life, Received] | None = None, gaps: Mapping[Life, Sequence[Gap]] | None = None
    ) -> None:
        self._accounts: dict[Life, Account] = {}
        self._boots: dict[int, list[int]] = {}
        self._filled: set[int] = set()
        for life, row in (received or {}).items():
            known = Gaps.of(row.ranges, (gaps or {}).get(life, ()), row.newest_us)
            self._accounts[life] = Account(row.ranges, row.lost, row.refused, row.last_number, known)
            self._boots.setdefault(life[0], []).append(life[1])

    def account(self, life: Life) -> Account:
        """Return a life's account; one of a life never heard of is empty."""
        return self._accounts.get(life) or Account()

    def missed_until(self) -> dict[int, int]:
        """Return, by source id, the instant (µs) of the record behind the newest gap of any of its lives."""
        newest = {source_id: self.missed_until_of(source_id) for source_id in self._boots}
        return {source_id: until_us for source_id, until_us in newest.items() if until_us is not None}

    def missed_until_of(self, source_id: int) -> int | None:
        """Return the same of one source; None when it is not known to miss anything."""
        accounts = [self._accounts[source_id, boot] for boot in self._boots.get(source_id, ())]
        instants = [gap.before_us for account in accounts for gap in account.gaps.gaps if gap.before_us is not None]
        return max(instants, default=None)

    def take_filled(self) -> set[int]:
        """Return the sources of which the newest gap of a life was filled since this was asked last."""
        filled, self._filled = self._filled, set()
        return filled

    def gap_changes(self, deltas: Iterable[ReceivedDelta]) -> tuple[list[tuple[Life, Gap]], list[tuple[Life, Gap]]]:
        """Return which kept gaps (life, gap) go and which come when these deltas are committed; changes nothing."""
        later: dict[Life, Gaps] = {}
        for delta in deltas:
            life = (delta.source_id, delta.boot)
            if delta.ranges:
                later[life] = _gaps_after(later.get(life) or self.account(life).gaps, delta)
        gone: list[tuple[Life, Gap]] = []
        fresh: list[tuple[Life, Gap]] = []
        for life, after in later.items():
            before = self.account(life).gaps
            if after.gaps is not before.gaps:
                old, new = set(before.gaps[-MAX_KEPT_GAPS:]), set(after.gaps[-MAX_KEPT_GAPS:])
                gone += [(life, gap) for gap in sorted(old - new, key=_first)]
                fresh += [(life, gap) for gap in sorted(new - old, key=_first)]
        return gone, fresh

    def commit(self, deltas: Iterable[ReceivedDelta]) -> None:
        """Add what a committed transaction recorded."""
        for delta in deltas:
            life = (delta.source_id, delta.boot)
            account = self._accounts.get(life)
            if account is None:
                account = self._accounts[life] = Account()
                self._boots.setdefault(life[0], []).append(life[1])
            if delta.ranges:
                newest = account.gaps.gaps[-1:]
                account.gaps = _gaps_after(account.gaps, delta)
                if newest and account.gaps.gaps[-1:] != newest:
                    self._filled.add(delta.source_id)
                account.stored.update(delta.ranges)
            account.refused.update(delta.refused)
            account.lost.update(delta.lost)
            _settle(account, delta)
            if delta.last_number is not None:
                account.last_number = max(delta.last_number, account.last_number or 0)


def _settle(account: Account, delta: ReceivedDelta) -> None:
    """Leave each number in one set: stored before refused before lost."""
    for first, last in delta.ranges:
        account.refused.remove(first, last)
        account.lost.remove(first, last)
    for ended in (delta.refused, delta.lost):
        for first, last in account.stored.common(ended):
            account.refused.remove(first, last)
            account.lost.remove(first, last)
        for first, last in account.refused.common(ended):
            account.lost.remove(first, last)


def _gaps_after(gaps: Gaps, delta: ReceivedDelta) -> Gaps:
    for run in delta.runs or [Run(first, last) for first, last in delta.ranges]:
        gaps = gaps.after(run)
    return gaps


def _first(gap: Gap) -> int:
    return gap.first
