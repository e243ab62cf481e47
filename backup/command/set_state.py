"""state/<set>.json as commands read it, and what of it is said to people."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from backup.command.telling import local
from backup.errors import why
from core.model.counting import counted
from core.runtime.process import is_alive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MOST_BYTES = 1 << 20


def read_state(file: Path) -> dict[str, Any]:
    """Return a state file's table; empty when there is none, with the reason as `last_run` when it is broken."""
    try:
        with file.open("rb") as opened:
            found = json.loads(opened.read(_MOST_BYTES))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        return {"last_run": {"status": "failed", "error": f"{file} cannot be read: {why(error)}"}}
    return found if isinstance(found, dict) else {}


def mend_killed(record: dict[str, Any] | None) -> dict[str, Any]:
    """Return a run's or a drill's record; one that says it runs while its process is gone says it was killed."""
    if not record or record.get("status") != "running":
        return record or {}
    if is_alive(int(record.get("pid") or 0), record.get("process")):
        return record
    return record | {"status": "killed", "error": "its process was killed before it was done; it counts for nothing"}


def said_vanished(state: dict[str, Any], set_name: str) -> Iterator[str]:
    """Yield a line for each target from which restore points vanished that no prune takes."""
    for entry in state.get("vanished") or ():
        newest = local(datetime.fromisoformat(entry["points"][-1]))
        yield (
            f"{set_name}: {counted(entry['count'], 'restore point')} vanished from target {entry['target']!r}, the"
            f" newest of {newest}. No prune takes these: find out who did, and whether the target still has them"
            f" (versions, snapshots, history). `bkp run {set_name} --anew` takes the target as it is"
        )
