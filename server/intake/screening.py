"""Which of the records that arrived are new and believable: a decision, with its reason, and no effect."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from core.model.ranges import RangeSet
from core.model.record import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from core.model.record import Header
    from server.intake.directory import Directory
    from server.intake.ledger import Account, Ledger, Life
    from server.store.peers import Source

AHEAD_US: Final = 10 * 60 * 1_000_000
"""Samples further in the future than this are refused: a clock that wrong would end every window."""


TOO_OLD: Final = "its samples are older than retention"

MOST_PIECES: Final = 10_000
"""Stretches in which the stored numbers of one life may lie: each transaction writes them all."""
SHREDDED: Final = (
    "the stored numbers of its source's life lie in 10000 pieces: it skips numbers; a restart begins a new one"
)


@dataclass(slots=True, eq=False)  # not frozen: that makes making one three times as dear, and one is made a record
class Arrival:
    """One record, and the key it came under. Nobody changes it."""

    key: bytes
    header: Header
    record: memoryview

    @property
    def life_key(self) -> tuple[bytes, int]:
        """(source's 16 bytes, boot), as acknowledgements name it."""
        return (self.header.source, self.header.boot)


@dataclass(slots=True, eq=False)  # not frozen, as above
class Admitted:
    """A record that is to be stored, with its source as the server knows it. Nobody changes it."""

    arrival: Arrival
    source: Source

    @property
    def life(self) -> Life:
        """(source id, boot)."""
        return (self.source.id, self.arrival.header.boot)


@dataclass(frozen=True, slots=True, eq=False)
class Refused:
    """A record that never will be stored. `source` is None when it is not ours to keep an account of.

    With it go all numbers of its life from `first` to `last`, itself among them; None: only its own.
    """

    arrival: Arrival
    source: Source | None
    reason: str
    first: int | None = None
    last: int | None = None


@dataclass(slots=True)
class Screened:
    """A gathered group, sorted by what becomes of each record.

    `repeated`: others were stored, or are admitted, under their numbers. A number does not tell whether those were the
    same: the store does (server/ingest/repeats.py). `duplicates` have ended for certain.
    """

    admitted: list[Admitted] = field(default_factory=list)
    repeated: list[Admitted] = field(default_factory=list)
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


def believable(now_us: int, kept_for: timedelta) -> Horizon:
    """Return what is believed now: nothing older than anything is kept, nothing more than ten minutes ahead.

    The longest retention counts for every item: a record holds many, and each item's own would be asked of each value.
    """
    return Horizon(oldest_us=now_us - kept_for // timedelta(microseconds=1), newest_us=now_us + AHEAD_US)


def screen(arrivals: Sequence[Arrival], ledger: Ledger, directory: Directory, horizon: Horizon) -> Screened:
    """Sort the arrivals. Nothing is remembered: the ledger changes when what was admitted has been committed.

    A record that arrived twice within the group is taken once. An unauthorised one is refused, but not in its
    source's account: nobody can have another source's numbers refused by sending them.
    """
    result = Screened()
    runs = _find_runs(arrivals)
    plain = {life: _source_of_plain(run, ledger, directory, horizon) for life, run in runs.items()}
    taken: dict[tuple[bytes, int], _Taken] = {}
    for arrival in arrivals:
        header = arrival.header
        life = (header.source, header.boot)
        source = plain[life]
        if source is not None:
            result.admitted.append(Admitted(arrival, source))
        else:
            here = taken.setdefault(life, _Taken())
            _screen_one(arrival, here, ledger, directory, horizon, result)
    return result


@dataclass(slots=True, eq=False)
class _Run:
    """The records of one life in a group; `is_plain` while they are samples, numbered one by one, of one key."""

    key: bytes
    source: bytes
    boot: int
    first: int
    last: int
    oldest_us: int
    newest_us: int
    is_plain: bool


@dataclass(slots=True, eq=False)
class _Taken:
    """What the group has brought of one life: `numbers` not stored before, and all records taken, by number."""

    numbers: RangeSet = field(default_factory=RangeSet)
    records: dict[int, list[Arrival]] = field(default_factory=dict)

    def has(self, arrival: Arrival) -> bool:
        """Tell whether this very record is there."""
        return any(arrival.record == other.record for other in self.records.get(arrival.header.number, ()))

    def add(self, arrival: Arrival) -> None:
        """Take a record."""
        self.records.setdefault(arrival.header.number, []).append(arrival)


def _find_runs(arrivals: Sequence[Arrival]) -> dict[tuple[bytes, int], _Run]:
    runs: dict[tuple[bytes, int], _Run] = {}
    for arrival in arrivals:
        header = arrival.header
        number, oldest, newest = header.number, header.base_at, header.base_at + header.span
        life = (header.source, header.boot)
        run = runs.get(life)
        if run is None:
            is_plain = header.kind is Kind.VALUES
            runs[life] = _Run(arrival.key, header.source, header.boot, number, number, oldest, newest, is_plain)
            continue
        if number != run.last + 1 or header.kind is not Kind.VALUES or arrival.key != run.key:
            run.is_plain = False
        run.last = number
        run.oldest_us = min(oldest, run.oldest_us)
        run.newest_us = max(newest, run.newest_us)
    return runs


def _source_of_plain(run: _Run, ledger: Ledger, directory: Directory, horizon: Horizon) -> Source | None:
    """Return the source of a run against none of whose records anything speaks; None when each has to be looked at.

    Its first and last instants speak for those between: what may be relayed and believed is an interval.
    """
    if not run.is_plain or run.oldest_us < horizon.oldest_us or run.newest_us > horizon.newest_us:
        return None
    if not directory.may_relay(run.key, run.source, run.oldest_us, run.newest_us):
        return None
    source = directory.sources[run.source]
    account = ledger.account((source.id, run.boot))
    if _is_shredded(account, RangeSet(), run.first):
        return None
    has_ended = any(ended.common([(run.first, run.last)]) for ended in (account.stored, account.refused))
    return None if has_ended else source


def _screen_one(
    arrival: Arrival, here: _Taken, ledger: Ledger, directory: Directory, horizon: Horizon, result: Screened
) -> None:
    header = arrival.header
    objection = directory.objection(arrival.key, header.source, header.base_at)
    if objection is not None and header.kind not in (Kind.VALUES, Kind.TEXTS):
        # No sample: whoever may relay the source now may say what its item numbers mean.
        objection = directory.objection(arrival.key, header.source, horizon.newest_us)
    if objection is not None:
        result.refused.append(Refused(arrival, None, objection))
        return
    source = directory.sources[header.source]
    account = ledger.account((source.id, header.boot))
    if header.number in account.refused or here.has(arrival):
        result.duplicates.append(arrival)
        return
    disbelief = _disbelief(header, horizon)
    if header.number in account.stored or header.number in here.numbers:
        here.add(arrival)
        if disbelief is None:
            result.repeated.append(Admitted(arrival, source))
        elif disbelief == TOO_OLD:  # it was stored in its time, or would be refused
            result.duplicates.append(arrival)
        else:
            result.refused.append(Refused(arrival, source, disbelief))
        return
    if _is_shredded(account, here.numbers, header.number):
        first, last = _gap_around(header.number, account.stored, here.numbers)
        result.refused.append(Refused(arrival, source, SHREDDED, first, last))
        return
    here.numbers.add(header.number, header.number)
    here.add(arrival)
    if disbelief is None:
        result.admitted.append(Admitted(arrival, source))
    else:
        result.refused.append(Refused(arrival, source, disbelief))


def _is_shredded(account: Account, here: RangeSet, number: int) -> bool:
    """Tell whether this number would make one piece more of a life that has as many as are kept."""
    if len(account.stored) + len(here) < MOST_PIECES:
        return False
    return not any(beside in known for beside in (number - 1, number + 1) for known in (account.stored, here))


def _gap_around(number: int, stored: RangeSet, here: RangeSet) -> tuple[int, int]:
    """Return the stretch of numbers not stored in which a number lies; above the highest it ends with it."""
    bounds = [known.around(number) for known in (stored, here)]
    ends = [last for _, last in bounds if last is not None]
    return max(first for first, _ in bounds), min(ends, default=number)


def numbers_of(arrivals: Iterable[Arrival]) -> dict[tuple[bytes, int], RangeSet]:
    """Return the arrivals' numbers as acknowledgements name them: ranges by (source's 16 bytes, boot)."""
    open_runs: dict[tuple[bytes, int], tuple[int, int]] = {}
    numbers: dict[tuple[bytes, int], RangeSet] = {}
    for arrival in arrivals:
        header = arrival.header
        life, number = (header.source, header.boot), header.number
        first, last = open_runs.get(life, (number, number - 1))
        if number != last + 1:
            numbers.setdefault(life, RangeSet()).add(first, last)
            first = number
        open_runs[life] = (first, number)
    for life, (first, last) in open_runs.items():
        numbers.setdefault(life, RangeSet()).add(first, last)
    return numbers


def _disbelief(header: Header, horizon: Horizon) -> str | None:
    if header.kind not in (Kind.VALUES, Kind.TEXTS):
        return None
    if header.base_at + header.span > horizon.newest_us:
        return "its samples lie more than ten minutes in the future"
    if header.base_at < horizon.oldest_us:
        return TOO_OLD
    return None
