"""The few file operations a spool needs, each all or nothing where that can be had."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_CHUNK = 64 * 1024


def write_at(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of `data` at `offset`, the file's end. Raises OSError, and then the file ends at `offset` again."""
    view = memoryview(data)
    done = 0
    try:
        while done < len(view):
            done += os.pwrite(descriptor, view[done:], offset + done)  # short only before an error, which comes next
    except OSError:
        # if cutting back fails too, the next append overwrites these bytes, or the next opening cuts them off
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, offset)
        raise


def read_at(descriptor: int, length: int, offset: int) -> bytes:
    """Read exactly `length` bytes; OSError (EIO) when the file ends before."""
    data = os.pread(descriptor, length, offset)
    while len(data) < length:
        more = os.pread(descriptor, length - len(data), offset + len(data))
        if not more:
            raise OSError(errno.EIO, "the file is shorter than it was")
        data += more
    return data


def read_what_can_be(path: Path) -> bytes:
    """Read a whole file; stretches of 64 KiB the disk cannot read come out as zeros."""
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            return read_at(file.fileno(), size, 0)
        except OSError:
            return b"".join(_chunk_or_zeros(file.fileno(), at, min(_CHUNK, size - at)) for at in range(0, size, _CHUNK))


def _chunk_or_zeros(descriptor: int, offset: int, length: int) -> bytes:
    try:
        return read_at(descriptor, length, offset)
    except OSError:
        return bytes(length)


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` in the place of `path` at once, durably: a crash leaves the old or the new one. Raises OSError."""
    fresh = path.with_name(path.name + ".new")
    try:
        descriptor = os.open(fresh, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            write_at(descriptor, data, 0)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        fresh.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def fsync_folder(folder: Path) -> None:
    """Make the folder's entries durable. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_files(paths: Sequence[Path]) -> list[Path]:
    """Make files durable; return those that are not there any more. Raises OSError."""
    missing = []
    for path in paths:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            missing.append(path)
            continue
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return missing
