"""`bkp predict`: how long restores will take, by what drills took and by how large the sets are now."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from backup.command.options import json_option, reading_options
from backup.command.passed_over import refused_documents, tell_passed_over
from backup.command.reach import chosen_sets
from backup.command.sets_argument import sets_argument
from backup.command.telling import console, instant, local, seconds_text, size, write_json
from backup.errors import BackupError, Cancelled
from backup.proof.record import DrillBook

if TYPE_CHECKING:
    from backup.settings.document import BackupSettings
    from backup.station.station import Station

_EPILOG = """\b
Examples:
  bkp predict                 every set
  bkp predict web1/shop

The slowest of a set's last three proven drills counts, made longer as the set has grown since. Without a drill of a
set in the configuration nothing is predicted: bkp drill SET. Exit code 1: one will take longer than its restore_within;
20, 21: a target is away, those that answer were looked at.
"""


@click.command("predict", epilog=_EPILOG)
@sets_argument
@json_option
@reading_options
def predict_command(*, settings: BackupSettings, names: tuple[str, ...], as_json: bool) -> None:
    """Say how long restoring SETS (or HOST/SET; every one, when none is named) will take."""
    reach = chosen_sets(settings, names)
    rows: list[dict[str, Any]] = []
    for each in reach.sets:
        row: dict[str, Any] = {"set": reach.label(each), "error": None, "is_over": False}
        try:
            with reach.open(each) as station:
                row |= _predict(station, reach.label(each), is_told=not as_json)
        except Cancelled:
            raise
        except BackupError as error:
            reach.note(reach.label(each), error)
            row["error"] = str(error)
        rows.append(row)
    if as_json:
        write_json({"sets": rows, "unread": reach.documents()})
    else:
        _tell(rows)
        reach.tell()
    reach.end()
    if any(row["is_over"] for row in rows):
        raise SystemExit(1)


def _predict(station: Station, label: str, *, is_told: bool) -> dict[str, Any]:
    settings, chosen = station.settings, station.chosen
    catalogue = station.catalogue()
    point = catalogue.newest()
    passed = catalogue.passed_over(point)
    if is_told:
        tell_passed_over(label, catalogue, passed)
    size_bytes = point.manifest.counts.bytes
    book = DrillBook(settings.state, station.place, is_kept=settings.has_set(chosen))
    seconds = book.predict(point.at, size_bytes)
    within = None if chosen.restore_within is None else chosen.restore_within.total_seconds()
    return {
        "newest": instant(point.at),
        "size_bytes": size_bytes,
        "restore_seconds": seconds,
        "restore_within_seconds": within,
        "is_over": seconds is not None and within is not None and seconds > within,
        "refused": refused_documents(passed),
    }


def _tell(rows: list[dict[str, Any]]) -> None:
    table = Table("Set", "Newest", "Size", "Restore will take", "Wanted within", box=None, pad_edge=False)
    for row in rows:
        if row["error"] is not None:
            continue
        seconds = row["restore_seconds"]
        predicted = "not known: no drill yet" if seconds is None else seconds_text(seconds)
        table.add_row(
            row["set"],
            local(datetime.fromisoformat(row["newest"])),
            size(row["size_bytes"]),
            f"{predicted}, too long" if row["is_over"] else predicted,
            seconds_text(row["restore_within_seconds"]),
        )
    console().print(table if rows else "There is no backup set here.")
