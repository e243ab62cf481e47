"""Runs of unsigned numbers in as many bits as their run needs: numpy over many runs at once, pure.

A run is a stretch of a column, here one item's hour. Its numbers lie one after the other, most significant bit first,
and a run is filled up with zeros to a multiple of eight numbers, so that it ends with a whole byte whatever the width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

GROUP = 8
"""Numbers in a run are filled up to a multiple of this."""
MAX_WIDTH = 64
_CONTAINERS = (8, 16, 32, 64)


def lengths_of(numbers: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return how many bits each number needs; at most one too many, where a float64 rounds it up."""
    exponents = (numbers.astype(np.float64).view(np.int64) >> 52) - 1022
    return np.clip(exponents, 0, MAX_WIDTH, out=exponents)


def sizes_of(counts: NDArray[np.int64], widths: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return how many bytes runs of so many numbers take in so many bits each."""
    sizes: NDArray[np.int64] = (counts + GROUP - 1) // GROUP * widths
    return sizes


def pack_runs(
    numbers: NDArray[np.uint64], counts: NDArray[np.int64], widths: NDArray[np.int64]
) -> tuple[bytes, NDArray[np.int64]]:
    """Pack the runs of `counts` numbers in `widths` bits each; bits above a run's width are left out.

    Returns one buffer and where each run begins in it; how long it is, `sizes_of` says.
    """
    order, places, filled = _arrange(counts, widths)
    grouped = np.zeros(int(filled.sum()), dtype=np.uint64)
    grouped[places] = numbers
    pieces: list[bytes] = []
    begin = 0
    for width, length in _widths(widths[order], filled[order]):
        pieces.append(_pack(grouped[begin : begin + length], width))
        begin += length
    sizes = sizes_of(counts, widths)
    begins = np.empty(len(counts), dtype=np.int64)
    begins[order] = np.cumsum(sizes[order]) - sizes[order]
    return b"".join(pieces), begins


def unpack_runs(
    runs: Sequence[bytes], counts: NDArray[np.int64], widths: NDArray[np.int64]
) -> NDArray[np.uint64]:  # fmt: skip
    """Return the numbers of all runs after each other; each of `runs` has the length `sizes_of` says."""
    order, places, filled = _arrange(counts, widths)
    buffer = b"".join([runs[row] for row in order.tolist()])
    grouped = np.zeros(int(filled.sum()), dtype=np.uint64)
    begin = at = 0
    for width, length in _widths(widths[order], filled[order]):
        size = length // GROUP * width
        if width:
            _unpack(np.frombuffer(buffer, np.uint8, size, at), width, grouped[begin : begin + length])
        begin, at = begin + length, at + size
    return grouped[places]


def _arrange(
    counts: NDArray[np.int64], widths: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the runs' order by width, where each number lies when filled up in that order, and the filled lengths."""
    order = np.argsort(widths, kind="stable")
    filled = (counts + GROUP - 1) // GROUP * GROUP
    begins = np.empty(len(counts), dtype=np.int64)
    begins[order] = np.cumsum(filled[order]) - filled[order]
    shifts = begins - (np.cumsum(counts) - counts)
    places = np.arange(int(counts.sum()), dtype=np.int64) + np.repeat(shifts, counts)
    return order, places, filled


def _widths(widths: NDArray[np.int64], filled: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return (width, numbers of that width) of runs ordered by width."""
    if not len(widths):
        return []
    begins = np.flatnonzero(np.diff(widths, prepend=-1))
    return list(zip(widths[begins].tolist(), np.add.reduceat(filled, begins).tolist(), strict=True))


def _container(width: int) -> int:
    return next(bits for bits in _CONTAINERS if bits >= width)


def _pack(numbers: NDArray[np.uint64], width: int) -> bytes:
    if width == 0:
        return b""
    bits = _container(width)
    whole: NDArray[Any] = numbers.astype(f">u{bits // 8}")
    if width == bits:
        return whole.tobytes()
    spread = np.unpackbits(whole.view(np.uint8)).reshape(-1, bits)
    return np.packbits(spread[:, bits - width :]).tobytes()


def _unpack(packed: NDArray[np.uint8], width: int, out: NDArray[np.uint64]) -> None:
    bits = _container(width)
    if width == bits:
        out[:] = packed.view(f">u{bits // 8}")
        return
    spread = np.zeros((len(out), bits), dtype=np.uint8)
    spread[:, bits - width :] = np.unpackbits(packed).reshape(-1, width)
    out[:] = np.packbits(spread).view(f">u{bits // 8}")
