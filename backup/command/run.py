"""`bkp run`: saves sets now."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click

from backup.command.options import config_option, ending, json_option, settings_of
from backup.command.set_state import read_state, said_vanished
from backup.command.sets_argument import own_sets_argument
from backup.command.several import end_with_worst
from backup.command.telling import local, progress, say, size
from backup.errors import BackupError, Cancelled, ConfigInvalid, RunKilled
from backup.model import RunId, Status
from backup.saving.journal import Journal, sets_under_way
from backup.sources.files.own_places import left_out_of, said_left_out
from core.model.counting import counted

if TYPE_CHECKING:
    from pathlib import Path

    from backup.engine.progress import Progress
    from backup.model import RunRecord
    from backup.settings.document import BackupSettings

_EPILOG = """\b
Examples:
  bkp run files           full or incremental, as the set's rules have it
  bkp run files shop      one after the other
  bkp run --all           every set of the configuration
  bkp run files --full    begin a new chain
  bkp run files --json    one JSON line a phase, the last says how it went

Exit code 0: everything is at the target, was read back and compared, and the signed manifest is there.
Any other code: nothing of this run counts. What each code means: bkp man. When one of several sets fails, the others
are saved all the same; the code is the worst. Ctrl-C, or bkp cancel of the one that is being saved, ends them all.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What is asked of each set. is_single: it is the only one."""

    is_full: bool
    is_anew: bool
    due: datetime | None
    as_json: bool
    is_single: bool


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
@own_sets_argument
@click.option("--all", "is_all", is_flag=True, help="Save every set of the configuration.")
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
def run_command(  # noqa: PLR0913 - one parameter an option
    *, config: Path | None, names: tuple[str, ...], is_all: bool, is_full: bool, is_anew: bool, due: datetime | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Save SETS now, one after another; compare what lies at their targets, sign it."""
    settings = settings_of(config)
    sets = _chosen(settings, names, is_all=is_all)
    asked = _Asked(is_full=is_full, is_anew=is_anew, due=due, as_json=as_json, is_single=len(sets) == 1)
    codes: list[int] = []
    for number, name in enumerate(sets):
        try:
            codes.append(_save(settings, name, asked))
        except Cancelled:
            if left := sets[number + 1 :]:
                click.echo(f"bkp: not begun any more: {', '.join(left)}", err=True)
            raise
        except BackupError as error:
            if asked.is_single:
                raise
            codes.append(error.exit_code)
            _tell_failure(name, error, as_json=as_json)
    if failed := [name for name, code in zip(sets, codes, strict=True) if code and not asked.is_single]:
        click.echo(f"bkp: {len(failed)} of {len(sets)} sets failed: {', '.join(failed)}", err=True)
    end_with_worst(codes)


def _chosen(settings: BackupSettings, names: tuple[str, ...], *, is_all: bool) -> list[str]:
    """Return the names of the sets to save. Raises ConfigInvalid; click.UsageError naming those there are."""
    own = [each.name for each in settings.sets if each.sources and settings.host_of(each) == settings.host]
    if is_all and names:
        raise click.UsageError("either name sets or say --all")
    if is_all:
        if not own:
            raise ConfigInvalid("there is no set in the configuration that is saved here")
        return own
    if not names:
        there = ", ".join(own) or "none in this configuration"
        raise click.UsageError(f"say which sets to save, or --all. There are: {there}")
    plain = [name.removeprefix(f"{settings.host}/") for name in names]
    return list(dict.fromkeys(settings.find_set(name).name for name in plain))


def _save(settings: BackupSettings, name: str, asked: _Asked) -> int:
    """Save a set and say how it went; return its exit code, which is that of before where its id was begun before."""
    from backup.saving.run import run_set  # noqa: PLC0415 - the engine and its libraries, only when they are needed

    due = asked.due
    run = RunId(set=name, due_at=due.replace(microsecond=0)) if due is not None else _new_id(settings, name)
    if due is None:
        _tell_of_others(settings, name)
    is_watched = not asked.as_json and sys.stderr.isatty()
    last_phase = ""

    def tell_line(told: Progress) -> None:
        nonlocal last_phase
        if told.phase != last_phase:
            last_phase = told.phase
            click.echo(json.dumps({"set": name, "phase": told.phase}))

    with progress("saving", of=name, is_shown=is_watched) as tell:
        record = run_set(
            settings, run, is_full_asked=asked.is_full, is_anew=asked.is_anew,
            on_progress=tell_line if asked.as_json else tell, counts_ahead=is_watched,
        )  # fmt: skip
    code = _tell(record, " and ".join(settings.find_set(name).targets), as_json=asked.as_json)
    if code:
        return code
    if said := said_left_out(left_out_of(settings, settings.find_set(name))):
        click.echo(f"bkp: left out, as they are Watchkeep's own: {said}", err=True)
    for line in said_vanished(read_state(settings.state / f"{name}.json"), name):
        click.echo(f"bkp: {line}", err=True)
    return code


def _tell_failure(name: str, error: BackupError, *, as_json: bool) -> None:
    """Say why one of several sets was not saved."""
    if as_json:
        told = {"kind": type(error).__name__, "message": str(error), "exit_code": error.exit_code}
        click.echo(json.dumps({"set": name, "error": told}))
    click.echo(f"bkp: {name}: {error}", err=True)


def _new_id(settings: BackupSettings, name: str) -> RunId:
    """Return the id of a run that is due now; a second one within the same second is another run."""
    journal = Journal(settings.work, settings.find_set(name).name)
    run = RunId(set=name, due_at=datetime.now(UTC).replace(microsecond=0))
    while journal.find(run) is not None:
        run = RunId(set=name, due_at=run.due_at + timedelta(seconds=1))
    return run


def _tell_of_others(settings: BackupSettings, name: str) -> None:
    """Say when this run is one more than the agent would have side by side: a person decides, and is told."""
    others = sets_under_way(settings.work, (each.name for each in settings.sets if each.name != name))
    if len(others) >= settings.at_once:
        click.echo(
            f"bkp: being saved here as well: {', '.join(others)}; at_once = {settings.at_once} holds for what the agent"
            " begins, which waits for this run, too",
            err=True,
        )


def _tell(record: RunRecord, targets: str, *, as_json: bool) -> int:
    """Say how the run to these targets went; return its exit code, when it is one that went wrong before.

    Raises RunKilled of one that was killed before.
    """
    from backup.saving.journal import record_table  # noqa: PLC0415 - as above

    if as_json:
        click.echo(json.dumps(record_table(record)))
    if record.status is Status.KILLED:
        raise RunKilled(f"the run {record.id} was begun before and killed; start another one")
    if record.status is not Status.OK:
        click.echo(f"bkp: the run {record.id} was begun before and failed: {record.error}", err=True)
        return record.exit_code or 1
    if not as_json:
        kind = record.kind.value if record.kind else "backup"
        say(
            f"Saved {record.id.set}: {kind} ({record.reason}), {counted(record.entries or 0, 'entry')},"
            f" {size(record.source_bytes)}; {size(record.stored_bytes)} added at {targets}, compared and signed."
            f" Restore point {local(record.at)}."
        )
        for line in record.moments:
            click.echo(f"  {line}")
        if record.unreadable:
            click.echo(f"bkp: not read: {counted(record.unreadable, 'entry')}; the manifest has the names", err=True)
    return 0
