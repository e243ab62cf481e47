"""`bkp list`: which sets there are, and what can be restored of them, from the targets alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from backup.binlog.reach import spans_of
from backup.catalogue import IMPORT_REMEDY
from backup.command.options import json_option, reading_options
from backup.command.passed_over import refused_documents, tell_passed_over
from backup.command.reach import UNREAD, Reach, chosen_sets
from backup.command.sets_argument import sets_argument
from backup.command.several import sets_named
from backup.command.telling import console, instant, local, point_document, size, write_json
from backup.errors import BackupError, Cancelled
from backup.restoring.points_damage import known_damage
from backup.station.station import open_station

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backup.catalogue import Catalogue
    from backup.model import RestorePoint
    from backup.restoring.points_damage import PointDamage
    from backup.settings.backup_set import SetSettings
    from backup.settings.document import BackupSettings

_EPILOG = """\b
Examples:
  bkp list          every set at the targets of the configuration
  bkp list files    its restore points; of several sets, when they are named
  bkp list web1/files --target /mnt/backup --key /media/usb/station

Needs no server, no database and no cache: all is read from the target. Times are this machine's.
A target that is away is named, the others are listed, and the exit code is that of what is away (20, 21).
"""


@click.command("list", epilog=_EPILOG)
@sets_argument
@json_option
@reading_options
def list_command(*, settings: BackupSettings, names: tuple[str, ...], as_json: bool) -> None:
    """List all sets, or the restore points of SETS (or HOST/SET), newest first."""
    if not names:
        _show_sets(settings, as_json=as_json)
        return
    sets = sets_named(settings, names)
    if len(sets) == 1:
        _show_points(_look(settings, sets[0]), as_json=as_json)
    else:
        _show_points_of(Reach(settings=settings, sets=sets), as_json=as_json)


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
            tell_passed_over(label, catalogue, catalogue.doubtful)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Points:
    """What was found of a set: its restore points, what speaks against some, spans of which any moment comes back."""

    label: str
    target: str
    others: tuple[str, ...]
    catalogue: Catalogue
    damage: dict[str, PointDamage]
    spans: list[tuple[datetime, datetime]]

    def document(self) -> dict[str, Any]:
        """Return it for programs."""
        host, _, name = self.label.partition("/")
        return {
            "host": host,
            "set": name,
            "points": [
                {**point_document(point), **_damage_document(self.damage.get(point.manifest.name))}
                for point in reversed(self.catalogue.points)
            ],
            "refused": refused_documents(self.catalogue.refused),
            "any_moment": [{"from": instant(since), "to": instant(until)} for since, until in self.spans],
        }


def _look(settings: BackupSettings, chosen: SetSettings) -> _Points:
    with open_station(settings, chosen) as station:
        # A set that is configured may have none yet; any other was perhaps mistyped, which is no "none yet".
        catalogue = station.catalogue() if settings.has_set(chosen) else station.points()
        return _Points(
            label=f"{settings.host_of(chosen)}/{chosen.name}",
            target=station.chosen.target,
            others=tuple(station.others),
            catalogue=catalogue,
            damage=known_damage(station, catalogue.points),
            spans=spans_of(station, catalogue),
        )


def _show_points_of(reach: Reach, *, as_json: bool) -> None:
    """Show the restore points of several sets; what stands in the way of one does not in that of the others."""
    found: list[_Points] = []
    for chosen in reach.sets:
        try:
            found.append(_look(reach.settings, chosen))
        except Cancelled:
            raise
        except BackupError as error:
            reach.note(reach.label(chosen), error)
    if as_json:
        write_json({"sets": [each.document() for each in found], "unread": reach.documents()})
    else:
        for number, each in enumerate(found):
            click.echo(f"{'' if number == 0 else chr(10)}{each.label} at {each.target}:")
            _show_points(each, as_json=False)
        reach.tell()
    reach.end()


def _show_points(found: _Points, *, as_json: bool) -> None:
    if as_json:
        write_json(found.document())
        return
    catalogue = found.catalogue
    remarks = {
        local(point.at): (word, words)
        for point in reversed(catalogue.points)
        for word, words in _remarks(point, found.damage.get(point.manifest.name))
    }
    table = Table("Restore point", "Kind", "Files", "Size", "Stored", "", box=None, pad_edge=False)
    for point in reversed(catalogue.points):
        manifest = point.manifest
        table.add_row(
            local(point.at),
            manifest.kind.value,
            str(manifest.counts.entries),
            size(manifest.counts.bytes),
            size(manifest.stored_bytes),
            remarks.get(local(point.at), ("", ""))[0],
        )
    none = "There is no restore point that can be used." if catalogue.refused else "There is no restore point yet."
    console().print(table if catalogue.points else none)
    for word, words in dict.fromkeys(remarks.values()):  # below: a column of what is left of 80 has no room for it
        told = ", ".join(at for at, remark in remarks.items() if remark == (word, words))
        click.echo(f"{told}: {word}: {words}")
    if remarks and found.others:
        others = " and ".join(found.others)
        click.echo(f"That is target {found.target}'s copy. A restore goes on at {others}: --target shows a copy.")
    for since, until in found.spans:
        click.echo(f"Any moment from {local(since)} to {local(until)}, by its binary logs: bkp restore --at")
    for each in (*catalogue.refused, *catalogue.to_come):
        click.echo(f"bkp: {each.why}", err=True)
    if any(each.is_of_stranger for each in catalogue.refused):
        click.echo(f"bkp: {IMPORT_REMEDY}", err=True)


def _damage_document(damage: PointDamage | None) -> dict[str, str | None]:
    words = None if damage is None else damage.words
    is_unlisted = damage is not None and damage.is_restorable
    return {"damage": None if is_unlisted else words, "list_damage": words if is_unlisted else None}


def _remarks(point: RestorePoint, damage: PointDamage | None) -> Iterator[tuple[str, str]]:
    """Yield what there is to say of a point, none or one: in a word, and why."""
    if point.broken is not None:
        yield "cannot be restored", point.broken
    elif damage is not None:
        yield "can be restored" if damage.is_restorable else "DAMAGED", damage.words
