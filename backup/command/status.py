"""`bkp status`: how each set's last run went, or at a restore station its last drill; asks no target."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from backup.command.options import config_option, ending, json_option, settings_of
from backup.command.set_state import mend_killed, read_state, said_vanished
from backup.command.sets_argument import own_sets_argument
from backup.command.several import configured_sets
from backup.command.station_status import show_station
from backup.command.telling import WIDE, age, console, instant, local, seconds_text, size, write_json
from backup.runtime.waiting import read_waiting
from backup.schedule import parse_schedule
from core.model.prediction import archived_to, lost_seconds

if TYPE_CHECKING:
    from pathlib import Path

    from backup.settings.backup_set import SetSettings

_EPILOG = """\b
Examples:
  bkp status
  bkp status files shop
  bkp status --json
  bkp status --config restore-station/backup.toml    its drills and more

Exit code 0: the last run (at a restore station: drill) of every set is good or under way, and nothing costs more than
wanted. 1: one failed, was killed or cancelled, or never ran, WAL or binary logs cannot be archived, damage was found,
restore points vanished, or a set names restore_within or lose_at_most and will not keep it.
"""


@click.command("status", epilog=_EPILOG)
@own_sets_argument
@config_option
@json_option
@ending
def status(config: Path | None, *, names: tuple[str, ...], as_json: bool) -> None:
    """Say how the last run (at a restore station: drill) of SETS went, or of every set, and when the next is due."""
    settings = settings_of(config)
    now = datetime.now(UTC)
    sets = configured_sets(settings, names)
    if settings.keys.station is not None:
        show_station(settings, sets, now, as_json=as_json)
        return
    rows: list[dict[str, Any]] = []
    waiting = read_waiting(settings.state)
    for chosen in sets:
        state = read_state(settings.state / f"{chosen.name}.json")
        last, good = mend_killed(state.get("last_run")), state.get("last_good") or {}
        lost = _predict_loss(chosen, state, now)
        rows.append(
            {
                "set": chosen.name,
                "schedule": chosen.schedule,
                "next_due": instant(parse_schedule(chosen.schedule).next_due(now)),
                "status": last.get("status", "never"),
                "error": last.get("error"),
                "exit_code": last.get("exit_code"),
                "last_run": last or None,
                "last_good": good or None,
                "restore_points": state.get("restore_points"),
                "loss_seconds": lost,
                "lose_at_most_seconds": None if chosen.lose_at_most is None else chosen.lose_at_most.total_seconds(),
                "is_over": lost is not None
                and chosen.lose_at_most is not None
                and lost > chosen.lose_at_most.total_seconds(),
                "reminders": state.get("reminders", []),
                "vanished": state.get("vanished", []),
                "wal": state.get("wal"),
                "binlog": state.get("binlog"),
                "waits": waiting.get(chosen.name),
            }
        )
    if as_json:
        write_json({"host": settings.host, "sets": rows})
    else:
        _tell(rows, now)
    if any(
        row["status"] not in ("ok", "running") or row["is_over"] or row["vanished"] or _archive_troubles(row)
        for row in rows
    ):
        raise SystemExit(1)


def _predict_loss(chosen: SetSettings, state: dict[str, Any], now: datetime) -> float | None:
    """Return how much work of a set a disaster would cost at worst; None while nothing of it is saved."""
    good = state.get("last_good") or {}
    saved_at, archived_at = _read(good.get("at")), _read(archived_to(state))
    period = parse_schedule(chosen.schedule).period
    return lost_seconds(
        age=None if saved_at is None else abs((now - saved_at).total_seconds()),  # its clock may have been ahead
        period=None if period is None else period.total_seconds(),
        duration=float(good.get("duration_seconds") or 0.0),
        archived=None if archived_at is None else abs((now - archived_at).total_seconds()),
    )


def _tell(rows: list[dict[str, Any]], now: datetime) -> None:
    out = console()
    is_wide = out.width >= WIDE
    sizes = ("Kind", "Size", "Stored") if is_wide else ()
    table = Table("Set", "Last run", "Last good", *sizes, "Next due", "At worst lost", box=None, pad_edge=False)
    for row in rows:
        good = row["last_good"] or {}
        figures = (good.get("kind") or "-", size(good.get("source_bytes")), size(good.get("stored_bytes")))
        table.add_row(
            row["set"],
            row["status"],
            age(_read(good.get("at")), now),
            *(figures if is_wide else ()),
            local(_read(row["next_due"])),
            seconds_text(row["loss_seconds"]) + (", too much" if row["is_over"] else ""),
        )
    out.print(table if rows else "No set is configured: docs/backup.md shows the first backup.")
    for row in rows:
        if waits := row["waits"]:
            since, begins = (local(_read(waits[name])) for name in ("asked_at", "begins_at"))
            click.echo(
                f"{row['set']}: it is due and waits for its place under a limit since {since}; begins without {begins}"
            )
        if row["status"] == "cancelled":
            click.echo(f"{row['set']}: the last run was cancelled and counts for nothing", err=True)
        elif row["error"]:
            click.echo(f"{row['set']}: {row['error']}", err=True)
        for trouble in _archive_troubles(row):
            click.echo(f"{row['set']}: {trouble}", err=True)
        for line in said_vanished(row, row["set"]):
            click.echo(line, err=True)
    for reminder in dict.fromkeys(each for row in rows for each in row["reminders"]):
        click.echo(f"Reminder: {reminder}", err=True)


def _archive_troubles(row: dict[str, Any]) -> list[str]:
    """Return why what a server wrote between two runs is not archived, or no restore point goes on into it."""
    found = []
    for kind, what in (("wal", "WAL"), ("binlog", "binary log")):
        archive = row[kind] or {}
        if archive.get("failing_since"):
            since = local(_read(archive["failing_since"]))
            is_half = any(not each.get("failing_since") for each in (archive.get("targets") or {}).values())
            said = f"its {what} has not come to every target" if is_half else f"no {what} has been archived"
            found.append(f"{said} since {since}: {archive.get('error')}")
        if archive.get("gap"):
            found.append(f"a gap in the archive of its {what}: {archive['gap']}")
    return found


def _read(text: str | None) -> datetime | None:
    return None if not text else datetime.fromisoformat(text)
