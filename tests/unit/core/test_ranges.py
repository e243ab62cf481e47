"""Ranges behave as sets of numbers."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from core.model.ranges import RangeSet

SPANS = st.lists(st.tuples(st.booleans(), st.integers(1, 60), st.integers(0, 12)), max_size=40)


@given(SPANS)
def test_adding_and_removing_ranges_equals_adding_and_removing_every_number(steps: list[tuple[bool, int, int]]) -> None:
    ranges, numbers = RangeSet(), set[int]()
    for adding, first, length in steps:
        span = set(range(first, first + length + 1))
        if adding:
            ranges.add(first, first + length)
            numbers |= span
        else:
            ranges.remove(first, first + length)
            numbers -= span
    listed = list(ranges)
    assert {n for first, last in listed for n in range(first, last + 1)} == numbers
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(listed)), "touching ranges"
    assert ranges.count == len(numbers)
    assert ranges.highest == max(numbers, default=0)
    assert {n for n in range(1, 80) if n in ranges} == numbers
    assert {n for first, last in ranges.missing(1, 80) for n in range(first, last + 1)} == set(range(1, 81)) - numbers


@given(SPANS, SPANS)
def test_common_and_without_split_a_set_by_another(
    ours: list[tuple[bool, int, int]], theirs: list[tuple[bool, int, int]]
) -> None:
    left = RangeSet((first, first + length) for _, first, length in ours)
    right = [(first, first + length) for _, first, length in theirs]
    numbers = {n for first, last in left for n in range(first, last + 1)}
    others = {n for first, last in right for n in range(first, last + 1)}
    assert {n for first, last in left.common(right) for n in range(first, last + 1)} == numbers & others
    assert {n for first, last in left.without(right) for n in range(first, last + 1)} == numbers - others
    assert left.lowest == min(numbers, default=0)


def test_a_missing_number_lies_between_its_neighbours() -> None:
    known = RangeSet([(3, 4), (9, 9)])
    assert [known.around(number) for number in (1, 5, 8, 12)] == [(1, 2), (5, 8), (5, 8), (10, None)]
    assert RangeSet().around(7) == (1, None)
