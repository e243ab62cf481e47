"""The cold form of history: one item's hour as a few hundred bytes, exact, described by itself, with a checksum.

Layout of version 1, little-endian: a header of 52 bytes (HEADER), the instants' residuals, the values' residuals
(bits, see server/store/bits.py), the exceptions of both (places u16, then upper bits u64, the instants' first).
Instants are µs from the middle of the hour. The SQL function `unpack_history` reads the same (server/store/migrations).

Why no general compressor: on what hosts say of themselves these forms take less than byte planes under zlib or zstd
(`python -m benchmarks.storage`), a whole slice is written and read by some dozens of numpy calls without one call a
row, and SQL, which has no inflate, can still read it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import numpy as np

from server.store.bits import MAX_WIDTH, pack_runs, sizes_of, unpack_runs
from server.store.decimals import BITS, MAX_DECIMALS, from_integers, to_integers
from server.store.errors import StoreError
from server.store.instants import HOUR_US, to_datetime
from server.store.integers import Form, Runs, read_runs, write_runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_log = logging.getLogger(__name__)

VERSION: Final = 1
HEADER: Final = np.dtype(
    [
        ("checksum", "<u4"),  # CRC-32 of all that follows
        ("version", "u1"),
        ("decimals", "u1"),
        ("count", "<u4"),
        ("at_form", "u1"), ("at_width", "u1"), ("at_shift", "u1"), ("at_exceptions", "<u2"),
        ("at_first", "<i4"), ("at_base", "<i8"), ("at_step", "<u4"),
        ("value_form", "u1"), ("value_width", "u1"), ("value_shift", "u1"), ("value_exceptions", "<u2"),
        ("value_first", "<i8"), ("value_base", "<i8"),
    ]
)  # fmt: skip
_CHECKSUM_BYTES: Final = 4
_INSTANT_FORMS: Final = (Form.LINE, Form.STEPS)
_VALUE_FORMS: Final = (Form.LEVEL, Form.STEPS, Form.ZIGZAG)


class ColdRowDamaged(StoreError):
    """A packed hour cannot be read; the message names item and hour and says what can be done."""


@dataclass(frozen=True, slots=True)
class ColdRow:
    """Where a packed hour belongs: `middle_us` is the middle of its hour, µs since 1970 UTC."""

    item: int
    middle_us: int
    packed: bytes


def write_cold(offsets: NDArray[np.int64], values: NDArray[np.float64], counts: NDArray[np.int64]) -> list[bytes]:
    """Return each run of `counts` samples (none empty) in the cold form.

    `offsets` µs from the middle of the run's hour, rising within a run and less than 2**31 from it.
    """
    if not len(counts):
        return []
    at = write_runs(offsets, counts, _INSTANT_FORMS)
    integers, decimals = to_integers(values, counts)
    value = write_runs(integers, counts, _VALUE_FORMS)
    headers = np.zeros(len(counts), dtype=HEADER)
    headers["version"], headers["decimals"], headers["count"] = VERSION, decimals, counts
    for name, runs in (("at", at), ("value", value)):
        for field in ("form", "width", "shift", "first", "base"):
            headers[f"{name}_{field}"] = getattr(runs, f"{field}s")
        headers[f"{name}_exceptions"] = runs.exceptions
    headers["at_step"] = at.steps
    pieces = [_cut_bytes(headers.tobytes(), np.full(len(counts), HEADER.itemsize))]
    pieces += [_bits_of(runs, counts) for runs in (at, value)]
    for runs in (at, value):
        pieces.append(_cut_bytes(runs.places.astype("<u2").tobytes(), runs.exceptions * 2))
        pieces.append(_cut_bytes(runs.uppers.astype("<u8").tobytes(), runs.exceptions * 8))
    rows = []
    for parts in zip(*pieces, strict=True):
        row = b"".join(parts)[_CHECKSUM_BYTES:]
        rows.append(crc32(row).to_bytes(_CHECKSUM_BYTES, "little") + row)
    return rows


def read_cold(rows: Sequence[ColdRow]) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Return the offsets and values of all rows after each other, and how many each has.

    Raises ColdRowDamaged for the first row that is not whole.
    """
    if not rows:
        return np.empty(0, np.int64), np.empty(0), np.empty(0, np.int64)
    for row in rows:
        _check_bytes(row)
    headers = np.frombuffer(b"".join([row.packed[: HEADER.itemsize] for row in rows]), dtype=HEADER)
    counts = headers["count"].astype(np.int64)
    sizes = [
        sizes_of(counts, headers["at_width"].astype(np.int64)),
        sizes_of(counts, headers["value_width"].astype(np.int64)),
        headers["at_exceptions"].astype(np.int64) * 2,
        headers["at_exceptions"].astype(np.int64) * 8,
        headers["value_exceptions"].astype(np.int64) * 2,
        headers["value_exceptions"].astype(np.int64) * 8,
    ]
    ends = np.cumsum([np.full(len(rows), HEADER.itemsize), *sizes], axis=0)
    _check_headers(rows, headers, ends[-1])
    parts = [[row.packed[begin:end] for row, (begin, end) in zip(rows, zip(*bounds, strict=True), strict=True)]
             for bounds in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)]  # fmt: skip
    at_bits, value_bits, at_places, at_uppers, value_places, value_uppers = parts
    at = _runs_of(headers, "at", at_bits, at_places, at_uppers)
    value = _runs_of(headers, "value", value_bits, value_places, value_uppers)
    _check_places(rows, at, counts)
    _check_places(rows, value, counts)
    values = from_integers(read_runs(value, counts), counts, headers["decimals"].astype(np.int64))
    return read_runs(at, counts), values, counts


def are_whole(rows: Sequence[ColdRow]) -> list[bool]:
    """Tell of each row whether it can be read, and log those that cannot: for whoever has to go on without them."""
    try:
        read_cold(rows)
    except ColdRowDamaged:
        return [_is_whole(row) for row in rows]
    return [True] * len(rows)


def _is_whole(row: ColdRow) -> bool:
    try:
        read_cold([row])
    except ColdRowDamaged as error:
        _log.error("a damaged hour of history is left out", extra={"error": str(error)})
        return False
    return True


def _bits_of(runs: Runs, counts: NDArray[np.int64]) -> list[bytes]:
    buffer, begins = pack_runs(runs.residuals, counts, runs.widths)
    ends = begins + sizes_of(counts, runs.widths)
    return [buffer[begin:end] for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)]


def _cut_bytes(buffer: bytes, sizes: NDArray[np.int64]) -> list[bytes]:
    ends = np.cumsum(sizes)
    return [buffer[begin:end] for begin, end in zip((ends - sizes).tolist(), ends.tolist(), strict=True)]


def _runs_of(
    headers: NDArray[Any], name: str, bits: Sequence[bytes], places: Sequence[bytes], uppers: Sequence[bytes]
) -> Runs:  # fmt: skip
    counts, widths = headers["count"].astype(np.int64), headers[f"{name}_width"].astype(np.int64)
    steps = headers["at_step"] if name == "at" else np.zeros(len(headers))
    return Runs(
        firsts=headers[f"{name}_first"].astype(np.int64), shifts=headers[f"{name}_shift"].astype(np.int64),
        forms=headers[f"{name}_form"].astype(np.int64), bases=headers[f"{name}_base"].astype(np.int64),
        steps=steps.astype(np.int64), widths=widths, residuals=unpack_runs(bits, counts, widths),
        exceptions=headers[f"{name}_exceptions"].astype(np.int64),
        places=np.frombuffer(b"".join(places), "<u2"), uppers=np.frombuffer(b"".join(uppers), "<u8"),
    )  # fmt: skip


def _check_bytes(row: ColdRow) -> None:
    packed = row.packed
    if len(packed) < HEADER.itemsize:
        raise damaged(row, f"its {len(packed)} bytes are less than a header")
    if crc32(packed[_CHECKSUM_BYTES:]) != int.from_bytes(packed[:_CHECKSUM_BYTES], "little"):
        raise damaged(row, "its checksum does not match")
    if packed[_CHECKSUM_BYTES] != VERSION:
        raise damaged(row, f"its form has version {packed[_CHECKSUM_BYTES]}, this server knows {VERSION}")


def _check_headers(rows: Sequence[ColdRow], headers: NDArray[Any], ends: NDArray[np.int64]) -> None:
    """Refuse what no writer of this version makes, so that a row is either read right or not at all."""
    decimals = headers["decimals"]
    is_right = (headers["count"] > 0) & (ends == [len(row.packed) for row in rows])
    is_right &= (decimals <= MAX_DECIMALS) | (decimals == BITS)
    for name in ("at", "value"):
        is_right &= (headers[f"{name}_form"] <= max(Form)) & (headers[f"{name}_shift"] < MAX_WIDTH)
        width = headers[f"{name}_width"]
        is_right &= (width < MAX_WIDTH) | ((width == MAX_WIDTH) & (headers[f"{name}_exceptions"] == 0))
    if not is_right.all():
        raise damaged(rows[int(np.argmin(is_right))], "its header does not fit its length")


def _check_places(rows: Sequence[ColdRow], runs: Runs, counts: NDArray[np.int64]) -> None:
    owners = np.repeat(np.arange(len(rows)), runs.exceptions)
    outside = np.flatnonzero(runs.places >= counts[owners])
    if len(outside):
        raise damaged(rows[int(owners[outside[0]])], "an exception lies outside the hour")


def damaged(row: ColdRow, why: str) -> ColdRowDamaged:
    """Say which hour of which item cannot be read."""
    hour = to_datetime(row.middle_us - HOUR_US // 2)
    middle = to_datetime(row.middle_us)
    return ColdRowDamaged(
        f"the packed history of item {row.item} in the hour from {hour:%Y-%m-%d %H:%M} UTC is damaged: {why}. Bring its"
        f" row of the table history_packed (item_id {row.item}, at '{middle:%Y-%m-%d %H:%M}+00') back from a backup of"
        " the database, or delete that row to live with the gap."
    )
