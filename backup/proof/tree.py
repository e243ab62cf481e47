"""Holds a restored folder against the signatures of its restore point: every entry, every block of every file.

What can be compared: which entries there are and of what kind, modes, times (whole seconds, as duplicity keeps them),
the targets of links, and the content of files by the sums of their blocks, which the host took while it saved them.
Owners are not: they are restored by name, and mean something on their own machine only.
"""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from backup.proof.contract import MOST_NAMED, Check
from backup.proof.md4 import CHUNK_BYTES, digests, padded
from backup.proof.signatures import read_saved
from backup.spelling import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from backup.proof.contract import Limits
    from backup.proof.signatures import Saved

_BATCH: Final = 2048  # blocks summed at once: with fewer, the calls cost more than the sums
_MOST_WAITING_BYTES: Final = 64 << 20
_KINDS: Final = (
    ("folder", stat.S_ISDIR, "isdir"),
    ("file", stat.S_ISREG, "isreg"),
    ("link", stat.S_ISLNK, "issym"),
    ("fifo", stat.S_ISFIFO, "isfifo"),
    ("character device", stat.S_ISCHR, "ischr"),
    ("block device", stat.S_ISBLK, "isblk"),
)


def compare_tree(top: Path, signatures: Sequence[Sequence[Path]], limits: Limits) -> list[Check]:
    """Compare everything below `top` with the signatures of each part.

    Returns a check of the entries and one of the files' blocks.
    Raises DrillFailed when the signatures or the folder cannot be read, TimedOut.
    """
    comparison = _Comparison(top)
    for part in signatures:
        for saved in read_saved(part):
            limits.left_seconds("files were compared")
            comparison.take(saved)
    return comparison.end()


class _Comparison:
    """What was found so far; blocks wait until there are enough to sum them at once."""

    def __init__(self, top: Path) -> None:
        self._top = os.fspath(top)
        self._modes = _open_up(self._top)
        self._wrong: dict[str, str] = {}
        self._seen: set[str] = set()
        self._blocks = 0
        self._wrong_blocks: dict[str, int] = defaultdict(int)
        self._waiting: dict[int, list[tuple[str, bytes, bytes]]] = defaultdict(list)
        self._waiting_bytes = 0

    def take(self, saved: Saved) -> None:
        """Compare one entry; a folder that several parts have is as the first of them has it."""
        if saved.path in self._seen:
            return
        self._seen.add(saved.path)
        path = f"{self._top}/{saved.path}"
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            self._wrong[saved.path] = "is missing"
            return
        mode = self._modes.get(saved.path, stat.S_IMODE(found.st_mode))
        if (what := _difference(saved, found, mode, path)) is not None:
            self._wrong[saved.path] = what
        if saved.is_file and stat.S_ISREG(found.st_mode):
            self._read(saved, path)

    def end(self) -> list[Check]:
        """Sum what waits, look for what nobody saved, and return the checks."""
        for chunks in list(self._waiting):
            self._sum(chunks)
        for path in _below(self._top):
            if path not in self._seen:
                self._wrong[path] = "was not saved"
        names = [f"{shown(path)}: {what}" for path, what in sorted(self._wrong.items())[:MOST_NAMED]]
        blocks = [f"{shown(path)}: {number} blocks" for path, number in sorted(self._wrong_blocks.items())[:MOST_NAMED]]
        return [
            Check(
                what="entries",
                looked_at=len(self._seen),
                differing=len(self._wrong),
                names=tuple(names),
                is_of_chain=True,
            ),
            Check(
                what="blocks of files",
                looked_at=self._blocks,
                differing=sum(self._wrong_blocks.values()),
                names=tuple(blocks),
                is_of_chain=True,
            ),
        ]

    def _read(self, saved: Saved, path: str) -> None:
        count = 0
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - a million files
            while block := _whole(file.fileno(), saved.block_bytes):
                expected = saved.sums[count] if count < len(saved.sums) else b""
                count += 1
                if not expected:
                    continue  # longer than it was; told below
                message = padded(block)
                chunks = len(message) // CHUNK_BYTES
                self._waiting[chunks].append((saved.path, message, expected))
                self._waiting_bytes += len(message)
                if len(self._waiting[chunks]) == _BATCH:
                    self._sum(chunks)
                elif self._waiting_bytes > _MOST_WAITING_BYTES:
                    self._sum(max(self._waiting, key=lambda each: each * len(self._waiting[each])))
        if count != len(saved.sums):
            self._wrong[saved.path] = f"has {count} blocks of {saved.block_bytes} bytes, {len(saved.sums)} were saved"

    def _sum(self, chunks: int) -> None:
        waiting = self._waiting.pop(chunks, [])
        if not waiting:
            return
        self._waiting_bytes -= chunks * CHUNK_BYTES * len(waiting)
        self._blocks += len(waiting)
        for (path, _, expected), digest in zip(waiting, digests([message for _, message, _ in waiting]), strict=True):
            if digest.tobytes()[: len(expected)] != expected:
                self._wrong_blocks[path] += 1


def _whole(descriptor: int, size: int) -> bytes:
    """Return the next `size` bytes of a file, fewer at its end only."""
    piece = os.read(descriptor, size)
    while piece and len(piece) < size:
        more = os.read(descriptor, size - len(piece))
        if not more:
            break
        piece += more
    return piece


def _open_up(top: str) -> dict[str, int]:
    """Let ourselves read everything, which only root may anyway; return the modes that were changed for that."""
    modes: dict[str, int] = {}
    if os.geteuid() == 0:
        return modes
    for parent, folders, names in os.walk(top):
        for name in (*folders, *names):
            path = os.path.join(parent, name)  # noqa: PTH118 - a million entries
            status = os.lstat(path)
            needed = 0o700 if stat.S_ISDIR(status.st_mode) else 0o400
            if not stat.S_ISLNK(status.st_mode) and status.st_mode & needed != needed:
                modes[path[len(top) + 1 :]] = stat.S_IMODE(status.st_mode)
                os.chmod(path, stat.S_IMODE(status.st_mode) | needed)  # noqa: PTH101 - as above
    return modes


def _difference(saved: Saved, found: os.stat_result, mode: int, path: str) -> str | None:
    """Return how an entry differs from what was saved, but for its content; None when it does not."""
    kind = next((name for name, fits, _ in _KINDS if fits(found.st_mode)), "other")
    wanted = next((name for name, _, fits in _KINDS if getattr(saved.info, fits)()), "other")
    if kind != wanted:
        return f"is a {kind}, a {wanted} was saved"
    if kind == "link":
        target = os.readlink(path)  # noqa: PTH115 - a million entries
        return None if target == saved.info.linkname else f"leads to {shown(target)}"
    if mode != saved.info.mode & 0o7777:
        return f"has mode {mode:o}, {saved.info.mode & 0o7777:o} was saved"
    if int(found.st_mtime) != int(saved.info.mtime):
        return "has another time of change than was saved"
    return None


def _below(top: str) -> Iterator[str]:
    for parent, folders, names in os.walk(top):
        for name in (*folders, *names):
            yield os.path.join(parent, name)[len(top) + 1 :]  # noqa: PTH118 - a million entries
