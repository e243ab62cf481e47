"""`bkp ls`: the files of a restore point."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from backup.browse.listing import children, list_files
from backup.command.instants import SAID, at_option
from backup.command.options import json_option, reading_options, set_of
from backup.command.passed_over import refused_documents, tell_passed_over
from backup.command.shell.offers import sets_offered
from backup.command.telling import about, instant, local, write_json
from backup.restoring.wanted import read_path
from backup.spelling import shown
from backup.station.copies import at_any_copy
from backup.station.station import open_station

if TYPE_CHECKING:
    from backup.browse.signatures import Entry
    from backup.settings.document import BackupSettings
    from backup.when import When

_EPILOG = f"""\b
Examples:
  bkp ls files                             the top of the newest restore point
  bkp ls files etc/nginx --at yesterday    a folder as it was on that day
  bkp ls files home --recursive --json

Paths are as they were saved, without the leading slash. Sizes are known to a block: 512 bytes or more.

{SAID}"""
_MARKS = {"folder": "/", "link": "@"}


@click.command("ls", epilog=_EPILOG)
@click.argument("name", metavar="SET", shell_complete=sets_offered)
@click.argument("path", default="")
@at_option("The newest restore point not after this; else the newest.")
@click.option("-r", "--recursive", is_flag=True, help="Everything below, not only what lies directly there.")
@json_option
@reading_options
def ls(
    *,
    settings: BackupSettings,
    name: str,
    path: str,
    at: When | None,
    recursive: bool,
    as_json: bool,
) -> None:
    """List what a restore point of SET (or HOST/SET) holds at PATH."""
    below = read_path(path)
    with open_station(settings, set_of(settings, name)) as station:
        catalogue = station.points()
        point = catalogue.newest(at)
        passed = catalogue.passed_over(point, at)
        listing = partial(list_files, points=catalogue.points, point=point, below=below)
        entries = at_any_copy(station, "listing", listing, [point])
    if not recursive:
        entries = children(entries, below)
    if as_json:
        files = [entry_document(each) for each in entries]
        document = {"at": instant(point.at), "path": "" if below is None else str(below), "files": files}
        write_json({**document, "refused": refused_documents(passed)})
        return
    tell_passed_over(name, catalogue, passed)
    click.echo(f"as of {local(point.at)}", err=True)
    for each in entries:
        click.echo(
            f"{local(each.changed_at)}  {about(each.content):>11}  {shown(each.path)}{_MARKS.get(each.kind, '')}"
        )


def entry_document(entry: Entry) -> dict[str, Any]:
    """Return something in a backup for programs; its size is between two numbers, null where it has none."""
    content = entry.content
    return {
        "path": shown(entry.path),
        "kind": entry.kind,
        "changed_at": instant(entry.changed_at),
        "least_bytes": None if content is None else content.least_bytes,
        "most_bytes": None if content is None else content.most_bytes,
    }
