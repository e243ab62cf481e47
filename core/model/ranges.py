"""Sets of numbers kept as closed ranges: what was issued, received, stored or lost."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NumberRange = tuple[int, int]


class RangeSet:
    """A set of integers held as sorted, disjoint, non-adjacent closed ranges `(first, last)`.

    Adding at the end costs O(1), elsewhere O(log n) plus the move of the list's tail; n is the number of ranges,
    which stays near one as long as numbers arrive in order.
    """

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, ranges: Iterable[NumberRange] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in ranges:
            self.add(first, last)

    def add(self, first: int, last: int) -> None:
        """Add every number from `first` to `last`, both included. Raises ValueError when they are reversed."""
        if last < first:
            raise ValueError(f"range {first}..{last} is reversed")
        if not self._firsts or first > self._lasts[-1] + 1:
            self._firsts.append(first)
            self._lasts.append(last)
            return
        begin = bisect_left(self._lasts, first - 1)
        end = bisect_right(self._firsts, last + 1)
        if begin < end:
            first = min(first, self._firsts[begin])
            last = max(last, self._lasts[end - 1])
        self._firsts[begin:end] = [first]
        self._lasts[begin:end] = [last]

    def remove(self, first: int, last: int) -> None:
        """Take out every number from `first` to `last`; numbers that are not in the set do not matter."""
        if last < first:
            raise ValueError(f"range {first}..{last} is reversed")
        begin = bisect_left(self._lasts, first)
        end = bisect_right(self._firsts, last)
        if begin >= end:
            return
        left = (self._firsts[begin], first - 1)
        right = (last + 1, self._lasts[end - 1])
        kept = [piece for piece in (left, right) if piece[0] <= piece[1]]
        self._firsts[begin:end] = [piece[0] for piece in kept]
        self._lasts[begin:end] = [piece[1] for piece in kept]

    def update(self, ranges: Iterable[NumberRange]) -> None:
        """Add every range of `ranges`."""
        for first, last in ranges:
            self.add(first, last)

    def __contains__(self, number: int) -> bool:
        place = bisect_left(self._lasts, number)
        return place < len(self._firsts) and self._firsts[place] <= number

    def covers(self, first: int, last: int) -> bool:
        """Tell whether every number from `first` to `last` is in the set."""
        place = bisect_left(self._lasts, first)
        return place < len(self._firsts) and self._firsts[place] <= first and last <= self._lasts[place]

    def missing(self, first: int, last: int) -> RangeSet:
        """Return the numbers from `first` to `last` that are not in the set."""
        gaps = RangeSet([(first, last)]) if first <= last else RangeSet()
        place = bisect_left(self._lasts, first)
        while place < len(self._firsts) and self._firsts[place] <= last:
            gaps.remove(self._firsts[place], self._lasts[place])
            place += 1
        return gaps

    def around(self, number: int) -> tuple[int, int | None]:
        """Return the stretch of missing numbers, from 1 on, in which a missing one lies; None: it has no end."""
        place = bisect_left(self._lasts, number)
        first = self._lasts[place - 1] + 1 if place else 1
        return first, self._firsts[place] - 1 if place < len(self._firsts) else None

    def common(self, ranges: Iterable[NumberRange]) -> RangeSet:
        """Return the numbers that are in the set and in one of `ranges`."""
        both = RangeSet()
        for first, last in ranges:
            place = bisect_left(self._lasts, first)
            while place < len(self._firsts) and self._firsts[place] <= last:
                both.add(max(first, self._firsts[place]), min(last, self._lasts[place]))
                place += 1
        return both

    def without(self, ranges: Iterable[NumberRange]) -> RangeSet:
        """Return the numbers of the set that are in none of `ranges`."""
        rest = self.copy()
        for first, last in ranges:
            rest.remove(first, last)
        return rest

    def copy(self) -> RangeSet:
        """Return an independent copy."""
        twin = RangeSet()
        twin._firsts = self._firsts.copy()
        twin._lasts = self._lasts.copy()
        return twin

    @property
    def lowest(self) -> int:
        """The smallest number in the set; 0 when it is empty."""
        return self._firsts[0] if self._firsts else 0

    @property
    def highest(self) -> int:
        """The largest number in the set; 0 when it is empty (numbers start at 1)."""
        return self._lasts[-1] if self._lasts else 0

    @property
    def count(self) -> int:
        """How many numbers the set holds."""
        return sum(self._lasts) - sum(self._firsts) + len(self._firsts)

    def __iter__(self) -> Iterator[NumberRange]:
        return iter(list(zip(self._firsts, self._lasts, strict=True)))

    def __len__(self) -> int:
        return len(self._firsts)

    def __bool__(self) -> bool:
        return bool(self._firsts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RangeSet):
            return NotImplemented
        return self._firsts == other._firsts and self._lasts == other._lasts

    __hash__ = None  # type: ignore[assignment]  # mutable, so not hashable

    def __repr__(self) -> str:
        return f"RangeSet({list(self)!r})"
