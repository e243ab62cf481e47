"""`bkp sets`: which sets there are, what they save, when and where to."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from backup.command.options import json_option, reading_options
from backup.command.reach import all_sets
from backup.command.telling import console, write_json
from backup.settings.pruner import RetentionSettings

if TYPE_CHECKING:
    from backup.settings.backup_set import SetSettings
    from backup.settings.document import BackupSettings

_EPILOG = """\b
Examples:
  bkp sets    those of the configuration, and others at its targets
  bkp sets --target /mnt/backup --key /media/usb/station

Reads no manifest: `bkp list` says what can be restored, `bkp status` how the last runs went.
A target that is away is named, the others are listed, and the exit code is that of what is away (20, 21).
"""
_SNAPSHOTS = {"none": "", "auto": " (snapshots where there are)", "required": " (snapshots)"}


@click.command("sets", epilog=_EPILOG)
@json_option
@reading_options
def sets(*, settings: BackupSettings, as_json: bool) -> None:
    """List the sets of the configuration, and those of any host at its targets."""
    reach = all_sets(settings)
    rows = [_row(settings, each) for each in reach.sets]
    if as_json:
        write_json({"sets": rows, "unread": reach.documents()})
    else:
        _tell(rows)
        reach.tell()
    reach.end()


def _tell(rows: list[dict[str, Any]]) -> None:
    table = Table("Set", "Saves", "Schedule", "Target", box=None, pad_edge=False)
    for row in rows:
        saves = " ".join(each for each in (row["source"] or "-", row["of"]) if each)
        if row["roots"]:
            saves = ", ".join(row["roots"]) + _SNAPSHOTS[row["snapshot"]]
        table.add_row(
            f"{row['host']}/{row['set']}", saves, row["schedule"] or "-", ", ".join([row["target"], *row["also"]])
        )
    console().print(table if rows else "There is no backup set here: docs/backup.md shows the first one.")


def _row(settings: BackupSettings, chosen: SetSettings) -> dict[str, Any]:
    source = source_named(chosen)
    return {
        "host": settings.host_of(chosen),
        "set": chosen.name,
        "target": chosen.target,
        "also": list(chosen.also),
        "source": source,
        "of": _subject(chosen),
        "roots": [] if chosen.paths is None else [str(root) for root in chosen.paths.roots],
        "snapshot": None if chosen.paths is None else chosen.paths.snapshot,
        "schedule": chosen.schedule if source is not None else None,
        "is_configured": settings.has_set(chosen),
    }


def _subject(chosen: SetSettings) -> str | None:
    """Return which database, domain or file a set saves; None where its kind, or its roots, say all."""
    source = getattr(chosen, source_named(chosen) or "", None)
    found = (getattr(source, name, None) for name in ("database", "domain", "file_name"))
    return next((str(each) for each in found if each is not None), None)


def source_named(chosen: SetSettings) -> str | None:
    """Return what a set saves, as backup.toml calls it; None when it is only restored here."""
    for each in fields(chosen):
        value = getattr(chosen, each.name)
        if is_dataclass(value) and not isinstance(value, RetentionSettings):
            return each.name
    return None
