"""State files that `bkp` and the agent leave, as probes read them: what they say, and whether there is news."""

import json
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from core.runtime.process import is_alive
from probes.declaration import ProbeFailedError, Visit

MOST_SETS: Final = 200
_MOST_BYTES: Final = 1 << 20


def read_table(file: Path) -> Mapping[str, Any]:
    """Return the table of a JSON file that `bkp` wrote. Raises ProbeFailedError naming the file."""
    try:
        with file.open("rb") as opened:
            text = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ProbeFailedError(f"{file}: {error.strerror}") from error
    try:
        found = json.loads(text) if len(text) <= _MOST_BYTES else None
    except ValueError as error:
        raise ProbeFailedError(f"{file}: is broken ({error}); the next run of `bkp` writes it anew") from error
    if not isinstance(found, dict):
        raise ProbeFailedError(f"{file}: holds no state of a backup")
    return found


def watch(visit: Visit, files: Iterable[Path]) -> None:
    """Remember when these files were written; 0: they are not there."""
    visit.kept["seen"] = {str(file): _written_ns(str(file)) for file in files}


def has_news(visit: Visit, _parameters: object) -> bool:
    """Tell whether one of the files that are watched has been written since."""
    seen = visit.kept.get("seen")
    return isinstance(seen, dict) and any(_written_ns(file) != written for file, written in seen.items())


def station_sets(visit: Visit, folder: Path | None, list_name: str) -> tuple[Path | None, list[Mapping[str, Any]]]:
    """Return the folder of a station's states and the sets to report, each with its `label`, which is HOST/SET.

    folder: where the states lie, by a probe's parameter; None: the agent's list says that, and what is wanted of each
    set. No folder where there is no list: this agent keeps no station. Raises ProbeFailedError.
    """
    if folder is not None:
        labels = sorted(f"{file.parent.name}/{file.stem}" for file in folder.glob("*/*.json"))
        return folder, [{"label": label} for label in labels[:MOST_SETS]]
    listed = None if visit.folder is None else visit.folder / list_name
    if listed is None or not listed.exists():
        return None, []
    table = read_table(listed)
    try:
        sets: list[Mapping[str, Any]] = [{**entry, "label": str(entry["label"])} for entry in table["sets"]]
        return Path(table["state"]), sets[:MOST_SETS]
    except (KeyError, TypeError, ValueError) as error:
        raise ProbeFailedError(f"{listed}: cannot be understood ({error!r})") from error


def overdue_seconds(entry: Mapping[str, Any], done_at: datetime | None, now: datetime) -> float | None:
    """Return how much longer ago something was done than a set's schedule wants; None without a schedule.

    What was never done counts from when the set became known.
    """
    since = done_at or (None if entry.get("since") is None else instant(entry["since"]))
    if entry.get("period_seconds") is None or since is None:
        return None
    return max(0.0, distance_seconds(since, now) - float(entry["period_seconds"]))


def instant(text: str) -> datetime:
    """Return an instant. Raises ValueError for one without a time zone."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text} says not in which time zone it is")
    return at


def age_seconds(at: datetime) -> float:
    """Return how long ago something was; what is to come is as old as it is far off."""
    return distance_seconds(at, datetime.now(UTC))


def distance_seconds(at: datetime, now: datetime) -> float:
    """Return how far off an instant is. One to come is of a clock that was ahead: what is of then is not young."""
    return abs((now - at).total_seconds())


def is_running(record: Mapping[str, Any] | None) -> bool:
    """Tell whether what says that it runs has a process: one that was killed says so for ever."""
    if record is None or record["status"] != "running":
        return False
    return is_alive(int(record["pid"]), record.get("process"))


def _written_ns(file: str) -> int:
    try:
        return os.stat(file).st_mtime_ns  # noqa: PTH116 - asked every second, a Path would cost more than the call
    except OSError:
        return 0
