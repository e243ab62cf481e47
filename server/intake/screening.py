"""Which of the records that arrived are new and believable: a decision, with its reason, and no effect."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from core.model.ranges import RangeSet
from core.model.record import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from core.model.record import Header
    from server.intake.directory import Directory
    from server.intake.ledger import Ledger, Life
    from server.store.peers import Source

AHEAD_US: Final = 10 * 60 * 1_000_000
"""Samples further in the future than this are refused: a clock that wrong would end every window."""


@dataclass(frozen=True, slots=True, eq=False)
class Arrival:
    """One record, and the key it came under."""

    key: bytes
    header: Header
    record: memoryview

    @property
    def life_key(self) -> tuple[bytes, int]:
        """(source's 16 bytes, boot), as acknowledgements name it."""
        return (self.header.source, self.header.boot)


@dataclass(frozen=True, slots=True, eq=False)
class Admitted:
    """A record that is to be stored, with its source as the server knows it."""

    arrival: Arrival
    source: Source

    @property
    def life(self) -> Life:
        """(source id, boot)."""
        return (self.source.id, self.arrival.header.boot)


@dataclass(frozen=True, slots=True, eq=False)
class Refused:
    """A record that never will be stored. `source` is None when it is not ours to keep an account of."""

    arrival: Arrival
    source: Source | None
    reason: str


@dataclass(slots=True)
class Screened:
    """A gathered group, sorted by what becomes of each record."""

    admitted: list[Admitted] = field(default_factory=list)
    duplicates: list[Arrival] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    def reasons(self) -> Counter[str]:
        """Count the refusals by reason."""
        return Counter(refusal.reason for refusal in self.refused)


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """The span of instants the server believes, µs since 1970 UTC, both ends included."""

    oldest_us: int
    newest_us: int


def believable(now_us: int, retention_us: int) -> Horizon:
    """Return what is believed now: nothing older than retention, nothing more than ten minutes ahead."""
    return Horizon(oldest_us=now_us - retention_us, newest_us=now_us + AHEAD_US)


def screen(arrivals: Sequence[Arrival], ledger: Ledger, directory: Directory, horizon: Horizon) -> Screened:
    """Sort the arrivals. Nothing is remembered: the ledger changes when what was admitted has been committed.

    A record that arrived twice within the group is admitted once. An unauthorised one is refused, but not in its
    source's account: nobody can have another source's numbers refused by sending them.
    """
    result = Screened()
    admitted_numbers: dict[tuple[bytes, int], RangeSet] = {}
    for arrival in arrivals:
        header = arrival.header
        objection = directory.objection(arrival.key, header.source, header.base_at)
        if objection is not None and header.kind not in (Kind.VALUES, Kind.TEXTS):
            # No sample: whoever may relay the source now may say what its item numbers mean.
            objection = directory.objection(arrival.key, header.source, horizon.newest_us)
        if objection is not None:
            result.refused.append(Refused(arrival, None, objection))
            continue
        source = directory.sources[header.source]
        account = ledger.account((source.id, header.boot))
        here = admitted_numbers.setdefault(arrival.life_key, RangeSet())
        if header.number in account.stored or header.number in account.refused or header.number in here:
            result.duplicates.append(arrival)
            continue
        here.add(header.number, header.number)
        disbelief = _disbelief(header, horizon)
        if disbelief is None:
            result.admitted.append(Admitted(arrival, source))
        else:
            result.refused.append(Refused(arrival, source, disbelief))
    return result


def numbers_of(arrivals: Iterable[Arrival]) -> dict[tuple[bytes, int], RangeSet]:
    """Return the arrivals' numbers as acknowledgements name them: ranges by (source's 16 bytes, boot)."""
    numbers: dict[tuple[bytes, int], RangeSet] = {}
    for arrival in arrivals:
        numbers.setdefault(arrival.life_key, RangeSet()).add(arrival.header.number, arrival.header.number)
    return numbers


def _disbelief(header: Header, horizon: Horizon) -> str | None:
    if header.kind not in (Kind.VALUES, Kind.TEXTS):
        return None
    if header.base_at + header.span > horizon.newest_us:
        return "its samples lie more than ten minutes in the future"
    if header.base_at < horizon.oldest_us:
        return "its samples are older than retention"
    return None
