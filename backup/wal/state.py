"""How archiving stands, in the set's state: for the agent's items, `bkp status` and whoever looks."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from backup.saving.journal import hold_lock, write_durably, write_state

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from backup.settings.document import BackupSettings
    from backup.wal.names import WalObject

_FILE: Final = "wal.json"


def read_archiving(work: Path, set_name: str) -> dict[str, Any] | None:
    """Return how archiving stands; None when nothing was ever archived here."""
    return _read(work / set_name / _FILE)


def state_lock(work: Path, set_name: str) -> AbstractContextManager[None]:
    """Hold what keeps two from writing state/<set>.json at once."""
    return hold_lock(work / set_name / "state.lock", f"the state of set {set_name!r}")


def note_archived(settings: BackupSettings, set_name: str, archived: WalObject) -> None:
    """Write down that a file is safe."""
    _note(
        settings,
        set_name,
        {
            "archived": archived.wal,
            "written_at": archived.at.isoformat(),
            "archived_at": datetime.now(UTC).isoformat(),
            "failing_since": None,
            "error": None,
        },
    )


def note_failed(settings: BackupSettings, set_name: str, error: str) -> None:
    """Write down that archiving fails, and since when."""
    before = read_archiving(settings.work, set_name) or {}
    since = before.get("failing_since") or datetime.now(UTC).isoformat()
    empty = dict.fromkeys(("archived", "written_at", "archived_at"))
    _note(settings, set_name, {**empty, **before, "failing_since": since, "error": error})


def _note(settings: BackupSettings, set_name: str, table: dict[str, Any]) -> None:
    with state_lock(settings.work, set_name):
        write_durably(settings.work / set_name / _FILE, json.dumps(table, indent=1) + "\n")
        state = _read(settings.state / f"{set_name}.json")
        if state is not None:  # the first run writes it
            write_state(settings.state, set_name, state | {"wal": table, "written_at": datetime.now(UTC).isoformat()})


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
