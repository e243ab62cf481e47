"""`bkp status` at a restore station: when each set was last proven and verified, how long a restore will take."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from backup.command.set_state import mend_killed
from backup.command.telling import WIDE, age, console, instant, local, seconds_text, size, write_json
from backup.model import Place
from backup.proof.record import DrillBook
from backup.restoring.verification_book import VerificationBook
from backup.schedule import parse_schedule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backup.settings.backup_set import SetSettings
    from backup.settings.document import BackupSettings


def show_station(settings: BackupSettings, sets: Sequence[SetSettings], now: datetime, *, as_json: bool) -> None:
    """Tell how the drills and verifications of these configured sets stand.

    Ends with 1 when a drill failed or never ran, a restore will take too long, or damage was found.
    """
    rows = [_row(settings, each, now) for each in sets]
    if as_json:
        write_json({"host": settings.host, "drills": rows})
    else:
        _tell(rows, now)
    if any(row["status"] not in ("ok", "running") or row["is_over"] or _damage(row) for row in rows):
        raise SystemExit(1)


def _row(settings: BackupSettings, chosen: SetSettings, now: datetime) -> dict[str, Any]:
    place = Place(host=settings.host_of(chosen), set=chosen.name)
    state = DrillBook(settings.state, place).read()
    last, newest = mend_killed(state.get("last_drill")), state.get("newest") or {}
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
        "verification": _verification(settings, chosen, place),
    }


def _verification(settings: BackupSettings, chosen: SetSettings, place: Place) -> dict[str, Any]:
    """Return when every copy of a set was last found whole, as deep as is wanted, and what is damaged."""
    copies = VerificationBook(settings.state, place, is_kept=False).read().get("copies") or {}
    known = {name: copies.get(name) or {} for name in chosen.targets}
    step = settings.verification.step
    whole = [str(copy["whole"][step]) for copy in known.values() if (copy.get("whole") or {}).get(step)]
    schedule = chosen.verify or settings.verification.schedule
    return {
        "schedule": schedule,
        "next_due": instant(parse_schedule(schedule).next_due(datetime.now(UTC))),
        "depth": step,
        "verified_at": min(whole) if len(whole) == len(known) else None,
        "damages": {name: copy["damage"] for name, copy in known.items() if copy.get("damage")},
    }


def _damage(row: dict[str, Any]) -> str | None:
    """Return what is damaged, in words; None when nothing is known to be."""
    damages = row["verification"]["damages"]
    return None if not damages else "; ".join(f"damaged at {name}: {each['what']}" for name, each in damages.items())


def _tell(rows: list[dict[str, Any]], now: datetime) -> None:
    out = console()
    is_wide = out.width >= WIDE
    figures = ("Restored", "Rate", "Next drill") if is_wide else ()
    table = Table(
        "Set", "Last drill", "Last proven", *figures, "Restore will take", "Verified", box=None, pad_edge=False
    )
    for row in rows:
        proven = row["last_proven"] or {}
        rate = proven.get("bytes_per_second")
        restored = (
            size(proven.get("restored_bytes")),
            "-" if rate is None else f"{size(rate)}/s",
            local(_read(row["next_due"])),
        )
        table.add_row(
            row["set"],
            "proven" if row["status"] == "ok" else row["status"],
            age(_read(proven.get("ended_at")), now),
            *(restored if is_wide else ()),
            seconds_text(row["restore_seconds"]) + (", too long" if row["is_over"] else ""),
            "damaged" if _damage(row) else age(_read(row["verification"]["verified_at"]), now),
        )
    out.print(table if rows else "This restore station's configuration names no set, so it drills and verifies none.")
    for row in rows:
        if row["error"]:
            click.echo(f"{row['set']}: {row['error']}", err=True)
        if damage := _damage(row):
            click.echo(f"{row['set']}: {damage}", err=True)


def _read(text: str | None) -> datetime | None:
    return None if not text else datetime.fromisoformat(text)
