"""`bkp ls`: the files of a restore point."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from backup.browse import children, list_files, shown
from backup.command.options import json_option, reading_options, set_of
from backup.command.telling import instant, local, write_json
from backup.restore import read_path
from backup.station import open_station
from backup.when import read_when

if TYPE_CHECKING:
    from backup.settings import BackupSettings

_EPILOG = """\b
Examples:
  bkp ls files                                  what lies at the top of the newest restore point
  bkp ls files etc/nginx --at yesterday         a folder as it was on that day
  bkp ls files home --recursive --json
\b
Paths are as they were saved, without the leading slash. Times without a zone are this machine's.
"""
_MARKS = {"folder": "/", "link": "@"}


def when(context: click.Context, parameter: click.Parameter, text: str | None) -> datetime | None:
    """Read --at; the newest restore point when it is left out."""
    try:
        return None if text is None else read_when(text, datetime.now(UTC))
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from error


@click.command("ls", epilog=_EPILOG)
@click.argument("name", metavar="SET")
@click.argument("path", default="")
@click.option("--at", metavar="WHEN", callback=when, help="The newest restore point not after this; else the newest.")
@click.option("-r", "--recursive", is_flag=True, help="Everything below, not only what lies directly there.")
@json_option
@reading_options
def ls(
    *,
    settings: BackupSettings,
    name: str,
    path: str,
    at: datetime | None,
    recursive: bool,
    as_json: bool,
) -> None:
    """List what a restore point of SET (or HOST/SET) holds at PATH."""
    below = read_path(path)
    with open_station(settings, set_of(settings, name)) as station:
        point = station.catalogue().newest(at)
        entries = list_files(station, point, below)
    if not recursive:
        entries = children(entries, below)
    if as_json:
        files = [
            {"path": shown(each.path), "kind": each.kind, "changed_at": instant(each.changed_at)} for each in entries
        ]
        write_json({"at": instant(point.at), "path": "" if below is None else str(below), "files": files})
        return
    click.echo(f"as of {local(point.at)}", err=True)
    for each in entries:
        click.echo(f"{local(each.changed_at)}  {shown(each.path)}{_MARKS.get(each.kind, '')}")
