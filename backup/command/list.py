"""`bkp list`: which sets there are, and what can be restored of them, from the targets alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from backup.command.offers import sets_offered
from backup.command.options import json_option, reading_options, set_of
from backup.command.telling import console, local, point_document, size, write_json
from backup.errors import KeyMissing, TargetAway, TargetRefused
from backup.restoring.station import open_station
from backup.settings.checks import check_name
from backup.settings.document import SetSettings
from backup.targets.registry import open_target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backup.errors import BackupError
    from backup.settings.document import BackupSettings
    from backup.settings.target import TargetSettings

_EPILOG = """\b
Examples:
  bkp list                                   every set at the targets of the configuration
  bkp list files                             the restore points of one set
  bkp list web1/files --target /mnt/backup --key /media/usb/station
\b
Needs no server, no database and no cache: all is read from the target. Times are this machine's.
"""


@click.command("list", epilog=_EPILOG)
@click.argument("name", metavar="[SET]", required=False, shell_complete=sets_offered)
@json_option
@reading_options
def list_command(*, settings: BackupSettings, name: str | None, as_json: bool) -> None:
    """List sets, or the restore points of SET (or HOST/SET), newest first."""
    if name is not None:
        _show_points(settings, set_of(settings, name), as_json=as_json)
    else:
        _show_sets(settings, as_json=as_json)


def find_sets(settings: BackupSettings, unread: dict[str, BackupError] | None = None) -> list[SetSettings]:
    """Return the sets of the configuration, and those of any host that lie at its targets, at one or at several.

    unread: gets what targets raise that are away or refuse, by name, when others can be read. Else raises it.
    """
    troubles: dict[str, BackupError] = {}
    found = {(settings.host_of(each), each.name): each for each in settings.sets}
    configured = set(found)
    for target in settings.targets:
        try:
            there = _sets_at(target)
        except (TargetAway, TargetRefused) as error:
            troubles[f"target {target.name}"] = error
            if unread is None or len(troubles) == len(settings.targets):
                raise
            continue
        for key in there:
            if key not in found:
                host, name = key
                found[key] = SetSettings(name=name, host=host, target=target.name)
            elif key not in configured:
                found[key] = replace(found[key], also=(*found[key].also, target.name))
    if unread is not None:
        unread |= troubles
    return [found[key] for key in sorted(found)]


def _sets_at(target: TargetSettings) -> list[tuple[str, str]]:
    """Return host and set of everything at a target that has restore points."""
    with open_target(target) as opened:
        return [
            (host, name)
            for host in opened.folders("")
            if check_name(host) is None
            for name in opened.folders(host)
            if check_name(name) is None and opened.files(f"{host}/{name}/points")
        ]


def _show_sets(settings: BackupSettings, *, as_json: bool) -> None:
    rows: list[dict[str, Any]] = []
    unread: dict[str, BackupError] = {}
    for chosen in find_sets(settings, unread):
        host = settings.host_of(chosen)
        row: dict[str, Any] = {"host": host, "set": chosen.name, "target": ", ".join(chosen.targets), "points": [],
                               "error": None}  # fmt: skip
        try:
            with open_station(settings, chosen) as station:
                row["points"] = [point_document(point) for point in station.catalogue().points]
        except (KeyMissing, TargetAway, TargetRefused) as error:
            row["error"] = str(error)
            unread[f"{host}/{chosen.name}"] = error
        rows.append(row)
    if as_json:
        write_json({"sets": rows})
        _end_with_first(unread)
        return
    table = Table("Host", "Set", "Target", "Points", "Newest", "Stored", box=None, pad_edge=False)
    for row in rows:
        points = [point for point in row["points"] if point["broken"] is None]
        newest = "not known" if row["error"] else "nothing to restore"
        if points:
            newest = local(datetime.fromisoformat(points[-1]["at"]))
        stored = sum(point["stored_bytes"] for point in row["points"])
        count, bytes_stored = ("-", "-") if row["error"] else (str(len(points)), size(stored))
        table.add_row(row["host"], row["set"], row["target"], count, newest, bytes_stored)
    console().print(table if rows else "There is no backup set here: docs/backup.md shows the first one.")
    for label, why in unread.items():
        click.echo(f"bkp: {label}: {why}", err=True)
    _end_with_first(unread)


def _end_with_first(unread: Mapping[str, BackupError]) -> None:
    for error in unread.values():
        raise SystemExit(error.exit_code)


def _show_points(settings: BackupSettings, chosen: SetSettings, *, as_json: bool) -> None:
    with open_station(settings, chosen) as station:
        catalogue = station.catalogue()
    if as_json:
        write_json(
            {
                "host": settings.host_of(chosen),
                "set": chosen.name,
                "points": [point_document(point) for point in reversed(catalogue.points)],
                "refused": [{"name": each.name, "why": each.why} for each in catalogue.refused],
            }
        )
        return
    table = Table("Restore point", "Kind", "Files", "Size", "Stored", "", box=None, pad_edge=False)
    for point in reversed(catalogue.points):
        manifest = point.manifest
        table.add_row(
            local(point.at),
            manifest.kind.value,
            str(manifest.counts.entries),
            size(manifest.counts.bytes),
            size(manifest.stored_bytes),
            "" if point.broken is None else f"cannot be restored: {point.broken}",
        )
    console().print(table if catalogue.points else "There is no restore point yet.")
    for each in catalogue.refused:
        click.echo(f"bkp: {each.why}", err=True)
