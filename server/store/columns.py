"""Array columns out of the database as numpy arrays: no Python object per value."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format

if TYPE_CHECKING:
    from psycopg.abc import Buffer

_HEADER_BYTES = 20
_DIMENSIONS = struct.Struct(">iii")
_BOUNDS = struct.Struct(">ii")
_INT4_OID = psycopg.adapters.types["int4"].oid


class _NumpyLoader(Loader):
    """Loads a one-dimensional array without NULLs from the binary format; anything else is a bug in our schema."""

    format = Format.BINARY
    element: np.dtype[np.void]
    native: type[Any]

    def load(self, data: Buffer) -> np.ndarray[Any, Any]:
        dimensions, has_nulls, _ = _DIMENSIONS.unpack_from(data)
        if dimensions == 0:
            return np.empty(0, dtype=self.native)
        if dimensions != 1 or has_nulls:
            raise ValueError("an array column of samples has NULLs or more than one dimension")
        return np.frombuffer(data, dtype=self.element, offset=_HEADER_BYTES)["value"].astype(self.native)


class _Int4Loader(_NumpyLoader):
    element = np.dtype([("length", ">i4"), ("value", ">i4")])
    native = np.int32


class _Int8Loader(_NumpyLoader):
    element = np.dtype([("length", ">i4"), ("value", ">i8")])
    native = np.int64


class _Float8Loader(_NumpyLoader):
    element = np.dtype([("length", ">i4"), ("value", ">f8")])
    native = np.float64


class _Int4Dumper(Dumper):
    """Sends an int32 array as int4[]: a list's elements are written one by one, in text."""

    format = Format.BINARY
    oid = psycopg.adapters.types["int4"].array_oid

    def dump(self, obj: np.ndarray[Any, Any]) -> bytes:
        if obj.dtype != np.int32 or obj.ndim != 1:
            raise TypeError(f"an array of {obj.dtype} in {obj.ndim} dimensions is no int4[]")
        if not len(obj):
            return _DIMENSIONS.pack(0, 0, _INT4_OID)
        elements = np.empty(len(obj), dtype=_Int4Loader.element)
        elements["length"], elements["value"] = 4, obj
        return _DIMENSIONS.pack(1, 0, _INT4_OID) + _BOUNDS.pack(len(obj), 1) + elements.tobytes()


def register_columns(connection: psycopg.AsyncConnection[Any]) -> None:
    """Let binary cursors return int4[], int8[], float8[] as numpy arrays, and take int32 as int4[]."""
    connection.adapters.register_dumper(np.ndarray, _Int4Dumper)
    connection.adapters.register_loader(psycopg.adapters.types["int4"].array_oid, _Int4Loader)
    connection.adapters.register_loader(psycopg.adapters.types["int8"].array_oid, _Int8Loader)
    connection.adapters.register_loader(psycopg.adapters.types["float8"].array_oid, _Float8Loader)


def unpack_late(late: bytes | None, count: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return the late marks of `count` values as bool[count]."""
    if late is None:
        return np.zeros(count, dtype=np.bool_)
    return np.unpackbits(np.frombuffer(late, dtype=np.uint8), count=count).view(np.bool_)
