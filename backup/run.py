"""A run of a set from the first look to the signed manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from backup.engine.progress import Progress
    from backup.model import RunId, RunRecord
    from backup.settings import BackupSettings


def run_set(
    settings: BackupSettings,
    run: RunId,
    *,
    is_full_asked: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> RunRecord:
    """Save a set now; return the record with status OK.

    A run id that was begun before does not run again: its record is returned (OK, FAILED, or KILLED), whatever it is.
    Failures raise the BackupError that says why, after journal and state/<set>.json have it. Cancelled when the
    process got SIGINT or SIGTERM. Blocks; several hours are normal.
    """
    raise NotImplementedError
