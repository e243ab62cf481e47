"""`bkp verify`: proves that what lies at the target is what was sent there, and says what damage costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from backup.command.instants import at_option
from backup.command.offers import sets_offered
from backup.command.options import json_option, reading_options
from backup.command.reach import UNREAD, chosen_sets
from backup.command.telling import counted, instant, local, progress, size, write_json
from backup.errors import BackupDamaged
from backup.restoring.station import open_station
from backup.restoring.verify import Depth, verify

if TYPE_CHECKING:
    from backup.restoring.verify import Report
    from backup.settings.document import BackupSettings
    from backup.when import When

_EPILOG = """\b
Examples:
  bkp verify                            every set: manifests and sizes, no download
  bkp verify files --depth read         every file read back, its SHA-256 compared
  bkp verify files --depth decrypted    also decrypted and restored aside: needs the station's key
\b
Exit code 53: damage was found; each damaged file and the restore points it costs are named.
20, 21: a target is away; what the others hold was verified.
"""
_SAID = {
    Depth.STORED: "manifests are signed, every file is there with its size; contents were not read",
    Depth.READ: "every file was read back and is what was sent; nothing was decrypted",
    Depth.DECRYPTED: "every file was read back, and the newest restore point was decrypted and restored aside",
}


@click.command("verify", epilog=_EPILOG)
@click.argument("name", metavar="[SET]", required=False, shell_complete=sets_offered)
@click.option(
    "--depth", type=click.Choice([each.value for each in Depth]), default=Depth.STORED.value, show_default=True,
    help="How deep to look.",
)  # fmt: skip
@at_option("Only the chain that this instant is restored from.")
@json_option
@reading_options
def verify_command(
    *,
    settings: BackupSettings,
    name: str | None,
    depth: str,
    at: When | None,
    as_json: bool,
) -> None:
    """Verify SET (or HOST/SET), or every set, at each of its targets."""
    reach = chosen_sets(settings, () if name is None else (name,))
    copies = reach.copies()
    has_copies = any(each.also for each in reach.sets)
    reports: list[tuple[str, Report]] = []
    for each in copies:
        label = f"{reach.label(each)} at {each.target}" if has_copies else reach.label(each)
        try:
            with open_station(settings, each) as station, progress(f"verifying {label}", is_shown=not as_json) as tell:
                report = verify(station, Depth(depth), at=at, on_progress=tell)
        except UNREAD as error:
            if len(copies) == 1:
                raise
            reach.note(label, error)  # the other copies are looked at all the same
        else:
            reports.append((label, report))
    if as_json:
        write_json({"sets": [_document(label, report) for label, report in reports], "unread": reach.documents()})
    else:
        for label, report in reports:
            _tell(label, report)
        reach.tell()
    damaged = [label for label, report in reports if report.damages]
    if damaged and not as_json:
        raise BackupDamaged(f"damage was found in {', '.join(damaged)}")
    if damaged:
        raise SystemExit(BackupDamaged.exit_code)
    reach.end()


def _document(label: str, report: Report) -> dict[str, object]:
    return {
        "set": label,
        "depth": report.depth.value,
        "files": report.files,
        "bytes_read": report.bytes,
        "restorable": [instant(at) for at in report.restorable],
        "lost": [instant(at) for at in report.lost],
        "damages": [
            {"name": each.name, "what": each.what, "kills": [instant(at) for at in each.kills]}
            for each in report.damages
        ],
        "strays": list(report.strays),
        "fresh_full": report.fresh_full,
    }


def _tell(label: str, report: Report) -> None:
    whole, lost = len(report.restorable), len(report.lost)
    click.echo(f"{label}: {counted(report.files, 'file')}, {size(report.bytes)} read, depth {report.depth.value}")
    for damage in report.damages:
        cost = ", ".join(local(at) for at in damage.kills)
        click.echo(f"  {damage.name}: {damage.what}" + (f"; costs {cost}" if cost else ""))
    if report.damages:
        click.echo(f"  {_say_whole(whole)}, {lost} {'is' if lost == 1 else 'are'} lost")
        if report.fresh_full is not None:
            click.echo(f"  {report.fresh_full}")
    else:
        click.echo(f"  {_say_whole(whole)}: {_SAID[report.depth]}")
    if report.strays:
        belong = "belongs" if len(report.strays) == 1 else "belong"
        click.echo(
            f"  {counted(len(report.strays), 'file')} {belong} to no restore point (of ended runs, which does no harm)"
        )


def _say_whole(points: int) -> str:
    return f"{counted(points, 'restore point')} {'is' if points == 1 else 'are'} whole"
