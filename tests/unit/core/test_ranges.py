"""Ranges behave as sets of numbers."""

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
    assert all(last + 1 < first for (_, last), (first, _) in zip(listed, listed[1:], strict=False)), "touching ranges"
    assert ranges.count == len(numbers)
    assert ranges.highest == max(numbers, default=0)
    assert {n for n in range(1, 80) if n in ranges} == numbers
    assert {n for first, last in ranges.missing(1, 80) for n in range(first, last + 1)} == set(range(1, 81)) - numbers
