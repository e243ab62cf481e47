"""Rows with array columns as PostgreSQL's binary COPY bytes, built by numpy: no Python loop over values.

Format: PostgreSQL manual, COPY "Binary Format", and array_send/array_recv. Every array element is a 4-byte length
followed by the big-endian value, so one structured numpy array holds the elements of all rows of a column at once and
a row's array is a slice of its bytes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from psycopg import AsyncConnection

SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
NULL = b"\xff\xff\xff\xff"

INT4_OID = 23
FLOAT8_OID = 701
_ARRAY_HEADER = struct.Struct(">iiiiii")  # bytes of the field, dimensions, has nulls, element type, length, lower bound
_EMPTY_ARRAY = struct.Struct(">iiii")
INT4_ELEMENT = np.dtype([("length", ">i4"), ("value", ">i4")])
FLOAT8_ELEMENT = np.dtype([("length", ">i4"), ("value", ">f8")])
_WRITE_BYTES = 1 << 20


class ArrayColumn:
    """One column's elements for all rows of a COPY; `field(row)` returns the bytes of that row's array field."""

    def __init__(self, oid: int, element: np.dtype[np.void], parts: Sequence[NDArray[Any]]) -> None:
        self._oid = oid
        self._element_bytes = element.itemsize
        counts = np.fromiter((len(part) for part in parts), dtype=np.int64, count=len(parts))
        self._ends = np.concatenate(([0], np.cumsum(counts))).tolist()
        # One allocation a column: fresh pages cost more than the copying of values does.
        elements = np.empty(self._ends[-1], dtype=element)
        elements["length"] = element["value"].itemsize
        if parts:
            np.concatenate(parts, out=elements["value"])
        self._bytes = memoryview(elements.view(np.uint8).data)

    def field(self, row: int) -> tuple[bytes, memoryview]:
        """Return the field's header and its elements."""
        begin, end = self._ends[row], self._ends[row + 1]
        if begin == end:
            return _EMPTY_ARRAY.pack(12, 0, 0, self._oid), self._bytes[:0]
        size = self._element_bytes
        header = _ARRAY_HEADER.pack(20 + (end - begin) * size, 1, 0, self._oid, end - begin, 1)
        return header, self._bytes[begin * size : end * size]


def int4_column(parts: Sequence[NDArray[np.int32]]) -> ArrayColumn:
    """Make an int4[] column of one array per row."""
    return ArrayColumn(INT4_OID, INT4_ELEMENT, parts)


def float8_column(parts: Sequence[NDArray[np.float64]]) -> ArrayColumn:
    """Make a float8[] column of one array per row."""
    return ArrayColumn(FLOAT8_OID, FLOAT8_ELEMENT, parts)


def late_field(late: NDArray[np.bool_] | None) -> bytes:
    """Return a nullable bytea field with a bit per value; NULL when nothing was late."""
    if late is None or not late.any():
        return NULL
    bits = np.packbits(late).tobytes()
    return len(bits).to_bytes(4, "big") + bits


async def copy_in(connection: AsyncConnection[Any], statement: str, rows: bytes) -> None:
    """Send the rows' bytes as the body of a binary COPY FROM STDIN, in pieces so that a stalled peer is noticed."""
    async with connection.cursor() as cursor, cursor.copy(statement) as copy:
        await copy.write(SIGNATURE)
        view = memoryview(rows)
        for begin in range(0, len(view), _WRITE_BYTES):
            await copy.write(view[begin : begin + _WRITE_BYTES])
        await copy.write(TRAILER)
