"""Places in a spool, and what lies between two of them."""

from __future__ import annotations

from dataclasses import dataclass

Key = tuple[bytes, int]
"""(source, boot): what records are numbered under."""


Missing = tuple[bytes, int, int, int]
"""(source, boot, first, last)"""


@dataclass(frozen=True, order=True, slots=True)
class Position:
    """A place between two records; comparable, meaningful only to the spool that gave it and only while it is open."""

    segment: int
    offset: int


@dataclass(frozen=True, slots=True)
class Slice:
    """Whole records as they lie in the spool, and the place after them to read on from."""

    begin: Position
    end: Position
    data: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Damage:
    """Bytes of a segment file that are no record; they are skipped.

    `missing` names the records that lay there where that is certain, as (source, boot, first, last): the numbers
    between the records before and after. In the spool of one source nothing else can have lain there.
    """

    file: str
    offset: int
    bytes: int
    reason: str
    missing: tuple[Missing, ...] = ()

    @property
    def records(self) -> int:
        """How many records are known to be missing, at least one."""
        return max(1, sum(last - first + 1 for _, _, first, last in self.missing))
