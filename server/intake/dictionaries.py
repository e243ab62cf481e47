"""What a source's item numbers mean: for each of its lives, a table from its numbers to the server's items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from server.intake.ledger import Life
    from server.store.dictionary import DictionaryEntries

NO_ITEM = 0
"""What an unused number maps to; the database's item ids begin at 1."""
FOREIGN_ITEM = -1
"""What a number maps to whose item the source may not speak of."""
AMBIGUOUS_ITEM = -2
"""What the store keeps of a number that its source gave two meanings: none is right any more."""
MAX_ITEM_NUMBER = 4_000_000


class UnknownItem(ValueError):
    """A batch names an item number its source never declared; the message says which."""


@dataclass(frozen=True, slots=True, eq=False)
class Lookup:
    """The dictionary of one life at `version`: `items[n]` is the server's item for the source's number n, int32.

    `structured`: the source's numbers whose values are documents. `ambiguous`: those that were given two meanings; they
    are NO_ITEM in `items`.
    """

    version: int
    items: NDArray[np.int32]
    structured: frozenset[int] = frozenset()
    ambiguous: frozenset[int] = frozenset()

    def translate(self, numbers: NDArray[np.uint32]) -> NDArray[np.int32]:
        """Return the server's items, int32[n]; FOREIGN_ITEM where it may not speak of one. Raises UnknownItem."""
        if len(numbers) and int(numbers.max()) < len(self.items):
            found = self.items[numbers]
            if found.all():
                return found
            unknown = int(numbers[found == NO_ITEM][0])
        else:
            unknown = int(numbers.max(initial=0))
        if unknown in self.ambiguous:
            raise UnknownItem(
                f"item number {unknown} means two things in this life of its source, which was set back to a snapshot;"
                " a restart begins a new life"
            )
        raise UnknownItem(f"item number {unknown} is not in the source's dictionary up to version {self.version}")

    def extended(self, entries: DictionaryEntries) -> Lookup:
        """Return the lookup with one more dictionary record; numbers keep their first meaning, or lose it for good.

        Only a number that was refused may get one.
        """
        highest = max(entries.numbers, default=0)
        if highest > MAX_ITEM_NUMBER:
            raise UnknownItem(f"item number {highest} exceeds the limit of {MAX_ITEM_NUMBER}")
        items = np.zeros(max(len(self.items), highest + 1), np.int32)
        numbers = np.asarray(entries.numbers, np.int64)
        items[numbers] = np.asarray(entries.items, np.int32)
        known = self.items > NO_ITEM
        items[: len(self.items)][known] = self.items[known]
        ambiguous = self.ambiguous.union(numbers[np.asarray(entries.items, np.int32) == AMBIGUOUS_ITEM].tolist())
        items[list(ambiguous)] = NO_ITEM
        structured = self.structured.union(entries.structured)
        return Lookup(max(self.version, entries.version), items, structured, ambiguous)


EMPTY = Lookup(0, np.zeros(1, np.int32))


class Dictionaries:
    """The lookups of the lives heard lately. One that is not here is read from the store before it is needed."""

    def __init__(self) -> None:
        self._lookups: dict[Life, Lookup] = {}

    def unread(self, lives: Iterable[Life]) -> list[Life]:
        """Return those of the lives whose dictionary was never read from the store."""
        return [life for life in dict.fromkeys(lives) if life not in self._lookups]

    def read(self, lives: Iterable[Life], stored: Sequence[DictionaryEntries]) -> None:
        """Take over what the store holds for these lives, which may be nothing."""
        for life in lives:
            self._lookups[life] = EMPTY
        self.commit(stored)

    def lookup(self, life: Life) -> Lookup:
        """Return the life's lookup as committed; empty when nothing is known."""
        return self._lookups.get(life, EMPTY)

    def commit(self, entries: Iterable[DictionaryEntries]) -> None:
        """Add dictionary records whose transaction has committed."""
        for each in entries:
            life = (each.source_id, each.boot)
            self._lookups[life] = self.lookup(life).extended(each)
