"""`bkp drill`: proves restore points by restoring them into a scratch place and checking what came back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from backup.command.instants import SAID, at_option
from backup.command.options import json_option, reading_options
from backup.command.reach import chosen_sets
from backup.command.run import due_instant
from backup.command.sets_argument import sets_argument
from backup.command.several import end_with_worst
from backup.command.telling import age, local, progress, say, size, write_json
from backup.errors import BackupError, Cancelled
from backup.model import Place
from backup.proof.drill import drill
from backup.proof.record import DrillBook
from core.model.counting import counted

if TYPE_CHECKING:
    from backup.proof.record import DrillRecord
    from backup.settings.backup_set import SetSettings
    from backup.settings.document import BackupSettings
    from backup.when import When

_EPILOG = f"""\b
Examples:
  bkp drill                             the newest restore point of every set
  bkp drill web1/files web1/shop        of these
  bkp drill shop --at 2026-11-20        as it was then

Files are compared block by block with what the host saw; a PostgreSQL dump is loaded into a server started for it, its
rows counted. Needs the restore station's key, and room for the set (drills.scratch). Nothing of it stays.
How it went is kept for `bkp status` and the station's agent: for sets in the configuration, without --at.
Exit code 0: every one is proven. 54: one is not, or differs. Others: what stood in the way, the worst of it.

{SAID}"""


@click.command("drill", epilog=_EPILOG)
@sets_argument
@at_option("The newest restore point not after this; else the newest.")
@click.option("--due", metavar="INSTANT", callback=due_instant, help="The instant this drill was due, for schedules.")
@json_option
@reading_options
def drill_command(
    *,
    settings: BackupSettings,
    names: tuple[str, ...],
    at: When | None,
    due: datetime | None,
    as_json: bool,
) -> None:
    """Restore SETS (or HOST/SET; every one, when none is named) into a scratch place, check them, throw them away."""
    reach = chosen_sets(settings, names)
    rows: list[dict[str, Any]] = []
    failures: list[BackupError] = []
    for each in reach.sets:
        label = reach.label(each)
        before = _proven_at(settings, each)
        row: dict[str, Any] = {"set": label, "proven_before": None if before is None else before.isoformat()}
        try:
            with reach.open(each) as station, progress(f"drilling {label}", is_shown=not as_json) as tell:
                record = drill(station, at=at, due_at=due, on_progress=tell)
        except Cancelled:
            raise
        except BackupError as error:
            failures.append(error)
            row |= {"is_proven": False, "error": str(error), "exit_code": error.exit_code}
            if not as_json:
                why = "its target is away" if reach.is_away(each) else error
                click.echo(f"{label}: NOT proven: {why}", err=True)
                click.echo(f"  Last proven: {age(before, datetime.now(UTC))}.", err=True)
        else:
            row |= {"is_proven": True, "error": None, "exit_code": 0, "drill": record.table()}
            if not as_json:
                _tell(label, record, before)
        rows.append(row)
    if as_json:
        write_json({"sets": rows, "unread": reach.documents()})
    else:
        if not reach.sets:
            click.echo("There is no backup set here to prove.")
        reach.tell()
        if failures:
            click.echo(f"bkp: {len(failures)} of {counted(len(rows), 'drill')} failed", err=True)
    end_with_worst((*(error.exit_code for error in failures), *reach.codes()))


def _proven_at(settings: BackupSettings, chosen: SetSettings) -> datetime | None:
    place = Place(host=settings.host_of(chosen), set=chosen.name)
    proven = DrillBook(settings.state, place).read().get("last_proven")
    return datetime.fromisoformat(proven["ended_at"]) if proven else None


def _tell(label: str, record: DrillRecord, before: datetime | None) -> None:
    table = record.table()
    click.echo(f"{label}: proven, as of {local(record.point)}")
    if record.evidence is not None:
        say(f"  {record.evidence.words()}", within="    ")
    say(
        f"  {counted(record.files or 0, 'file')}, {size(record.restored_bytes)} restored in"
        f" {record.restore_seconds:.1f} s ({size(table['bytes_per_second'])}/s)"
        + (f", usable after {record.ready_seconds:.1f} s more" if record.ready_seconds else "")
        + f"; {table['duration_seconds']:.1f} s in all. Proven before: {age(before, datetime.now(UTC))}.",
        within="    ",
    )
