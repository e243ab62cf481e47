"""How this restore station's drills stand: what `bkp drill` wrote down of each set, with ages as of now."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from core.config.reader import setting
from probes.declaration import Failure, Item, ProbeFailedError, Reading, Visit, probe
from probes.state_files import (
    age_seconds,
    has_news,
    instant,
    is_running,
    overdue_seconds,
    read_table,
    station_sets,
    watch,
)

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


@probe("drill", items=_ITEMS, parameters=Parameters, may_block=True, has_news=has_news)
def read_drills(visit: Visit, parameters: Parameters) -> "Iterator[Reading | Failure]":
    """Yield each set's figures; nothing where no drills are run. A broken state file hurts no other set."""
    folder, sets = station_sets(visit, parameters.folder, DRILLS_FILE)
    if folder is None:
        return
    files = [folder / f"{each['label']}.json" for each in sets]
    watch(visit, files)
    now = datetime.now(UTC)
    for each, file in zip(sets, files, strict=True):
        try:
            yield from _readings(each, read_table(file) if file.exists() else {}, now)
        except ProbeFailedError as error:
            yield Failure(str(error))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            yield Failure(f"{file}: cannot be understood ({error!r})")


def _readings(each: Mapping[str, Any], state: Mapping[str, Any], now: datetime) -> "Iterator[Reading]":
    last, proven, newest = state.get("last_drill"), state.get("last_proven"), state.get("newest")
    label = each["label"]
    status, error = _status(last)
    yield Reading("drill.status", status, label)
    yield Reading("drill.error", error[:_MOST_TEXT], label)
    proven_at = None if proven is None else instant(proven["ended_at"])
    late = overdue_seconds(each, proven_at, now)
    if late is not None:
        yield Reading("drill.overdue_seconds", late, label)
    if proven is not None and proven_at is not None:
        yield Reading("drill.proven_age_seconds", age_seconds(proven_at), label)
        yield Reading("drill.proven_point", str(proven["point"]), label)
        yield Reading("drill.evidence", str(proven["evidence"] or "")[:_MOST_TEXT], label)
        yield Reading("drill.duration_seconds", float(proven["duration_seconds"]), label)
        yield Reading("drill.restored_bytes", float(proven["restored_bytes"]), label)
        if proven.get("bytes_per_second") is not None:
            yield Reading("drill.restored_per_second", float(proven["bytes_per_second"]), label)
    seconds = None if newest is None else newest["restore_seconds"]
    if seconds is not None:
        yield Reading("drill.restore_seconds", float(seconds), label)
        if each.get("within_seconds") is not None:
            yield Reading("drill.restore_over_seconds", max(0.0, seconds - each["within_seconds"]), label)


def _status(last: Mapping[str, Any] | None) -> tuple[float, str]:
    """Return the status and why it failed. One that says it runs, while nobody does it, was killed."""
    if last is None:
        return NEVER, ""
    if last["status"] == "ok":
        return PROVEN, ""
    if is_running(last):
        return RUNNING, ""
    return FAILED, str(last.get("error") or "it was killed before it was done, and proves nothing")
