"""Files that survive a power cut whole, and locks that go with their process."""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from backup.errors import SetBusy, WorkFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOCK_SECONDS: Final = 3.0
_LOOK_SECONDS: Final = 0.05


@contextmanager
def hold_lock(path: Path, what: str, limit_seconds: float = _LOCK_SECONDS) -> Iterator[None]:
    """Hold a lock file for as long as this lasts; it is waited for no longer than `limit_seconds`.

    Raises SetBusy: `what` "is being worked on by process …".
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise WorkFailed(f"{path} cannot be made: {error.strerror}") from error
    try:
        if not flocked(descriptor, limit_seconds):
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise SetBusy(f"{what} is being worked on by process {holder}")
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


def flocked(descriptor: int, limit_seconds: float) -> bool:
    """Whether an open file's lock could be had within so long; it is held until the file is closed. Raises OSError."""
    deadline = time.monotonic() + limit_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_SECONDS)
        else:
            return True


def lock_holder(path: Path) -> int | None:
    """Return the process that holds a lock file now; None when nobody does. Raises WorkFailed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WorkFailed(f"{path} cannot be read: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        said = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
        return int(said) if said.isdigit() else 0
    finally:
        os.close(descriptor)
    return None


def write_durably(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file, whole or not at all, so that it outlives a power cut. Raises OSError."""
    fresh = path.with_name(f".{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        os.fchmod(descriptor, mode)
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_state(folder: Path, set_name: str, state: dict[str, Any]) -> None:
    """Put state/<set>.json, atomically; others may read it. Raises WorkFailed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_durably(folder / f"{set_name}.json", json.dumps(state, indent=1) + "\n", mode=0o644)
    except OSError as error:
        raise WorkFailed(f"{folder / set_name}.json cannot be written: {error.strerror}") from error
