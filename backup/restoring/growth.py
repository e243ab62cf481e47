"""How far something is that grows on this disk, told from beside: duplicity says nothing while it restores."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from backup.engine.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_LOOK_SECONDS: Final = 1.0
_SHARE_OF_TIME: Final = 0.05  # of a look; a tree of many files is looked at more seldom
_MOST_SHARE: Final = 0.99  # what is left is to be put in place


@contextmanager
def watched(folder: Path, expected_bytes: int | None, tell: Callable[[Progress], None] | None) -> Iterator[None]:
    """Tell about every second how much lies in `folder`, for as long as this lasts; `tell` None: nobody looks.

    expected_bytes: what it will be; None when nobody knows. `tell` is called from a thread of its own.
    """
    if tell is None:
        yield
        return
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(folder, expected_bytes, tell, ended), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join(_LOOK_SECONDS * 5)


def _watch(folder: Path, expected: int | None, tell: Callable[[Progress], None], ended: threading.Event) -> None:
    began, pause = time.monotonic(), _LOOK_SECONDS
    while not ended.wait(pause):
        at = time.monotonic()
        size = size_of(folder)
        pause = max(_LOOK_SECONDS, (time.monotonic() - at) / _SHARE_OF_TIME)
        tell(growth(size, expected, at - began))


def growth(size_bytes: int, expected_bytes: int | None, seconds: float) -> Progress:
    """Return the progress of something that has grown to a size in some seconds."""
    rate = size_bytes / seconds if seconds > 0 else None
    share = min(_MOST_SHARE, size_bytes / expected_bytes) if expected_bytes else None
    left = None
    if expected_bytes and rate:
        left = max(0, round((expected_bytes - size_bytes) / rate))
    return Progress(phase="restoring", stored_bytes=size_bytes, share=share, eta_seconds=left, bytes_per_second=rate)


def size_of(folder: Path) -> int:
    """Return the bytes of everything below a folder; what comes and goes meanwhile is passed over."""
    size = 0
    for top, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.lstat(os.path.join(top, name)).st_size  # noqa: PTH118 - many files, often
            except OSError:
                continue
    return size
