"""Where the numbers of a life jump: stretches that are not stored, and between which instants they lie. Pure."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from core.model.ranges import RangeSet


class Run(NamedTuple):
    """Records of consecutive numbers that were stored: first instant of the first, last instant of the last, µs."""

    first: int
    last: int
    begin_us: int | None = None
    end_us: int | None = None


class Gap(NamedTuple):
    """Numbers that are not stored, and the instants (µs) of their stored neighbours; None where nobody knows them."""

    first: int
    last: int
    after_us: int | None = None
    before_us: int | None = None


@dataclass(frozen=True, slots=True)
class Gaps:
    """The gaps of one life below its highest stored number, whose record ended at `newest_us`.

    Invariant: what lies in `gaps`, ascending and never adjacent, is exactly what is not stored of 1 … `highest`.
    """

    highest: int = 0
    newest_us: int | None = None
    gaps: tuple[Gap, ...] = ()

    @classmethod
    def of(cls, stored: RangeSet, known: Sequence[Gap], newest_us: int | None) -> Gaps:
        """Return the gaps in `stored`; instants come from the one of `known` (ascending) that a gap lies in, if any."""
        gaps = []
        for first, last in stored.missing(1, stored.highest):
            place = bisect_right(known, first, key=lambda gap: gap.first) - 1
            around = known[place] if place >= 0 and known[place].last >= last else Gap(first, last)
            gaps.append(around._replace(first=first, last=last))
        return cls(stored.highest, newest_us, tuple(gaps))

    def after(self, run: Run) -> Gaps:
        """Return the gaps once `run` is stored too."""
        if run.first == self.highest + 1:
            return Gaps(run.last, run.end_us, self.gaps)
        begin = bisect_left(self.gaps, run.first, key=lambda gap: gap.last)
        end = bisect_right(self.gaps, run.last, key=lambda gap: gap.first)
        pieces = [piece for gap in self.gaps[begin:end] for piece in _cut(gap, run)]
        gaps = (*self.gaps[:begin], *pieces, *self.gaps[end:])
        if run.last <= self.highest:
            return Gaps(self.highest, self.newest_us, gaps)
        if run.first > self.highest:
            gaps = (*gaps, Gap(self.highest + 1, run.first - 1, self.newest_us, run.begin_us))
        return Gaps(run.last, run.end_us, gaps)

    def skipped_until(self, runs: Iterable[Run]) -> int | None:
        """Return the first instant (µs) of the record behind the last gap that these runs, ascending, open; or None."""
        highest, until_us = self.highest, None
        for run in runs:
            if run.first > highest + 1 and run.begin_us is not None:
                until_us = max(run.begin_us, until_us or 0)
            highest = max(highest, run.last)
        return until_us


def _cut(gap: Gap, run: Run) -> list[Gap]:
    """Return what is left of a gap on both sides of a run."""
    pieces = []
    if gap.first < run.first:
        pieces.append(Gap(gap.first, run.first - 1, gap.after_us, run.begin_us))
    if gap.last > run.last:
        pieces.append(Gap(run.last + 1, gap.last, run.end_us, gap.before_us))
    return pieces


def runs_of(records: Iterable[tuple[int, int, int]]) -> list[Run]:
    """Return records, given as (number, first instant, last instant) in any order, as runs in ascending order."""
    runs: list[Run] = []
    first, last, first_us, last_us = 0, -1, 0, 0
    for number, begin_us, end_us in sorted(records):
        if number != last + 1:
            if last >= 0:
                runs.append(Run(first, last, first_us, last_us))
            first, first_us = number, begin_us
        last, last_us = number, end_us
    if last >= 0:
        runs.append(Run(first, last, first_us, last_us))
    return runs
