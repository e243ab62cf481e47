"""A run of a set: written down before it begins, ended one way or another, never twice."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from backup.errors import BackupError, Cancelled, Overdue, TargetFull, TimedOut, WorkFailed
from backup.model import RunRecord, Status
from backup.runtime.durable import write_state
from backup.runtime.signals import cancelled_by_signals
from backup.saving.archive_notes import read_archives, state_lock
from backup.saving.attempt import Attempt
from backup.saving.journal import Journal
from backup.saving.state import state_table
from backup.saving.steps import save
from backup.saving.taking_back import take_back
from backup.sources.registry import source_of
from core.runtime.process import own_mark

if TYPE_CHECKING:
    from collections.abc import Callable

    from backup.engine.progress import Progress
    from backup.model import RunId
    from backup.settings.document import BackupSettings


def run_set(
    settings: BackupSettings,
    run: RunId,
    *,
    is_full_asked: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    counts_ahead: bool = False,
    is_anew: bool = False,
) -> RunRecord:
    """Save a set now; return the record with status OK.

    A run id that was begun before does not run again: its record is returned, whether it is OK, FAILED, CANCELLED or
    KILLED. Failures raise the BackupError that says why, after journal and state/<set>.json have it. Cancelled when the
    process got SIGINT or SIGTERM, TimedOut when the set's time limit is over; what it left at the target is gone then.
    Blocks; several hours are normal.
    `is_anew`: the targets are taken as they are, whatever disk or restore points this host knew there.
    `on_progress` hears of phases; with `counts_ahead` the source is read twice, so that it hears of shares too.
    """
    chosen = settings.find_set(run.set)
    source = source_of(settings, chosen)
    journal = Journal(settings.work, chosen.name)
    with journal.locked():
        journal.bury()
        known = journal.find(run)
        if known is not None:
            return known
        attempt = Attempt(
            settings=settings,
            chosen=chosen,
            source=source,
            journal=journal,
            record=RunRecord(id=run, status=Status.RUNNING, started_at=_now(), pid=os.getpid(), process=own_mark()),
            is_full_asked=is_full_asked,
            on_progress=on_progress,
            counts_ahead=counts_ahead,
            is_anew=is_anew,
        )
        try:
            attempt.note()
            _tell(attempt)
            with cancelled_by_signals(chosen.time_limit):
                save(attempt)
            attempt.note(status=Status.OK, ended_at=_now())
        except Cancelled as error:
            _fail(attempt, error, Status.CANCELLED if error.is_asked_for else Status.FAILED)
            _clear(attempt)
            if isinstance(error, Overdue):  # this run's, and nothing else that goes on
                raise TimedOut(str(error)) from error
            raise
        except TargetFull as error:
            _fail(attempt, error)
            _clear(attempt)  # what is left of it would keep the target full, for everybody
            raise
        except BackupError as error:
            _fail(attempt, error)
            raise
        except OSError as error:
            failure = WorkFailed(f"this machine's disk is in the way: {error}")
            _fail(attempt, failure)
            raise failure from error
        _tell(attempt)
        return attempt.record


def _clear(attempt: Attempt) -> None:
    """Take back what the run left at its targets. What cannot be taken back now the next run takes back."""
    if attempt.record.chain is not None:
        with suppress(BackupError, OSError):
            take_back(attempt)
            _tell(attempt)


def _fail(attempt: Attempt, error: BackupError, status: Status = Status.FAILED) -> None:
    """Write down that the run failed. A disk that cannot take even that leaves the record to be found as killed."""
    attempt.record = replace(
        attempt.record, status=status, ended_at=_now(), error=str(error), exit_code=error.exit_code
    )
    try:
        attempt.note()
        _tell(attempt)
    except (OSError, BackupError):
        return


def _tell(attempt: Attempt) -> None:
    """Write state/<set>.json; what the run has not counted stays as the one before counted it."""
    before = _last_state(attempt)
    points = attempt.restore_points if attempt.restore_points is not None else before.get("restore_points")
    reminders = attempt.reminders if attempt.reminders is not None else before.get("reminders", [])
    expires = before.get("key_expires_at")
    if attempt.reminders is not None:  # the keys were looked at
        expires = None if attempt.key_expires_at is None else attempt.key_expires_at.isoformat()
    table = state_table(
        attempt.settings.host_of(attempt.chosen),
        attempt.journal.newest(),
        restore_points=points,
        reminders=reminders,
        key_expires_at=expires,
        vanished=before.get("vanished", []) if attempt.vanished is None else attempt.vanished,
    )
    work, name = attempt.settings.work, attempt.chosen.name
    with state_lock(work, name):
        write_state(attempt.settings.state, name, table | read_archives(work, attempt.chosen))


def _last_state(attempt: Attempt) -> dict[str, Any]:
    try:
        found = json.loads((attempt.settings.state / f"{attempt.chosen.name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _now() -> datetime:
    return datetime.now(UTC)
