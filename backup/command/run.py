"""`bkp run`: saves a set now."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from backup.command.offers import sets_offered
from backup.command.options import config_option, ending, json_option, settings_of
from backup.command.set_state import read_state, said_vanished
from backup.command.telling import local, progress, size
from backup.errors import RunKilled
from backup.model import RunId, Status
from backup.saving.journal import Journal
from backup.sources.own_places import left_out_of, said_left_out

if TYPE_CHECKING:
    from pathlib import Path

    from backup.engine.progress import Progress
    from backup.model import RunRecord
    from backup.settings.document import BackupSettings

_EPILOG = """\b
Examples:
  bkp run files           full or incremental, as the set's rules have it
  bkp run files --full    begin a new chain
  bkp run files --json    one JSON line a phase, the last says how it went

Exit code 0: everything is at the target, was read back and compared, and the signed manifest is there.
Any other code: nothing of this run counts. What each code means: bkp man.
"""


def due_instant(_context: click.Context, _parameter: click.Parameter, text: str | None) -> datetime | None:
    """Return the instant of --due. Raises click.BadParameter."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"expected an instant such as 2026-11-21T02:30:00+00:00, found {text!r}") from error
    if at.tzinfo is None:
        raise click.BadParameter("expected an instant with its zone, such as 2026-11-21T02:30:00+00:00")
    return at.astimezone(UTC)


@click.command("run", epilog=_EPILOG)
@click.argument("name", metavar="SET", shell_complete=sets_offered)
@click.option("--full", "is_full", is_flag=True, help="Make a full backup, whatever the rules say.")
@click.option(
    "--anew",
    "is_anew",
    is_flag=True,
    help="Take the targets as they are: forget the disks, and the restore points, that this host knew there.",
)
@click.option(
    "--due",
    metavar="INSTANT",
    callback=due_instant,
    help="The instant this run was due: with the set's name its id. An id that was begun before does not run again.",
)
@json_option
@config_option
@ending
def run_command(
    *, config: Path | None, name: str, is_full: bool, is_anew: bool, due: datetime | None, as_json: bool
) -> None:
    """Save SET now, compare what lies at its target, sign it."""
    from backup.saving.run import run_set  # noqa: PLC0415 - the engine and its libraries, only when they are needed

    settings = settings_of(config)
    run = RunId(set=name, due_at=due.replace(microsecond=0)) if due is not None else _new_id(settings, name)
    is_watched = not as_json and sys.stderr.isatty()
    last_phase = ""

    def tell_line(told: Progress) -> None:
        nonlocal last_phase
        if told.phase != last_phase:
            last_phase = told.phase
            click.echo(json.dumps({"phase": told.phase}))

    with progress(f"saving {name}", is_shown=is_watched) as tell:
        record = run_set(
            settings, run, is_full_asked=is_full, is_anew=is_anew, on_progress=tell_line if as_json else tell,
            counts_ahead=is_watched,
        )  # fmt: skip
    _end(record, as_json=as_json)
    if said := said_left_out(left_out_of(settings, settings.find_set(name))):
        click.echo(f"bkp: left out, as they are Watchkeep's own: {said}", err=True)
    for line in said_vanished(read_state(settings.state / f"{name}.json"), name):
        click.echo(f"bkp: {line}", err=True)


def _new_id(settings: BackupSettings, name: str) -> RunId:
    """Return the id of a run that is due now; a second one within the same second is another run."""
    journal = Journal(settings.work, settings.find_set(name).name)
    run = RunId(set=name, due_at=datetime.now(UTC).replace(microsecond=0))
    while journal.find(run) is not None:
        run = RunId(set=name, due_at=run.due_at + timedelta(seconds=1))
    return run


def _end(record: RunRecord, *, as_json: bool) -> None:
    """Say how the run went; end with its exit code when it is one that went wrong before."""
    from backup.saving.journal import record_table  # noqa: PLC0415 - as above

    if as_json:
        click.echo(json.dumps(record_table(record)))
    if record.status is Status.KILLED:
        raise RunKilled(f"the run {record.id} was begun before and killed; start another one")
    if record.status is not Status.OK:
        click.echo(f"bkp: the run {record.id} was begun before and failed: {record.error}", err=True)
        raise SystemExit(record.exit_code or 1)
    if not as_json:
        kind = record.kind.value if record.kind else "backup"
        click.echo(
            f"Saved {record.id.set}: {kind} ({record.reason}), {record.entries} entries, {size(record.source_bytes)};"
            f" {size(record.stored_bytes)} added at the target, compared and signed. Restores {local(record.at)}."
        )
        for line in record.moments:
            click.echo(f"  {line}")
        if record.unreadable:
            click.echo(f"bkp: {record.unreadable} entries could not be read; the manifest names them", err=True)
