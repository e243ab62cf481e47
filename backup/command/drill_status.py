"""`bkp status` at a restore station: when each set was last proven, and how long a restore of it will take."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from backup.command.telling import age, console, instant, local, seconds_text, size, write_json
from backup.model import Place
from backup.proof.record import DrillBook
from backup.schedule import parse_schedule

if TYPE_CHECKING:
    from backup.settings.document import BackupSettings, SetSettings


def show_drills(settings: BackupSettings, now: datetime, *, as_json: bool) -> None:
    """Tell how the drills of each configured set stand.

    Ends with 1 when one failed or never ran, or a restore will take too long.
    """
    rows = [_row(settings, each, now) for each in settings.sets]
    if as_json:
        write_json({"host": settings.host, "drills": rows})
    else:
        _tell(rows, now)
    if any(row["status"] not in ("ok", "running") or row["is_over"] for row in rows):
        raise SystemExit(1)


def _row(settings: BackupSettings, chosen: SetSettings, now: datetime) -> dict[str, Any]:
    place = Place(host=settings.host_of(chosen), set=chosen.name)
    state = DrillBook(settings.state, place).read()
    last, newest = state.get("last_drill") or {}, state.get("newest") or {}
    schedule = chosen.drill or settings.drills.schedule
    within = None if chosen.restore_within is None else chosen.restore_within.total_seconds()
    seconds = newest.get("restore_seconds")
    return {
        "set": f"{place.host}/{place.set}",
        "schedule": schedule,
        "next_due": instant(parse_schedule(schedule).next_due(now)),
        "status": last.get("status", "never"),
        "error": last.get("error"),
        "last_drill": last or None,
        "last_proven": state.get("last_proven"),
        "restore_seconds": seconds,
        "restore_within_seconds": within,
        "is_over": seconds is not None and within is not None and seconds > within,
    }


def _tell(rows: list[dict[str, Any]], now: datetime) -> None:
    table = Table(
        "Set", "Last drill", "Last proven", "Restored", "At", "Next due", "Restore will take", box=None, pad_edge=False
    )
    for row in rows:
        proven = row["last_proven"] or {}
        rate = proven.get("bytes_per_second")
        table.add_row(
            row["set"],
            "proven" if row["status"] == "ok" else row["status"],
            age(_read(proven.get("ended_at")), now),
            size(proven.get("restored_bytes")),
            "-" if rate is None else f"{size(rate)}/s",
            local(_read(row["next_due"])),
            seconds_text(row["restore_seconds"]) + (", too long" if row["is_over"] else ""),
        )
    console().print(table if rows else "This restore station's configuration names no set, so it drills none.")
    for row in rows:
        if row["error"]:
            click.echo(f"{row['set']}: {row['error']}", err=True)


def _read(text: str | None) -> datetime | None:
    return None if not text else datetime.fromisoformat(text)
