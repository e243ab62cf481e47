"""state/<set>.json: how a set stands, for the agent, its probe and whoever looks. docs/backup.md has its form."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from backup.journal import record_table
from backup.model import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backup.model import RunRecord

FORM: Final = "watchkeep-backup-state-1"
_USUAL_RUNS: Final = 7


def state_table(
    host: str,
    records: Sequence[RunRecord],
    *,
    restore_points: int | None,
    reminders: Sequence[str],
) -> dict[str, Any]:
    """Return the state of a set from its records, newest first (at least one).

    last_run: the newest, however it went. last_good: the newest that is ok, or null. usual_bytes: the most that one of
    the seven good runs before it saved, or null. restore_points: null while nobody has counted them.
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
        "restore_points": restore_points,
        "reminders": list(reminders),
    }
