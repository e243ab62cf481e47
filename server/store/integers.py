"""Runs of integers made small: what a run's neighbours have in common is said once, the rest in few bits. Pure numpy.

Everything counts modulo 2**64, so any int64 comes back exactly. A run is written as its first number, a shift (zeros
that all its differences end with), a form, and for each number a residual; of the forms the one that takes the fewest
bytes is chosen. A few residuals much larger than the others (a pause, a counter that began anew) are exceptions: their
upper bits are written apart, so that they do not widen the whole run.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from server.store.bits import MAX_WIDTH, lengths_of, sizes_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

EXCEPTION_BYTES = 10
"""An exception's place (u16) and upper bits (u64)."""
MAX_PLACES = 1 << 16
"""A longer run has no exceptions: their places are u16."""


class Form(IntEnum):
    """What the residuals of a run are; y is the shifted difference to its first number, d the step from the one before.

    LEVEL: y - base. STEPS: d - base. ZIGZAG: d, its sign in the lowest bit. LINE: y - base - place * step.
    """

    LEVEL = 0
    STEPS = 1
    ZIGZAG = 2
    LINE = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Runs:
    """Runs of one column, written small. All but `residuals` and the exceptions have one entry a run.

    `residuals` uint64[n], of which `widths` bits count; `exceptions`: how many a run has, `places` uint16 within the
    run and `uppers` uint64, what stands above the width, of all runs after each other.
    """

    firsts: NDArray[np.int64]
    shifts: NDArray[np.int64]
    forms: NDArray[np.int64]
    bases: NDArray[np.int64]
    steps: NDArray[np.int64]
    widths: NDArray[np.int64]
    residuals: NDArray[np.uint64]
    exceptions: NDArray[np.int64]
    places: NDArray[np.uint16]
    uppers: NDArray[np.uint64]


@dataclass(slots=True, eq=False)
class _Shape:
    """Where the runs of a column lie: each one's begin and count, and for each number its run and place in it."""

    counts: NDArray[np.int64]
    begins: NDArray[np.int64]
    rows: NDArray[np.int64]

    @classmethod
    def of(cls, counts: NDArray[np.int64]) -> _Shape:
        return cls(counts, np.cumsum(counts) - counts, np.repeat(np.arange(len(counts)), counts))

    def spread(self, each: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give every number what its run has."""
        return each[self.rows]

    def places(self) -> NDArray[np.int64]:
        return np.arange(len(self.rows), dtype=np.int64) - self.spread(self.begins)


def write_runs(numbers: NDArray[np.int64], counts: NDArray[np.int64], forms: Sequence[Form]) -> Runs:
    """Write the runs of `counts` numbers (none empty), each in that of `forms` which is smallest for it."""
    shape = _Shape.of(counts)
    firsts = numbers[shape.begins]
    levels = numbers - shape.spread(firsts)
    shifts = _common_zeros(np.bitwise_or.reduceat(levels, shape.begins))
    levels >>= shape.spread(shifts)
    chosen: tuple[NDArray[np.int64], ...] | None = None
    for form, bases, steps, residuals in _candidates(levels, shape, forms):
        lengths = lengths_of(residuals)
        widths, costs = _best_widths(lengths, shape)
        mine = (np.full(len(counts), form), bases, steps, widths, costs)
        if chosen is None:
            chosen, kept, kept_lengths = mine, residuals, lengths
            continue
        is_better = costs < chosen[-1]
        chosen = tuple(np.where(is_better, new, old) for new, old in zip(mine, chosen, strict=True))
        of_each = is_better[shape.rows]
        kept, kept_lengths = np.where(of_each, residuals, kept), np.where(of_each, lengths, kept_lengths)
    if chosen is None:
        raise ValueError("no form was offered")
    form_of, bases, steps, widths, _ = chosen
    where = np.flatnonzero(kept_lengths > shape.spread(widths))
    rows = shape.rows[where]
    return Runs(
        firsts=firsts, shifts=shifts, forms=form_of, bases=bases, steps=steps, widths=widths, residuals=kept,
        exceptions=np.bincount(rows, minlength=len(counts)),
        places=(where - shape.begins[rows]).astype(np.uint16),
        uppers=kept[where] >> widths[rows].astype(np.uint64),
    )  # fmt: skip


def read_runs(runs: Runs, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers `write_runs` was given. Places of exceptions must lie within their runs."""
    shape = _Shape.of(counts)
    residuals = runs.residuals.copy()
    rows = np.repeat(np.arange(len(counts)), runs.exceptions)
    where = shape.begins[rows] + runs.places
    # A width of 64 leaves nothing above, so its runs have no exceptions.
    residuals[where] |= runs.uppers << runs.widths[rows].astype(np.uint64)
    signed = residuals.view(np.int64)
    forms = shape.spread(runs.forms)
    zigzag = forms == Form.ZIGZAG
    if zigzag.any():
        folded = residuals[zigzag]
        signed[zigzag] = (folded >> np.uint64(1)).view(np.int64) ^ -(folded & np.uint64(1)).view(np.int64)
    signed += shape.spread(runs.bases)
    line = forms == Form.LINE
    if line.any():
        signed[line] += (shape.places() * shape.spread(runs.steps))[line]
    stepped = (forms == Form.STEPS) | zigzag
    if stepped.any():
        signed[shape.begins[(runs.forms == Form.STEPS) | (runs.forms == Form.ZIGZAG)]] = 0
        sums = np.cumsum(np.where(stepped, signed, 0))
        sums -= shape.spread(sums[shape.begins])
        signed = np.where(stepped, sums, signed)
    return (signed << shape.spread(runs.shifts)) + shape.spread(runs.firsts)


def _candidates(
    levels: NDArray[np.int64], shape: _Shape, forms: Sequence[Form]
) -> Iterator[tuple[Form, NDArray[np.int64], NDArray[np.int64], NDArray[np.uint64]]]:
    """Yield (form, bases, steps, residuals) of the forms asked for."""
    none = np.zeros(len(shape.counts), dtype=np.int64)
    if Form.LEVEL in forms:
        bases = np.minimum.reduceat(levels, shape.begins)
        yield Form.LEVEL, bases, none, (levels - shape.spread(bases)).view(np.uint64)
    if Form.LINE in forms:
        steps = levels[shape.begins + shape.counts - 1] // np.maximum(shape.counts - 1, 1)
        off = levels - shape.places() * shape.spread(steps)
        bases = np.minimum.reduceat(off, shape.begins)
        yield Form.LINE, bases, steps, (off - shape.spread(bases)).view(np.uint64)
    if Form.STEPS in forms or Form.ZIGZAG in forms:
        steps = np.diff(levels, prepend=np.int64(0))
        steps[shape.begins] = 0
    if Form.ZIGZAG in forms:
        yield Form.ZIGZAG, none, none, ((steps << 1) ^ (steps >> 63)).view(np.uint64)
    if Form.STEPS in forms:
        steps[shape.begins] = np.iinfo(np.int64).max  # a run's first number has no step: it shall not set the base
        bases = np.where(shape.counts > 1, np.minimum.reduceat(steps, shape.begins), 0)
        steps[shape.begins] = bases
        yield Form.STEPS, bases, none, (steps - shape.spread(bases)).view(np.uint64)


def _common_zeros(either: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many zero bits each number ends with; none for 0."""
    lowest = (either & -either).view(np.uint64)
    return np.maximum(lengths_of(lowest) - 1, 0)


def _best_widths(lengths: NDArray[np.int64], shape: _Shape) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each run's width, and the bytes it takes with what is longer written as exceptions."""
    span = MAX_WIDTH + 1
    spread = np.bincount(shape.rows * span + lengths, minlength=len(shape.counts) * span).reshape(-1, span)
    longer = shape.counts[:, None] - np.cumsum(spread, axis=1)
    costs = sizes_of(shape.counts[:, None], np.arange(span)[None, :]) + longer * EXCEPTION_BYTES
    costs[(shape.counts[:, None] > MAX_PLACES) & (longer > 0)] = np.iinfo(np.int64).max
    widths = np.argmin(costs, axis=1)
    return widths, costs[np.arange(len(widths)), widths]
