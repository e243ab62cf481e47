"""Gaps are what is not stored, whatever the order in which records come, each between its true neighbours' instants."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.model.gaps import Gap, Gaps, Run, runs_of
from core.model.ranges import RangeSet

NUMBERS = st.permutations(range(1, 31)).flatmap(lambda order: st.integers(0, 30).map(lambda n: order[:n]))


def begin(number: int) -> int:
    return number * 10


def end(number: int) -> int:
    return number * 10 + 5


def expected(stored: set[int]) -> list[Gap]:
    ranges = RangeSet((number, number) for number in stored)
    return [
        Gap(first, last, end(first - 1) if first > 1 else None, begin(last + 1))
        for first, last in ranges.missing(1, ranges.highest)
    ]


@given(NUMBERS, st.lists(st.integers(1, 6)))
def test_after_every_group_the_gaps_are_those_between_stored_neighbours(order: list[int], sizes: list[int]) -> None:
    gaps, stored = Gaps(), set[int]()
    while order:
        group, order = order[: (size := sizes.pop() if sizes else 1)], order[size:]
        for run in runs_of((number, begin(number), end(number)) for number in group):
            gaps = gaps.after(run)
        stored.update(group)
        assert list(gaps.gaps) == expected(stored)
        assert (gaps.highest, gaps.newest_us) == (max(stored), end(max(stored)))
        ranges = RangeSet((number, number) for number in stored)
        assert Gaps.of(ranges, gaps.gaps, gaps.newest_us) == gaps, "read back they are the same"


@given(NUMBERS, NUMBERS)
def test_what_is_stored_once_more_changes_nothing(first: list[int], again: list[int]) -> None:
    gaps = Gaps()
    for number in first:
        gaps = gaps.after(Run(number, number, begin(number), end(number)))
    for number in again:
        if number in first and number != gaps.highest:
            assert gaps.after(Run(number, number, begin(number), end(number))) == gaps


def test_a_gap_nobody_noted_keeps_the_instants_of_the_one_it_lay_in() -> None:
    stored = RangeSet([(1, 4), (7, 8), (12, 12)])
    known = [Gap(5, 10, 45, 110)]  # 7 and 8 were stored by a version that notes no gaps
    assert Gaps.of(stored, known, 125).gaps == (Gap(5, 6, 45, 110), Gap(9, 11))
