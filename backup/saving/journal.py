"""What runs were begun, on this machine's disk before they begin; and how the last one of each set went."""

from __future__ import annotations

import json
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from backup.errors import WorkFailed, why
from backup.model import Kind, RunId, RunRecord, Status, instant_name, read_instant
from backup.runtime.durable import hold_lock, lock_holder, write_durably
from backup.schedule import SKEW

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_KEPT: Final = 200
_LOCK_SECONDS: Final = 3.0
_LOOK_SECONDS: Final = 0.05
_RECORD: Final = ".json"
_LOCK: Final = "lock"
_BROKEN: Final = (ValueError, KeyError, TypeError)


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
        with hold_lock(self.folder / _LOCK, f"set {self.folder.name!r}"):
            yield

    def find(self, run: RunId) -> RunRecord | None:
        """Return the record of a run; None when it never began. Raises WorkFailed when nobody can tell.

        Call it with the lock held, and a record that says RUNNING is one whose process was killed: it says KILLED then.
        """
        path = self._path(run)
        try:
            return _read(path)
        except FileNotFoundError:
            return None
        except (OSError, *_BROKEN) as error:
            raise WorkFailed(f"{path}, the record of this run, cannot be read ({why(error)}): remove it") from error

    def newest(self, number: int = _KEPT) -> list[RunRecord]:
        """Return the newest records, newest first. A record that cannot be read is left out.

        Runs that began later than now come last: the clock was ahead then, and how things stand they do not tell.
        """
        found = []
        for path in self._paths():
            try:
                found.append(_read(path))
            except (OSError, *_BROKEN):
                continue
        ahead = datetime.now(UTC) + SKEW
        return sorted(found, key=lambda each: each.started_at > ahead)[:number]

    def write(self, record: RunRecord) -> None:
        """Put a record, replacing the one of its id; the oldest beyond 200 go."""
        path = self._path(record.id)
        write_durably(path, json.dumps(record_table(record), indent=1) + "\n")
        for old in [each for each in self._paths() if each != path][_KEPT - 1 :]:
            old.unlink(missing_ok=True)

    def bury(self) -> list[RunRecord]:
        """Turn the records of killed runs from RUNNING to KILLED; return them. Only with the lock held."""
        dead = [record for record in self.newest() if record.status is Status.RUNNING]
        for record in dead:
            self.write(replace(record, status=Status.KILLED, error="its process was killed before it was done"))
        return dead

    def _paths(self) -> list[Path]:
        """Return the files of the records, those due last first."""
        return sorted(self._runs.glob(f"*{_RECORD}"), reverse=True)

    def _path(self, run: RunId) -> Path:
        return self._runs / f"{instant_name(run.due_at)}{_RECORD}"


def sets_under_way(work: Path, names: Iterable[str]) -> list[str]:
    """Return the sets whose lock is held: a run of theirs is under way on this machine, whoever began it.

    A lock that cannot be looked at counts as free: whoever wants the set finds out.
    """
    found = []
    for name in names:
        with suppress(WorkFailed):
            if lock_holder(work / name / _LOCK) is not None:
                found.append(name)
    return found


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
        "process": record.process,
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


def _read(path: Path) -> RunRecord:
    table = json.loads(path.read_text(encoding="utf-8"))
    return RunRecord(
        id=RunId(set=table["set"], due_at=datetime.fromisoformat(table["due_at"])),
        status=Status(table["status"]),
        started_at=datetime.fromisoformat(table["started_at"]),
        pid=table["pid"],
        process=table.get("process"),
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
