"""`bkp list`: which sets there are, and what can be restored of them, from the targets alone."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from backup.catalogue import IMPORT_REMEDY
from backup.command.offers import sets_offered
from backup.command.options import json_option, reading_options, set_of
from backup.command.passed_over import refused_documents, tell_passed_over
from backup.command.reach import UNREAD, chosen_sets
from backup.command.telling import console, local, point_document, size, write_json
from backup.restoring.points_damage import known_damage
from backup.restoring.station import open_station

if TYPE_CHECKING:
    from backup.catalogue import Catalogue
    from backup.model import RestorePoint
    from backup.restoring.points_damage import PointDamage
    from backup.settings.document import BackupSettings, SetSettings

_EPILOG = """\b
Examples:
  bkp list          every set at the targets of the configuration
  bkp list files    the restore points of one set
  bkp list web1/files --target /mnt/backup --key /media/usb/station

Needs no server, no database and no cache: all is read from the target. Times are this machine's.
A target that is away is named, the others are listed, and the exit code is that of what is away (20, 21).
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


def _show_sets(settings: BackupSettings, *, as_json: bool) -> None:
    rows: list[dict[str, Any]] = []
    unusable: dict[str, Catalogue] = {}
    reach = chosen_sets(settings)
    for chosen in reach.sets:
        row: dict[str, Any] = {"host": settings.host_of(chosen), "set": chosen.name,
                               "target": ", ".join(chosen.targets),
                               "points": [], "refused": [], "error": None}  # fmt: skip
        try:
            with reach.open(chosen) as station:
                catalogue = station.catalogue()
        except UNREAD as error:
            row["error"] = str(error)
            reach.note(reach.label(chosen), error)
        else:
            row["points"] = [point_document(point) for point in catalogue.points]
            row["refused"] = refused_documents(catalogue.refused)
            unusable[reach.label(chosen)] = catalogue
        rows.append(row)
    if as_json:
        write_json({"sets": rows, "unread": reach.documents()})
    else:
        _tell_sets(rows)
        for label, catalogue in unusable.items():
            tell_passed_over(label, catalogue, catalogue.unusable)
        reach.tell()
    reach.end()


def _tell_sets(rows: list[dict[str, Any]]) -> None:
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


def _show_points(settings: BackupSettings, chosen: SetSettings, *, as_json: bool) -> None:
    with open_station(settings, chosen) as station:
        catalogue = station.catalogue()
        damage = known_damage(station, catalogue.points)
    if as_json:
        write_json(
            {
                "host": settings.host_of(chosen),
                "set": chosen.name,
                "points": [
                    {**point_document(point), **_damage_document(damage.get(point.manifest.name))}
                    for point in reversed(catalogue.points)
                ],
                "refused": refused_documents(catalogue.refused),
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
            _remark(point, damage.get(point.manifest.name)),
        )
    none = "There is no restore point that can be used." if catalogue.refused else "There is no restore point yet."
    console().print(table if catalogue.points else none)
    for each in catalogue.refused:
        click.echo(f"bkp: {each.why}", err=True)
    if any(each.is_of_stranger for each in catalogue.refused):
        click.echo(f"bkp: {IMPORT_REMEDY}", err=True)


def _damage_document(damage: PointDamage | None) -> dict[str, str | None]:
    words = None if damage is None else damage.words
    is_unlisted = damage is not None and damage.is_restorable
    return {"damage": None if is_unlisted else words, "list_damage": words if is_unlisted else None}


def _remark(point: RestorePoint, damage: PointDamage | None) -> str:
    if point.broken is not None:
        return f"cannot be restored: {point.broken}"
    if damage is None:
        return ""
    return f"can be restored: {damage.words}" if damage.is_restorable else f"DAMAGED: {damage.words}"
