"""What runs were begun, on this machine's disk before they begin; and how the last one of each set went."""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from backup.errors import SetBusy, WorkFailed
from backup.model import Kind, RunId, RunRecord, Status, instant_name, read_instant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_KEPT: Final = 200
_LOCK_SECONDS: Final = 3.0
_LOOK_SECONDS: Final = 0.05
_RECORD: Final = ".json"


class Journal:
    """The runs of one set, in `work/<set>/`. Everything here is durable on return."""

    def __init__(self, work: Path, set_name: str) -> None:
        """Make the set's folder, private. Raises WorkFailed when it cannot be made."""
        self.folder = work / set_name
        self._runs = self.folder / "runs"
        try:
            work.mkdir(mode=0o700, parents=True, exist_ok=True)
            for folder in (self.folder, self._runs):
                folder.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise WorkFailed(f"the work folder {self.folder} cannot be made: {error.strerror}") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the set's lock: one run or cache change at a time. Raises SetBusy naming the process that has it.

        The kernel lets the lock go with the process, however that ends; nothing stale is left. A process that was
        just killed may take a moment to be gone, so the lock is waited for a little.
        """
        with hold_lock(self.folder / "lock", f"set {self.folder.name!r}"):
            yield

    def find(self, run: RunId) -> RunRecord | None:
        """Return the record of a run; None when it never began.

        Call it with the lock held, and a record that says RUNNING is one whose process was killed: it says KILLED then.
        """
        try:
            return _read(self._path(run))
        except FileNotFoundError:
            return None

    def newest(self, number: int = _KEPT) -> list[RunRecord]:
        """Return the newest records, newest first. A record that cannot be read is left out."""
        paths = sorted(self._runs.glob(f"*{_RECORD}"), reverse=True)
        found = []
        for path in paths[:number]:
            try:
                found.append(_read(path))
            except (OSError, ValueError, KeyError):
                continue
        return found

    def write(self, record: RunRecord) -> None:
        """Put a record, replacing the one of its id; the oldest beyond 200 go."""
        write_durably(self._path(record.id), json.dumps(record_table(record), indent=1) + "\n")
        for path in sorted(self._runs.glob(f"*{_RECORD}"), reverse=True)[_KEPT:]:
            path.unlink(missing_ok=True)

    def bury(self) -> list[RunRecord]:
        """Turn the records of killed runs from RUNNING to KILLED; return them. Only with the lock held."""
        dead = [record for record in self.newest() if record.status is Status.RUNNING]
        for record in dead:
            self.write(replace(record, status=Status.KILLED, error="its process was killed before it was done"))
        return dead

    def _path(self, run: RunId) -> Path:
        return self._runs / f"{instant_name(run.due_at)}{_RECORD}"


@contextmanager
def hold_lock(path: Path, what: str) -> Iterator[None]:
    """Hold a lock file for as long as this lasts. Raises SetBusy: `what` "is being worked on by process …"."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise WorkFailed(f"{path} cannot be made: {error.strerror}") from error
    try:
        deadline = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
                    raise SetBusy(f"{what} is being worked on by process {holder}") from error
            time.sleep(_LOOK_SECONDS)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)


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


def record_table(record: RunRecord) -> dict[str, Any]:
    """Return a record as plain JSON values; instants as ISO 8601 in UTC. docs/backup.md has the form."""
    return {
        "set": record.id.set,
        "due_at": record.id.due_at.isoformat(),
        "status": record.status.value,
        "started_at": record.started_at.isoformat(),
        "ended_at": _text(record.ended_at),
        "duration_seconds": record.duration_seconds,
        "pid": record.pid,
        "kind": None if record.kind is None else record.kind.value,
        "reason": record.reason,
        "at": _text(record.at),
        "chain": record.chain,
        "source_bytes": record.source_bytes,
        "stored_bytes": record.stored_bytes,
        "entries": record.entries,
        "unreadable": record.unreadable,
        "error": record.error,
        "exit_code": record.exit_code,
        "missing_at": list(record.missing_at),
        "moments": list(record.moments),
        "covers": dict(record.covers),
    }


def write_state(folder: Path, set_name: str, state: dict[str, Any]) -> None:
    """Put state/<set>.json, atomically; others may read it. Raises WorkFailed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_durably(folder / f"{set_name}.json", json.dumps(state, indent=1) + "\n", mode=0o644)
    except OSError as error:
        raise WorkFailed(f"{folder / set_name}.json cannot be written: {error.strerror}") from error


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


def _read(path: Path) -> RunRecord:
    table = json.loads(path.read_text(encoding="utf-8"))
    return RunRecord(
        id=RunId(set=table["set"], due_at=datetime.fromisoformat(table["due_at"])),
        status=Status(table["status"]),
        started_at=datetime.fromisoformat(table["started_at"]),
        pid=table["pid"],
        ended_at=_instant(table["ended_at"]),
        kind=None if table["kind"] is None else Kind(table["kind"]),
        reason=table["reason"],
        at=_instant(table["at"]),
        chain=None if table["chain"] is None else instant_name(read_instant(table["chain"])),
        source_bytes=table["source_bytes"],
        stored_bytes=table["stored_bytes"],
        entries=table["entries"],
        unreadable=table["unreadable"],
        error=table["error"],
        exit_code=table["exit_code"],
        missing_at=tuple(str(name) for name in table.get("missing_at", ())),
        moments=tuple(str(line) for line in table.get("moments", ())),
        covers=dict(table.get("covers") or {}),
    )


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
