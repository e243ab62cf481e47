"""Follows a file that grows, is truncated and is rotated away: which lines are new since a position."""

from __future__ import annotations

import os
import re
import stat
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from probes.declaration import ProbeFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_LINE_BYTES: Final = 64 * 1024
_HEAD_BYTES: Final = 256
_MOST_NEIGHBOURS: Final = 10_000
_ROTATED: Final = re.compile(r"[.-]\d[\dTZ_.:-]*")  # app.log.1, app.log-20261121; compressed ones are not read


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far a file was read. The checksum of its first `head` bytes tells it from another in the same place."""

    device: int
    inode: int
    offset: int
    head: int
    checksum: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """Lines found, without their ends, and the position after them; `is_behind` when there is more to read now.

    `gap` says in words what could not be read any more; empty when nothing was missed.
    """

    lines: list[bytes]
    position: Position
    is_behind: bool = False
    gap: str = ""


def end_of(path: str) -> Position:
    """Return the position behind everything the file holds now. Raises ProbeFailedError naming the file."""
    descriptor, status = _open(path)
    try:
        return _position(descriptor, status, status.st_size)
    finally:
        os.close(descriptor)


def start_of(path: str) -> Position:
    """Return the position at the beginning of the file. Raises ProbeFailedError naming the file."""
    return replace(end_of(path), offset=0, head=0, checksum=0)


def advance(path: str, position: Position, most_bytes: int) -> Advance:
    """Return the complete lines after `position`, about `most_bytes` of them, and go on where the log went on.

    A file that was renamed is read to its end before the new one, which is begun once something is in it: until then
    a writer may still hold the old one open. Files that came and went between the two are read too. A file that
    became shorter, or begins otherwise, is read from its beginning. A line longer than LONGEST_LINE_BYTES is split.
    Raises ProbeFailedError naming the file.
    """
    descriptor, status = _open(path)
    try:
        if (status.st_dev, status.st_ino) == (position.device, position.inode):
            begun = position.offset if _is_continued(descriptor, status, position) else 0
            return _read(descriptor, status, begun, most_bytes, is_ended=False)
        older = list(_between(path, position, status))
        if older:
            return _read_older(older, position, status, most_bytes)
        first = _read(descriptor, status, 0, most_bytes, is_ended=False)
        return replace(first, gap=f"{path} was replaced and the file before it is gone: its last lines may be missing")
    finally:
        os.close(descriptor)


def _read_older(older: list[str], position: Position, newest: os.stat_result, most_bytes: int) -> Advance:
    """Read on in the oldest file; at its end return the beginning of the one after it."""
    descriptor, status = _open(older[0])
    try:
        is_last = len(older) == 1
        is_ended = not is_last or newest.st_size > 0
        found = _read(descriptor, status, position.offset, most_bytes, is_ended=is_ended)
        if found.position.offset < status.st_size or not is_ended:
            return found
    finally:
        os.close(descriptor)
    if is_last:
        following = newest
    else:
        descriptor, following = _open(older[1])
        os.close(descriptor)
    begin = Position(device=following.st_dev, inode=following.st_ino, offset=0, head=0, checksum=0)
    return Advance(lines=found.lines, position=begin, is_behind=True)


def _between(path: str, position: Position, newest: os.stat_result) -> Iterator[str]:
    """Yield the file of `position` under its new name, then the rotated ones younger than it, oldest first."""
    folder, name = os.path.split(path)
    held: tuple[str, os.stat_result] | None = None
    rotated: list[tuple[int, str, int]] = []
    try:
        with os.scandir(folder or ".") as entries:
            for _, entry in zip(range(_MOST_NEIGHBOURS), entries, strict=False):
                if entry.is_symlink():
                    continue  # rotation makes none, and it may lead to what may not be read
                try:
                    status = entry.stat()
                except OSError:
                    continue  # it is gone by now
                if (status.st_dev, status.st_ino) == (position.device, position.inode):
                    if _begins_alike(entry.path, position):
                        held = entry.path, status
                elif entry.name.startswith(name) and _ROTATED.fullmatch(entry.name[len(name) :]):
                    rotated.append((status.st_mtime_ns, entry.path, status.st_ino))
    except OSError as error:
        raise ProbeFailedError(f"{folder}: {error.strerror}") from error
    if held is None:
        return
    yield held[0]
    for modified, younger, inode in sorted(rotated):
        # Two files written within a tick of the kernel's clock: rather one twice than one never.
        if modified >= held[1].st_mtime_ns and inode != newest.st_ino and os.access(younger, os.R_OK):
            yield younger


def _open(path: str) -> tuple[int, os.stat_result]:
    try:
        # Without O_NONBLOCK a named pipe in the file's place would hold the probe for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ProbeFailedError(f"{path}: {error.strerror}") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise ProbeFailedError(f"{path}: is no regular file")
    return descriptor, status


def _read(descriptor: int, status: os.stat_result, offset: int, most_bytes: int, *, is_ended: bool) -> Advance:
    data = os.pread(descriptor, max(most_bytes, LONGEST_LINE_BYTES), offset)
    is_all = offset + len(data) >= status.st_size
    taken = data.rfind(b"\n") + 1
    if is_ended and is_all:
        taken = len(data)
    elif not taken and len(data) >= LONGEST_LINE_BYTES:
        taken = LONGEST_LINE_BYTES
    lines = data[:taken].removesuffix(b"\n").split(b"\n") if taken else []
    return Advance(
        lines=lines,
        position=_position(descriptor, status, offset + taken),
        is_behind=bool(taken) and not is_all,
    )


def _position(descriptor: int, status: os.stat_result, offset: int) -> Position:
    head = os.pread(descriptor, min(_HEAD_BYTES, offset), 0)
    return Position(device=status.st_dev, inode=status.st_ino, offset=offset, head=len(head), checksum=zlib.crc32(head))


def _is_continued(descriptor: int, status: os.stat_result, position: Position) -> bool:
    return status.st_size >= position.offset and zlib.crc32(os.pread(descriptor, position.head, 0)) == position.checksum


def _begins_alike(path: str, position: Position) -> bool:
    try:
        descriptor, status = _open(path)
    except ProbeFailedError:
        return False
    try:
        return _is_continued(descriptor, status, position)
    finally:
        os.close(descriptor)
