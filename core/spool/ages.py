"""Finds places among segments without reading all of them: where the present begins, where dictionaries lie."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from core.spool.position import Position

if TYPE_CHECKING:
    from collections.abc import Sequence

    from core.spool.segment import Segment
    from core.spool.shelf import Shelf


def first_since(shelf: Shelf, segments: Sequence[Segment], instant: int, begin: Position) -> Position:
    """Return the first record at or after `begin` that ends at `instant` or later; see Spool.first_since."""
    for segment in segments:
        if segment.newest_at >= instant:
            offset = begin.offset if segment.number == begin.segment else 0
            low = shelf.reading(segment, partial(segment.first_since, instant, offset))
            if low < segment.end:
                return Position(segment.number, low)
    return shelf.end


def control_between(segments: Sequence[Segment], begin: Position, until: Position) -> list[tuple[Position, Position]]:
    """Return the stretches of records that are not samples, from `begin` to `until`, of the segments between them."""
    stretches = []
    for segment in segments:
        low = segment.present(begin.offset) if segment.number == begin.segment else 0
        high = segment.present(until.offset) if segment.number == until.segment else segment.end
        for first, last in segment.control:
            if max(first, low) < min(last, high):
                stretches.append((Position(segment.number, max(first, low)), Position(segment.number, min(last, high))))
    return stretches
