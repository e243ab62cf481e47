"""`bkp verify`: proves that what lies at the target is what was sent there, and says what damage costs."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import click

from backup.archives.verify import ArchivedLogs
from backup.command.instants import at_option
from backup.command.options import json_option, reading_options
from backup.command.reach import UNREAD, chosen_sets
from backup.command.run import due_instant
from backup.command.sets_argument import sets_argument
from backup.command.telling import progress, write_json
from backup.command.verify_telling import report_document, tell_report
from backup.errors import BackupDamaged, NoRestorePoint, WorkFailed
from backup.model import Place
from backup.restoring.verification_book import VerificationBook, VerificationRecord
from backup.restoring.verify import Depth, verify
from backup.settings.checks import parse_share
from backup.settings.verification import step_of
from backup.station.station import open_station

if TYPE_CHECKING:
    from datetime import datetime

    from backup.command.reach import Reach
    from backup.errors import BackupError
    from backup.restoring.verify import Report
    from backup.settings.backup_set import SetSettings
    from backup.settings.document import BackupSettings
    from backup.when import When

_EPILOG = """\b
Examples:
  bkp verify                           every set, without a download
  bkp verify files --depth read        every file read back, SHA-256 compared
  bkp verify --sample 10%              a tenth of the files read back, in turn
  bkp verify files --depth decrypted   also decrypted and restored aside

What the last verification of a set in the configuration found is kept for `bkp status` and the station's agent, but not
with --at. --depth decrypted needs the station's key. Each target is looked at, archived WAL and binary logs too. Exit
code 53: damage was found; each damaged file and the restore points it costs are named, of a log the moments. 20, 21: a
target is away; what the others hold was verified. 50: there is no restore point. Others: what stood in the way of
telling all (15: a manifest of an unknown signer; 14, 44 …: of decrypting), which is no damage.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What is asked of each set. share: of the files to read; None: all. due_at: when the schedule wanted it."""

    depth: Depth
    share: float | None
    at: When | None
    due_at: datetime | None
    as_json: bool


def _share(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    try:
        return None if text is None else parse_share(text)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from error


@click.command("verify", epilog=_EPILOG)
@sets_argument
@click.option(
    "--depth", type=click.Choice([each.value for each in Depth]),
    help='How deep to look; else "stored".',
)  # fmt: skip
@click.option(
    "--sample", "share", metavar="SHARE", callback=_share,
    help="Read only this share of the files, others each time, until all were read.",
)  # fmt: skip
@at_option("Only the chain that this instant is restored from.")
@click.option(
    "--due", metavar="INSTANT", callback=due_instant, help="The instant this verification was due, for schedules."
)
@json_option
@reading_options
def verify_command(  # noqa: PLR0913 - one parameter an option
    *,
    settings: BackupSettings,
    names: tuple[str, ...],
    depth: str | None,
    share: float | None,
    at: When | None,
    due: datetime | None,
    as_json: bool,
) -> None:
    """Verify SETS (or HOST/SET; every one, when none is named), at each of their targets."""
    if share is not None and depth not in (None, Depth.READ):
        raise click.UsageError("--sample reads a share of the files: that is --depth read")
    wanted = Depth(depth) if depth else Depth.STORED if share is None else Depth.READ
    asked = _Asked(depth=wanted, share=share, at=at, due_at=due, as_json=as_json)
    reach = chosen_sets(settings, names)
    sets = [dict(_verify_set(reach, each, asked)) for each in reach.sets]
    reports = [found for copies in sets for found in copies.items()]
    if as_json:
        write_json({"sets": [report_document(label, report) for label, report in reports], "unread": reach.documents()})
    else:
        for copies in sets:
            for label, report in copies.items():
                tell_report(label, report, {other: copies[other] for other in copies if other != label})
        reach.tell()
    if damaged := [label for label, report in reports if report.damages]:
        if as_json:
            raise SystemExit(BackupDamaged.exit_code)
        raise BackupDamaged(f"damage was found in {', '.join(damaged)}")
    reach.end()


def _verify_set(reach: Reach, chosen: SetSettings, asked: _Asked) -> list[tuple[str, Report]]:
    """Verify each copy of a set; write down how that went where it is in the configuration.

    What cannot be read is noted, and the other copies looked at all the same; of a single copy in all it is raised.
    """
    place = Place(host=reach.settings.host_of(chosen), set=chosen.name)
    book = VerificationBook(reach.settings.state, place, is_kept=asked.at is None and reach.settings.has_set(chosen))
    step = step_of(asked.depth.value, is_sampled=asked.share is not None)
    reports: list[tuple[str, Report]] = []
    with contextlib.ExitStack() as stack:
        errors: list[BackupError] = []
        if asked.due_at is not None:
            errors = stack.enter_context(book.keeping(VerificationRecord(due_at=asked.due_at, step=step)))
        errors += [reach.away[name] for name in chosen.targets if name in reach.away]
        for copy in (chosen.at_target(name) for name in chosen.targets if name not in reach.away):
            label = f"{reach.label(chosen)} at {copy.target}" if reach.has_copies else reach.label(chosen)
            try:
                report = _verify_copy(reach.settings, copy, book, asked, label)
            except UNREAD as error:
                if len(reach.copies()) == 1:
                    raise
                reach.note(label, error)
                errors.append(error)
            else:
                reports.append((label, report))
                for number, hindrance in enumerate(report.hindrances, start=1):
                    errors.append(hindrance)
                    reach.note(f"all of {label}{f' ({number})' if number > 1 else ''}", hindrance)
                if report.damages:
                    errors.insert(0, BackupDamaged(f"{report.damages[0].name}: {report.damages[0].what}"))
                elif (
                    not report.restorable and not report.hindrances
                ):  # everything may have been deleted: nothing is not whole
                    errors.append(NoRestorePoint("there is no restore point"))
                    reach.note(label, errors[-1])
    return reports


def _verify_copy(
    settings: BackupSettings, copy: SetSettings, book: VerificationBook, asked: _Asked, label: str
) -> Report:
    sampling = None if asked.share is None else book.sampling(copy.target, asked.share)
    with (
        open_station(settings, copy) as station,
        progress(f"verifying {label}", is_shown=not asked.as_json) as tell,
    ):
        logs_of = partial(ArchivedLogs, seen=book.seen_logs(copy.target))
        seen = book.seen(copy.target)
        report = verify(
            station, asked.depth, at=asked.at, sampling=sampling, seen=seen, logs_of=logs_of, on_progress=tell
        )
    try:
        book.note(copy.target, report, sampling)
    except WorkFailed as error:  # whoever may not write here is to know what was found all the same
        click.echo(f"bkp: what was found is not kept for others: {error}", err=True)
    return report
