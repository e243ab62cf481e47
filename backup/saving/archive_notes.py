"""How archiving what a server writes between two runs stands: in the work folder, and in the set's state for others."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from backup.runtime.durable import hold_lock, write_durably, write_state

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from backup.settings.backup_set import SetSettings
    from backup.settings.document import BackupSettings

_STATE_SECONDS: Final = 60.0
"""How long the state is waited for: whoever has it writes two files, which takes a slow disk some seconds."""


def state_lock(work: Path, set_name: str) -> AbstractContextManager[None]:
    """Hold what keeps two from writing state/<set>.json at once."""
    return hold_lock(work / set_name / "state.lock", f"the state of set {set_name!r}", _STATE_SECONDS)


def read_archives(work: Path, chosen: SetSettings) -> dict[str, Any]:
    """Return what the set's state says of its archives: None of one that nothing was ever archived in, or is not kept.

    That of binary logs is kept by an interval of the set's: without one any more, it would be late for ever.
    """
    binlog = None if chosen.binary_logs is None else read_table(work / chosen.name / "binlog.json")
    return {"wal": read_table(work / chosen.name / "wal.json"), "binlog": binlog}


class ArchiveNotes:
    """The notes of one archive of a set. kind: "wal" or "binlog", as the state calls it."""

    def __init__(self, settings: BackupSettings, set_name: str, kind: str) -> None:
        self._settings, self._set, self._kind = settings, set_name, kind
        self._path = settings.work / set_name / f"{kind}.json"

    def read(self) -> dict[str, Any] | None:
        """Return what was noted last; None when nothing ever was."""
        return read_table(self._path)

    def note(self, changes: Mapping[str, Any]) -> None:
        """Write down what changed; what archiving did not touch stays as it was."""
        with state_lock(self._settings.work, self._set):
            table = {**(self.read() or {}), **changes}
            write_durably(self._path, json.dumps(table, indent=1) + "\n")
            state = read_table(self._settings.state / f"{self._set}.json")
            if state is not None:  # the first run writes it
                told = state | {self._kind: table, "written_at": datetime.now(UTC).isoformat()}
                write_state(self._settings.state, self._set, told)

    def fail(self, error: str, empty: Mapping[str, Any]) -> None:
        """Write down that archiving fails, and since when. empty: what is told where nothing was ever archived."""
        before = self.read() or {}
        since = before.get("failing_since") or datetime.now(UTC).isoformat()
        self.note({**empty, **before, "failing_since": since, "error": error})


def read_table(path: Path) -> dict[str, Any] | None:
    """Return a file's table of JSON; None when it is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
