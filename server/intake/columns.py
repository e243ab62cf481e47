"""The columns of values records, taken out of their bodies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.model.record import HEADER_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """The bodies of values records after each other.

    `items` u32[n] are the sources' own numbers, `offsets` u32[n] µs after each header's base, `values` f64[n].
    """

    items: npt.NDArray[np.uint32]
    offsets: npt.NDArray[np.uint32]
    values: npt.NDArray[np.float64]


def join_columns(records: Sequence[bytes | memoryview], counts: npt.NDArray[np.int64]) -> Columns:
    """Join the bodies of VALUES records of `counts` values; their lengths have been checked against the headers."""
    words = np.frombuffer(b"".join(records), "<u4")
    if (counts == counts[0]).all():  # the usual case: what one kind of source sends
        count = int(counts[0])
        rows = words.reshape(len(records), -1)[:, HEADER_BYTES // 4 :]
        values = np.ascontiguousarray(rows[:, 2 * count :]).view("<f8")
        return Columns(items=rows[:, :count].ravel(), offsets=rows[:, count : 2 * count].ravel(), values=values.ravel())
    sizes = HEADER_BYTES // 4 + 4 * counts
    bodies = np.cumsum(sizes) - sizes + HEADER_BYTES // 4
    shifts = np.repeat(bodies - (np.cumsum(counts) - counts), counts)
    items = np.arange(int(counts.sum()), dtype=np.int64) + shifts
    offsets = items + np.repeat(counts, counts)
    doubles = np.repeat(bodies + 2 * counts, counts) // 2 + (items - np.repeat(bodies, counts))
    return Columns(items=words[items], offsets=words[offsets], values=words.view("<f8")[doubles])
