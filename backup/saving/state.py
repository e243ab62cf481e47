"""state/<set>.json: how a set stands, for the agent, its probe and whoever looks. docs/backup.md has its form."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from backup.model import Kind, Status
from backup.saving.journal import record_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backup.model import RunRecord

FORM: Final = "watchkeep-backup-state-1"
_USUAL_RUNS: Final = 7
_FEWEST_RUNS: Final = 3


def state_table(
    host: str,
    records: Sequence[RunRecord],
    *,
    restore_points: int | None,
    reminders: Sequence[str],
    key_expires_at: str | None = None,
    vanished: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Return the state of a set from its records, newest first (at least one).

    last_run: the newest, however it went. last_good: the newest that is ok, or null. usual_bytes: the most that one of
    the seven good runs before it saved, or null. usual_seconds: by kind, how long the seven good runs of that kind
    before the last one took in the middle, where there are three. restore_points: null while nobody has counted them.
    key_expires_at: when the first key that the runs need expires, or null. vanished: by target, which points are gone
    from there though no prune takes them.
    """
    good = [record for record in records if record.status is Status.OK]
    before = [record.source_bytes for record in good[1 : 1 + _USUAL_RUNS] if record.source_bytes is not None]
    return {
        "form": FORM,
        "host": host,
        "set": records[0].id.set,
        "written_at": datetime.now(UTC).isoformat(),
        "last_run": record_table(records[0]),
        "last_good": record_table(good[0]) if good else None,
        "usual_bytes": max(before, default=None),
        "usual_seconds": _usual_seconds(records),
        "restore_points": restore_points,
        "vanished": list(vanished),
        "reminders": list(reminders),
        "key_expires_at": key_expires_at,
    }


def _usual_seconds(records: Sequence[RunRecord]) -> dict[str, float]:
    """Return by kind how long runs take, the last one left out: it is what is compared."""
    good = [record for record in records[1:] if record.status is Status.OK]
    found: dict[str, float] = {}
    for kind in Kind:
        took = [each.duration_seconds for each in good if each.kind is kind and each.duration_seconds is not None]
        if len(took) >= _FEWEST_RUNS:
            found[kind.value] = _middle(took[:_USUAL_RUNS])
    return found


def _middle(values: Sequence[float]) -> float:
    """Return the median; `statistics` takes as long to import as the rest of this room."""
    ordered, half = sorted(values), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2
