"""How a set's last run went: what `bkp run` wrote down, and what the agent saw itself."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from backup.errors import (
    BackupError,
    EngineFailed,
    ObjectMissing,
    RunKilled,
    SetBusy,
    SourceFailed,
    TargetAway,
    TargetDiffers,
    TargetFull,
)
from backup.schedule import Attempts
from core.runtime.process import is_alive

if TYPE_CHECKING:
    from pathlib import Path

_MOST_STATE_BYTES: Final = 1 << 20
_PASSING: Final = (
    BackupError,
    EngineFailed,
    ObjectMissing,
    RunKilled,
    SetBusy,
    SourceFailed,
    TargetAway,
    TargetDiffers,
    TargetFull,
)
_MAY_HELP: Final = frozenset(kind.exit_code for kind in _PASSING)


@dataclass(slots=True)
class AttemptBook:
    """What this agent's life adds to the state files: how often each due instant was tried, and how that ended.

    entry: under which name the state files have it.
    """

    entry: str = "last_run"
    _own: dict[str, Attempts] = field(default_factory=dict)
    _counts: dict[str, tuple[datetime | None, int]] = field(default_factory=dict)

    def known(self, name: str, state: Path, base: datetime | None, now: datetime) -> Attempts | None:
        """Return how the last run of a set went; `base` is the due instant its tries count for now.

        What ended later than `now` says nothing: the clock was ahead.
        """
        counted_for, count = self._counts.get(name, (None, 0))
        known = None
        for each in (self._own.get(name), _attempts_of(read_json(state).get(self.entry))):
            if each is not None and not each.is_later_than(now) and (known is None or each.due_at >= known.due_at):
                known = each
        if known is not None and counted_for == base:
            known = replace(known, count=max(known.count, count))
        return known

    def begin(self, name: str, base: datetime | None) -> None:
        """Count one more try for the due instant `base`."""
        counted_for, count = self._counts.get(name, (None, 0))
        self._counts[name] = (base, count + 1 if counted_for == base else 1)

    def end(self, name: str, due_at: datetime, code: int, ended_at: datetime) -> None:
        """Remember how a run ended, also when it could not write that down itself."""
        self._own[name] = Attempts(
            due_at=due_at,
            is_ok=code == 0,
            may_help=code in _MAY_HELP or code < 0,
            count=self._counts[name][1],
            ended_at=ended_at,
        )


def read_json(file: Path) -> dict[str, Any]:
    """Return a JSON file's table; empty when there is none that can be read: it is written anew soon."""
    try:
        with file.open("rb") as opened:
            found = json.loads(opened.read(_MOST_STATE_BYTES))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def stamp_of(file: Path) -> tuple[int, int] | None:
    """Return what changes when a file is written; None when it is not there."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _attempts_of(run: Any) -> Attempts | None:
    """Return what the state file says of the last run; None when it says nothing that can be used."""
    try:
        status, due_at = run["status"], datetime.fromisoformat(run["due_at"])
        ended_at = datetime.fromisoformat(run["ended_at"]) if run.get("ended_at") else None
        started_at = datetime.fromisoformat(run["started_at"])
        is_lost = status == "killed" or (status == "running" and not is_alive(int(run["pid"]), run.get("process")))
        if is_lost:
            ended_at = ended_at or started_at
        return Attempts(
            due_at=due_at,
            is_ok=status == "ok",
            may_help=is_lost or run.get("exit_code") in _MAY_HELP,
            count=1,
            ended_at=ended_at if status != "running" or is_lost else None,
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
