"""`bkp status`: how the last run of each set went, from what this machine wrote down; asks no target."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from backup.command.options import config_option, ending, json_option, settings_of
from backup.command.telling import age, console, instant, local, size, write_json
from backup.schedule import parse_schedule

if TYPE_CHECKING:
    from pathlib import Path

_EPILOG = """\b
Examples:
  bkp status
  bkp status --json
\b
Exit code 0: the last run of every set is good or under way. 1: one failed, or a set never ran.
"""
_MOST_BYTES = 1 << 20


@click.command("status", epilog=_EPILOG)
@config_option
@json_option
@ending
def status(config: Path | None, *, as_json: bool) -> None:
    """Say how the last run of each set went, and when the next one is due."""
    settings = settings_of(config)
    now = datetime.now(UTC)
    rows: list[dict[str, Any]] = []
    for chosen in settings.sets:
        state = read_state(settings.state / f"{chosen.name}.json")
        last, good = state.get("last_run") or {}, state.get("last_good") or {}
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
                "reminders": state.get("reminders", []),
            }
        )
    if as_json:
        write_json({"host": settings.host, "sets": rows})
    else:
        _tell(rows, now)
    if any(row["status"] not in ("ok", "running") for row in rows):
        raise SystemExit(1)


def read_state(file: Path) -> dict[str, Any]:
    """Return a state file's table; empty when there is none, with the reason as `last_run` when it is broken."""
    try:
        with file.open("rb") as opened:
            found = json.loads(opened.read(_MOST_BYTES))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        return {"last_run": {"status": "failed", "error": f"{file} cannot be read: {error}"}}
    return found if isinstance(found, dict) else {}


def _tell(rows: list[dict[str, Any]], now: datetime) -> None:
    table = Table("Set", "Last run", "Last good", "Kind", "Size", "Stored", "Next due", box=None, pad_edge=False)
    for row in rows:
        good = row["last_good"] or {}
        table.add_row(
            row["set"],
            row["status"],
            age(_read(good.get("at")), now),
            good.get("kind") or "-",
            size(good.get("source_bytes")),
            size(good.get("stored_bytes")),
            local(_read(row["next_due"])),
        )
    console().print(table if rows else "No set is configured: docs/backup.md shows the first backup.")
    for row in rows:
        if row["error"]:
            click.echo(f"{row['set']}: {row['error']}", err=True)
    for reminder in dict.fromkeys(each for row in rows for each in row["reminders"]):
        click.echo(f"Reminder: {reminder}", err=True)


def _read(text: str | None) -> datetime | None:
    return None if not text else datetime.fromisoformat(text)
