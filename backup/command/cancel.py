"""`bkp cancel`: ends a run of a set that goes on."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import click

from backup.command.options import config_option, ending, json_option, settings_of
from backup.command.shell.offers import own_sets_offered
from backup.command.telling import working, write_json
from backup.errors import NoRun, SetBusy, WorkFailed
from backup.model import Status
from backup.runtime.durable import lock_holder
from backup.saving.journal import Journal, record_table

if TYPE_CHECKING:
    from pathlib import Path

    from backup.model import RunRecord

_EPILOG = """\b
Examples:
  bkp cancel files
  bkp cancel files --wait 300       a target that is slow to delete at

The run ends in order, takes back what it had put at the target and counts as cancelled: it is not tried again before
the set is due the next time, and restore points stay as they were. A run that was done meanwhile stays good. A `bkp
run` of several sets begins none of the others any more.

Exit codes: 0 it has ended, 42 it did not end in time, 45 no run of this set is under way here.
"""
_LOOK_SECONDS = 0.1


@click.command("cancel", epilog=_EPILOG)
@click.argument("name", metavar="SET", shell_complete=own_sets_offered)
@click.option("--wait", type=click.IntRange(min=1), default=60, show_default=True, help="Seconds to wait for its end.")
@json_option
@config_option
@ending
def cancel(*, config: Path | None, name: str, wait: int, as_json: bool) -> None:
    """End the run of SET that goes on on this machine, and wait until it has ended."""
    settings = settings_of(config)
    name = settings.find_set(name.removeprefix(f"{settings.host}/")).name
    lock = settings.work / name / "lock"
    process = lock_holder(lock)
    if process is None:
        raise NoRun(f"no run of set {name!r} is under way here: bkp status says how the last one went")
    _ask_to_end(process, lock)
    deadline = time.monotonic() + wait
    with working(f"ending the run of {name}", is_shown=not as_json):
        while lock_holder(lock) == process:
            if time.monotonic() > deadline:
                raise SetBusy(f"process {process} was told to end {wait} s ago and has not: ask again, or look at it")
            time.sleep(_LOOK_SECONDS)
    records = Journal(settings.work, name).newest(1)
    if as_json:
        write_json(record_table(records[0]) if records else None)
    else:
        click.echo(_said(records[0] if records else None, process))


def _ask_to_end(process: int, lock: Path) -> None:
    """Send SIGINT to the process if it still has the lock: its number may be another's by now. Raises WorkFailed."""
    try:
        descriptor = os.pidfd_open(process)
    except (ProcessLookupError, OSError):
        return  # it has ended
    try:
        if lock_holder(lock) == process:
            signal.pidfd_send_signal(descriptor, signal.SIGINT)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise WorkFailed(f"process {process} is another user's: cancel as that user or as root") from error
    finally:
        os.close(descriptor)


def _said(record: RunRecord | None, process: int) -> str:
    if record is None or record.status is Status.RUNNING:
        return f"Process {process} has ended; the next run takes back what it left."
    if record.status is Status.CANCELLED:
        return f"The run {record.id} is cancelled; it leaves nothing, and restore points are as they were."
    return f"The run {record.id} had ended already: {record.status.value}."
