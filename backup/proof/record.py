"""How drills went: `state/drills/HOST/SET.json` at the restore station, for the agent, its probe and whoever looks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from backup.model import Status
from backup.runtime.state_file import StateFile
from core.model.prediction import restore_seconds
from core.runtime.process import own_mark

if TYPE_CHECKING:
    from pathlib import Path

    from backup.model import Place
    from backup.proof.contract import Evidence

FORM: Final = "watchkeep-drill-state-1"
_KEPT_PROOFS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillRecord:
    """One drill. OK: proven; anything else proves nothing.

    point: the instant it restored. size_bytes: of the point, as it lay at its source. restored_bytes and files: what
    came back. restore_seconds: until it lay there; ready_seconds: then until it was usable. None where not known (yet).
    """

    due_at: datetime
    status: Status
    started_at: datetime
    pid: int
    ended_at: datetime | None = None
    point: datetime | None = None
    source: str | None = None
    size_bytes: int | None = None
    restored_bytes: int | None = None
    files: int | None = None
    restore_seconds: float | None = None
    ready_seconds: float | None = None
    evidence: Evidence | None = None
    error: str | None = None
    exit_code: int | None = None
    process: str | None = field(default_factory=own_mark)

    def with_failure(self, error: str, exit_code: int) -> DrillRecord:
        """Return it as one that failed."""
        return replace(self, status=Status.FAILED, ended_at=datetime.now(UTC), error=error, exit_code=exit_code)

    def table(self) -> dict[str, Any]:
        """Return it as plain JSON values; instants as ISO 8601 in UTC. docs/backup.md has the form."""
        duration = None if self.ended_at is None else (self.ended_at - self.started_at).total_seconds()
        rate = None
        if self.restored_bytes is not None and self.restore_seconds:
            rate = self.restored_bytes / self.restore_seconds
        return {
            "due_at": self.due_at.isoformat(),
            "status": self.status.value,
            "started_at": self.started_at.isoformat(),
            "ended_at": None if self.ended_at is None else self.ended_at.isoformat(),
            "duration_seconds": duration,
            "pid": self.pid,
            "process": self.process,
            "point": None if self.point is None else self.point.isoformat(),
            "source": self.source,
            "size_bytes": self.size_bytes,
            "restored_bytes": self.restored_bytes,
            "files": self.files,
            "restore_seconds": self.restore_seconds,
            "ready_seconds": self.ready_seconds,
            "bytes_per_second": rate,
            "evidence": None if self.evidence is None else self.evidence.words(),
            "server": None if self.evidence is None or self.evidence.server is None else self.evidence.server.table(),
            "checks": [] if self.evidence is None else [check.table() for check in self.evidence.checks],
            "error": self.error,
            "exit_code": self.exit_code,
        }


class DrillBook:
    """What is known of one set's drills. Everything here is durable on return."""

    def __init__(self, state: Path, place: Place, *, is_kept: bool = True) -> None:
        """Without `is_kept` nothing is written: what somebody tried by hand is nobody's problem a week later."""
        self._is_kept = is_kept
        empty: dict[str, Any] = {
            "host": place.host, "set": place.set, "last_drill": None, "last_proven": None, "proofs": [], "newest": None,
        }  # fmt: skip
        self._file = StateFile(state / "drills" / place.host / f"{place.set}.json", FORM, empty)

    def read(self) -> dict[str, Any]:
        """Return what was written last; empty when there is nothing that can be read."""
        return self._file.read()

    def note(self, record: DrillRecord) -> None:
        """Write a drill down: as it begins, and how it ended. Raises WorkFailed."""
        table = record.table()
        changes: dict[str, Any] = {"last_drill": table}
        if record.status is Status.OK:
            seconds = (record.restore_seconds or 0.0) + (record.ready_seconds or 0.0)
            proof = {"size_bytes": record.size_bytes or 0, "seconds": seconds}
            changes |= {"last_proven": table, "proofs": [*_proofs(self.read()), proof][-_KEPT_PROOFS:]}
        self._write(changes)

    def predict(self, at: datetime, size_bytes: int) -> float | None:
        """Write down how long restoring the newest point will take, and return that. Raises WorkFailed."""
        proofs = [(each["size_bytes"], each["seconds"]) for each in _proofs(self.read())]
        seconds = restore_seconds(proofs, size_bytes)
        self._write({"newest": {"at": at.isoformat(), "size_bytes": size_bytes, "restore_seconds": seconds}})
        return seconds

    def _write(self, changes: dict[str, Any]) -> None:
        if self._is_kept:
            self._file.write(changes)


def _proofs(known: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        each
        for each in known.get("proofs", [])
        if isinstance(each, dict)
        and isinstance(each.get("size_bytes"), int)
        and isinstance(each.get("seconds"), int | float)
    ]
