"""How `bkp restore` tells of binary logs that were replayed, or lie ready to be."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from backup.binlog.replaying import ANY_ORDER
from backup.command.telling import instant, local
from core.model.counting import counted

if TYPE_CHECKING:
    from datetime import datetime

    from backup.binlog.recovery import Way


def way_document(way: Way, at: datetime | None) -> dict[str, Any]:
    """Return what programs are told."""
    return {
        "logs": [str(each) for each in way.files],
        "start_position": way.start,
        "stop_position": way.stop,
        "reaches": instant(way.reaches),
        "is_short": at is not None and way.reaches < at,
        "last_at": instant(way.last_at),
        "last_gtid": way.last_gtid,
        "last_position": way.last_end,
    }


def tell_way(way: Way | None, at: datetime | None) -> None:
    """Tell people how far the logs go."""
    if way is None:
        click.echo("No binary log was archived after this restore point: it is as of its own moment.")
        return
    if at is not None and way.reaches < at:
        click.echo(f"The archive of binary logs reaches {local(way.reaches)}: that is the newest state there is.")
    if way.last_at is None:
        click.echo("The binary logs have no transaction between the restore point and that time.")
        return
    gtid = f", {way.last_gtid}" if way.last_gtid else ""
    click.echo(
        f"Through {counted(len(way.files), 'binary log')}: the last transaction is of {local(way.last_at)}{gtid},"
        f" and ends at position {way.last_end}."
    )


def tell_command(way: Way | None) -> None:
    """Tell people how to replay the logs in a server started on restored files."""
    if way is None or way.last_at is None:
        return
    stop = "" if way.stop is None else f" --stop-position={way.stop}"
    files = " ".join(shlex.quote(str(each)) for each in way.files)
    click.echo("Then, while nobody else uses it, and once:")
    reading = f"mariadb-binlog --no-defaults {ANY_ORDER} --start-position={way.start}{stop} {files}"
    click.echo(f"  {reading} | mariadb --binary-mode")
