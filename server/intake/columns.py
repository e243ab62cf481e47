"""The columns of a values record, mapped where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from core.model.record import HEADER_BYTES

if TYPE_CHECKING:
    import numpy.typing as npt

    from core.model.record import Header


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """A values record's body.

    `items` u32[n] are the source's own numbers, `offsets` u32[n] µs after the header's base, `values` f64[n].
    """

    items: npt.NDArray[np.uint32]
    offsets: npt.NDArray[np.uint32]
    values: npt.NDArray[np.float64]


def map_columns(record: bytes | memoryview, header: Header) -> Columns:
    """Map the body of a VALUES record without copying; its length has been checked against the header's count."""
    count = header.count
    return Columns(
        items=np.frombuffer(record, "<u4", count, HEADER_BYTES),
        offsets=np.frombuffer(record, "<u4", count, HEADER_BYTES + 4 * count),
        values=np.frombuffer(record, "<f8", count, HEADER_BYTES + 8 * count),
    )
