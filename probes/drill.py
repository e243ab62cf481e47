"""How this restore station's drills stand: what `bkp drill` wrote down of each set, with ages as of now."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.config.reader import setting
from probes.backup import MOST_SETS, read_table
from probes.declaration import Failure, Item, ProbeFailedError, Reading, Visit, probe

if TYPE_CHECKING:
    from collections.abc import Iterator

DRILLS_FILE: Final = "drills.json"
PROVEN, RUNNING, FAILED, NEVER = 0.0, 1.0, 2.0, 3.0
_MOST_TEXT: Final = 2000


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Where the states lie."""

    folder: Path | None = field(
        default=None,
        metadata=setting("folder `drills` below the station's `state`; none: of the drills this agent runs"),
    )


def _item(key: str, unit: str, description: str, kind: str = "number") -> Item:
    return Item(key=f"drill.{key}", unit=unit, description=description, parameter="host/set", type=kind)


_ITEMS = (
    _item("status", "", "How the last drill ended: 0 proven, 1 running, 2 failed, 3 never ran"),
    _item("proven_age_seconds", "s", "How long ago a drill last proved a restore point of the set"),
    _item("overdue_seconds", "s", "How much longer ago that is than the drills' schedule wants"),
    _item("proven_point", "", "The restore point that was proven last, an instant in UTC", "text"),
    _item("duration_seconds", "s", "How long the last proving drill took in all"),
    _item("restored_bytes", "B", "What the last proving drill restored"),
    _item("restored_per_second", "B/s", "How fast the last proving drill restored"),
    _item("restore_seconds", "s", "How long restoring the newest restore point will take, by what drills took"),
    _item("restore_over_seconds", "s", "How much longer that is than the set's restore_within allows"),
    _item("evidence", "", "What the last proving drill looked at", "text"),
    _item("error", "", "Why the last drill failed; empty when it did not", "text"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Set:
    """A set to report: `label` is HOST/SET, the others are None where nothing is known of them."""

    label: str
    period_seconds: float | None = None
    since: datetime | None = None
    within_seconds: float | None = None


def _written_ns(file: str) -> int:
    try:
        return os.stat(file).st_mtime_ns  # noqa: PTH116 - asked every second
    except OSError:
        return 0


def _has_news(visit: Visit, _parameters: Parameters) -> bool:
    """Tell whether a drill has begun or ended since the last read."""
    seen = visit.kept.get("seen")
    return isinstance(seen, dict) and any(_written_ns(file) != written for file, written in seen.items())


@probe("drill", items=_ITEMS, parameters=Parameters, may_block=True, has_news=_has_news)
def read_drills(visit: Visit, parameters: Parameters) -> "Iterator[Reading | Failure]":
    """Yield each set's figures; nothing where no drills are run. A broken state file hurts no other set."""
    folder, sets = _known_sets(visit, parameters)
    if folder is None:
        return
    visit.kept["seen"] = {
        str(file): _written_ns(str(file)) for file in (folder / f"{each.label}.json" for each in sets)
    }
    now = datetime.now(UTC)
    for each in sets:
        file = folder / f"{each.label}.json"
        try:
            yield from _readings(each, read_table(file) if file.exists() else {}, now)
        except ProbeFailedError as error:
            yield Failure(str(error))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            yield Failure(f"{file}: cannot be understood ({error!r})")


def _known_sets(visit: Visit, parameters: Parameters) -> tuple[Path | None, list[_Set]]:
    """Return the folder of states and the sets to report; no folder where this agent runs no drills."""
    if parameters.folder is not None:
        labels = sorted(f"{file.parent.name}/{file.stem}" for file in parameters.folder.glob("*/*.json"))
        return parameters.folder, [_Set(label=label) for label in labels[:MOST_SETS]]
    listed = None if visit.folder is None else visit.folder / DRILLS_FILE
    if listed is None or not listed.exists():
        return None, []
    table = read_table(listed)
    try:
        sets = [
            _Set(
                label=str(entry["label"]),
                period_seconds=entry["period_seconds"],
                since=datetime.fromisoformat(entry["since"]),
                within_seconds=entry["within_seconds"],
            )
            for entry in table["sets"]
        ]
        return Path(table["state"]), sets[:MOST_SETS]
    except (KeyError, TypeError, ValueError) as error:
        raise ProbeFailedError(f"{listed}: cannot be understood ({error!r})") from error


def _readings(each: _Set, state: Mapping[str, Any], now: datetime) -> "Iterator[Reading]":
    last, proven, newest = state.get("last_drill"), state.get("last_proven"), state.get("newest")
    status, error = _status(last)
    yield Reading("drill.status", status, each.label)
    yield Reading("drill.error", error[:_MOST_TEXT], each.label)
    proven_at = None if proven is None else datetime.fromisoformat(proven["ended_at"])
    since = proven_at or each.since
    if each.period_seconds is not None and since is not None:
        late = (now - since).total_seconds() - each.period_seconds
        yield Reading("drill.overdue_seconds", max(0.0, late), each.label)
    if proven is not None and proven_at is not None:
        yield Reading("drill.proven_age_seconds", max(0.0, (now - proven_at).total_seconds()), each.label)
        yield Reading("drill.proven_point", str(proven["point"]), each.label)
        yield Reading("drill.evidence", str(proven["evidence"] or "")[:_MOST_TEXT], each.label)
        yield Reading("drill.duration_seconds", float(proven["duration_seconds"]), each.label)
        yield Reading("drill.restored_bytes", float(proven["restored_bytes"]), each.label)
        if proven.get("bytes_per_second") is not None:
            yield Reading("drill.restored_per_second", float(proven["bytes_per_second"]), each.label)
    seconds = None if newest is None else newest["restore_seconds"]
    if seconds is not None:
        yield Reading("drill.restore_seconds", float(seconds), each.label)
        if each.within_seconds is not None:
            yield Reading("drill.restore_over_seconds", max(0.0, seconds - each.within_seconds), each.label)


def _status(last: Mapping[str, Any] | None) -> tuple[float, str]:
    """Return the status and why it failed. One that says it runs, while nobody does it, was killed."""
    if last is None:
        return NEVER, ""
    if last["status"] == "ok":
        return PROVEN, ""
    if last["status"] == "running" and _is_there(int(last["pid"])):
        return RUNNING, ""
    return FAILED, str(last.get("error") or "it was killed before it was done, and proves nothing")


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True
