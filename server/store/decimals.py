"""Runs of float64 as integers: thousandths, hundredths or whole numbers where they are such, else their bits. Exact."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_DECIMALS: Final = 9
BITS: Final = 255
"""In place of a number of decimals: the integers are the floats' own bits."""
_SAMPLED: Final = 3


def to_integers(values: NDArray[np.float64], counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the runs of `counts` values (none empty) as integers, and each run's number of decimals, or BITS.

    A run has d decimals when each of its values is the float64 nearest to some integer below 2**53 over 10**d: what
    division by 10**d gives back bit for bit. Not-a-number, infinities, -0.0 and unrounded fractions go by their bits.
    """
    integers = values.view(np.int64).copy()
    decimals = np.full(len(counts), BITS, dtype=np.int64)
    begins = np.cumsum(counts) - counts
    # Most runs that are not round show it in their first, middle or last value: only the others are looked at whole.
    looked = np.stack([begins + (counts - 1) * part // (_SAMPLED - 1) for part in range(_SAMPLED)], axis=1)
    looked_at = values[looked]
    rows = np.repeat(np.arange(len(counts)), counts)
    for places in range(MAX_DECIMALS + 1):
        open_runs = (decimals == BITS) & _scaled(looked_at, places)[1].all(axis=1)
        if not open_runs.any():
            continue
        where = np.flatnonzero(open_runs[rows])
        scaled, is_exact = _scaled(values[where], places)
        fits = np.logical_and.reduceat(is_exact, _begins(counts[open_runs]))
        decimals[np.flatnonzero(open_runs)[fits]] = places
        chosen = np.repeat(fits, counts[open_runs])
        integers[where[chosen]] = scaled[chosen]
    return integers, decimals


def from_integers(
    integers: NDArray[np.int64], counts: NDArray[np.int64], decimals: NDArray[np.int64]
) -> NDArray[np.float64]:  # fmt: skip
    """Return the values `to_integers` was given."""
    values = integers.view(np.float64).copy()
    for places in np.unique(decimals[decimals != BITS]).tolist():
        chosen = np.repeat(decimals == places, counts)
        values[chosen] = integers[chosen] / 10.0**places
    return values


def _begins(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    begins: NDArray[np.int64] = np.cumsum(counts) - counts
    return begins


def _scaled(values: NDArray[np.float64], places: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the values times 10**places as integers, and where those give the value back bit for bit."""
    with np.errstate(invalid="ignore", over="ignore"):  # not-a-number and infinities: found out below
        scaled = np.rint(values * 10.0**places)
        integers = np.where(np.abs(scaled) < 2.0**53, scaled, 0.0).astype(np.int64)
    return integers, (integers / 10.0**places).view(np.int64) == values.view(np.int64)
