"""Sampled verification: each time another random share of a set's files, so that all are read in the end."""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """Which files are read. share: of all, above 0, at most 1.

    seed: makes the order of the files, which nobody else knows. after: where in that order the last sample ended.
    always: files that are read whatever their turn, since they were damaged when they were last read.
    """

    share: float
    seed: str
    after: str = ""
    always: frozenset[str] = frozenset()

    def choose(self, names: Iterable[str]) -> tuple[frozenset[str], str]:
        """Return what is read now, one file at least where there is one; and where that ends, as the next `after`.

        Of n files that stay the same, all have been read after 1 / share samples; those that come take a turn each.
        """
        order = sorted((self._place(name), name) for name in names)
        if not order:
            return frozenset(), self.after
        count = math.ceil(self.share * len(order))
        start = bisect_right(order, (self.after, "\U0010ffff"))
        turn = (order[start:] + order[:start])[:count]
        damaged = self.always.intersection(name for _, name in order)
        return damaged.union(name for _, name in turn), turn[-1][0]

    def _place(self, name: str) -> str:
        return hashlib.sha256(f"{self.seed}/{name}".encode()).hexdigest()
