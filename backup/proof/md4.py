"""MD4 of many short messages at once (RFC 1320): what duplicity's signatures hold of each block of a file.

OpenSSL 3 no longer offers it, and a call a message would cost more than the sum. Here it finds what differs by
accident, as librsync means it; against forgers stand the signed manifest and its SHA-256.
"""

from __future__ import annotations

import functools
import struct
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

CHUNK_BYTES: Final = 64
_START: Final = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
_ROUNDS: Final = (
    (0, (3, 7, 11, 19), tuple(range(16))),
    (0x5A827999, (3, 5, 9, 13), tuple(4 * low + high for high in range(4) for low in range(4))),
    (0x6ED9EBA1, (3, 9, 11, 15), (0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15)),
)


def padded(message: bytes) -> bytes:
    """Return a message as MD4 reads it: a whole number of chunks of 64 bytes."""
    return message + _padding(len(message))


@functools.lru_cache(maxsize=4096)
def _padding(length: int) -> bytes:
    zeros = -(length + 9) % CHUNK_BYTES
    return b"\x80" + bytes(zeros) + struct.pack("<Q", 8 * length)


def digests(messages: Sequence[bytes]) -> NDArray[np.uint8]:
    """Return the sums of padded messages, all of the same number of chunks: uint8, shape (messages, 16)."""
    count = len(messages)
    words = np.frombuffer(b"".join(messages), dtype="<u4").reshape(count, -1, 16).transpose(1, 2, 0)
    state = [np.full(count, start, dtype=np.uint32) for start in _START]
    for chunk in words:
        columns = np.ascontiguousarray(chunk)
        a, b, c, d = state
        for number, (constant, shifts, order) in enumerate(_ROUNDS):
            for step, word in enumerate(order):
                total = a + _mix(number, b, c, d) + columns[word] + np.uint32(constant)
                shift = shifts[step % 4]
                rotated = (total << np.uint32(shift)) | (total >> np.uint32(32 - shift))
                a, b, c, d = d, rotated, b, c
        state = [before + after for before, after in zip(state, (a, b, c, d), strict=True)]
    return np.stack(state, axis=1).astype("<u4").view(np.uint8).reshape(count, 16)


def _mix(number: int, x: NDArray[np.uint32], y: NDArray[np.uint32], z: NDArray[np.uint32]) -> NDArray[np.uint32]:
    if number == 0:
        return z ^ (x & (y ^ z))
    if number == 1:
        return (x & y) | (z & (x | y))
    return x ^ y ^ z
