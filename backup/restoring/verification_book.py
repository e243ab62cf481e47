"""How verifications went: `state/verifications/HOST/SET.json` at the restore station, for its agent and its probe.

Of each copy of the set: when it was last found whole, to each depth, and the damage that was found and not yet
looked at again. The verification that a schedule asked for is written down beside, as drills are.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from backup.errors import BackupError
from backup.model import Status
from backup.restoring.known_damage import bounded, damage_after, read_damage_of
from backup.runtime.state_file import StateFile
from backup.sampling import Sampling
from backup.settings.verification import FOLDER, STEPS, step_of
from core.runtime.process import own_mark

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backup.model import Place
    from backup.restoring.verify import Report

FORM: Final = "watchkeep-verification-state-1"
_MOST_SEEN: Final = 200  # of one copy: the newest, which are those that nothing else names
_MOST_LINES: Final = 50  # of archived logs, of one copy: the newest


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationRecord:
    """A verification of a set that was due. OK: every copy was looked at and is whole."""

    due_at: datetime
    step: str
    status: Status = Status.RUNNING
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    ended_at: datetime | None = None
    pid: int = field(default_factory=os.getpid)
    process: str | None = field(default_factory=own_mark)
    error: str | None = None
    exit_code: int | None = None

    def ended(self, error: BackupError | None) -> VerificationRecord:
        """Return it as one that ended, well or with an error."""
        now = datetime.now(UTC)
        if error is None:
            return replace(self, status=Status.OK, ended_at=now)
        return replace(self, status=Status.FAILED, ended_at=now, error=bounded(str(error)), exit_code=error.exit_code)

    def table(self) -> dict[str, Any]:
        """Return it as plain JSON values; instants as ISO 8601 in UTC."""
        return {
            "due_at": self.due_at.isoformat(),
            "status": self.status.value,
            "started_at": self.started_at.isoformat(),
            "ended_at": None if self.ended_at is None else self.ended_at.isoformat(),
            "pid": self.pid,
            "process": self.process,
            "depth": self.step,
            "error": self.error,
            "exit_code": self.exit_code,
        }


class VerificationBook:
    """What is known of one set's verifications. Everything here is durable on return."""

    def __init__(self, state: Path, place: Place, *, is_kept: bool) -> None:
        """Without `is_kept` nothing is written: of sets that are not in the configuration, of single chains."""
        self._is_kept = is_kept
        empty: dict[str, Any] = {
            "host": place.host,
            "set": place.set,
            "last_verification": None,
            "copies": {},
            "seed": None,
        }
        self._file = StateFile(state / FOLDER / place.host / f"{place.set}.json", FORM, empty)

    def read(self) -> dict[str, Any]:
        """Return what was written last; empty when there is nothing that can be read."""
        return self._file.read()

    @contextlib.contextmanager
    def keeping(self, record: VerificationRecord) -> Iterator[list[BackupError]]:
        """Write down that a verification is under way, and how it ended: with the first of the errors it is given."""
        errors: list[BackupError] = []
        self._write({"last_verification": record.table()})
        try:
            yield errors
        except BaseException as error:
            known = error if isinstance(error, BackupError) else BackupError("a defect of Watchkeep: see its output")
            with contextlib.suppress(BackupError):
                self._write({"last_verification": record.ended(known).table()})
            raise
        self._write({"last_verification": record.ended(errors[0] if errors else None).table()})

    def sampling(self, target: str, share: float) -> Sampling:
        """Return what the next sample of a copy is made by."""
        copy, seed = self._copy(target), self.read().get("seed")
        damage = read_damage_of(copy)
        return Sampling(
            share=share,
            seed=seed if isinstance(seed, str) else secrets.token_hex(16),
            after=str(copy.get("sampled_to") or ""),
            always=frozenset(() if damage is None else damage.names),
        )

    def seen(self, target: str) -> dict[str, str]:
        """Return the newest points that the last look saw at a copy, and those of before that vanished: name, chain."""
        found = self._copy(target).get("seen")
        return {str(name): str(chain) for name, chain in found.items()} if isinstance(found, dict) else {}

    def seen_logs(self, target: str) -> dict[str, dict[str, str]]:
        """Return the first and last archived logs that the last look saw at a copy, by their lines' folders."""
        found = self._copy(target).get("seen_logs")
        lines = found if isinstance(found, dict) else {}
        return {
            str(root): {str(name): str(until) for name, until in names.items()}
            for root, names in lines.items()
            if isinstance(names, dict)
        }

    def note(self, target: str, report: Report, sampling: Sampling | None) -> None:
        """Write down what was found of the copy at a target; one without restore points is not whole.

        One that had some and has none is damaged. Raises WorkFailed.
        """
        if self._is_kept:
            self._file.change(lambda known: _noted(known, target, report, sampling))

    def _copy(self, target: str) -> dict[str, Any]:
        return _copies(self.read()).get(target, {})

    def _write(self, changes: dict[str, Any]) -> None:
        if self._is_kept:
            self._file.write(changes)


def _noted(known: dict[str, Any], target: str, report: Report, sampling: Sampling | None) -> dict[str, Any]:
    """Return what changes in the book by a look at a copy."""
    copies, now = _copies(known), datetime.now(UTC).isoformat()
    copy = copies.get(target, {})
    step = step_of(report.depth.value, is_sampled=sampling is not None)
    damage = damage_after(copy, report, step, now)
    copy["damage"] = None if damage is None else damage.table()
    if report.restorable and not report.damages and not report.hindrances:
        whole = dict.fromkeys(STEPS[: STEPS.index(step) + 1], now)
        copy["whole"] = {**copy.get("whole", {}), **whole}
    copy["seen"] = dict(sorted(report.seen.items())[-_MOST_SEEN:])
    newest = sorted(report.seen_logs.items(), key=lambda each: max(each[1].values()))[-_MOST_LINES:]
    copy["seen_logs"] = {root: dict(names) for root, names in newest}
    copy["last"] = {
        "ended_at": now,
        "depth": step,
        "files": report.files,
        "files_read": report.files_read,
        "restore_points": len(report.restorable),
    }
    changes: dict[str, Any] = {"copies": {**copies, target: copy}}
    if sampling is not None:
        copy["sampled_to"] = report.sampled_to
        changes["seed"] = sampling.seed
    return changes


def _copies(known: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = known.get("copies")
    return {name: copy for name, copy in found.items() if isinstance(copy, dict)} if isinstance(found, dict) else {}
