"""`watchkeep backup`: has a host's agent save one of its sets, and watches the run."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from core.config.reader import parse_duration
from server.ordering.asking import OrderRefused, cancel_run, order_run
from server.store.backup_orders import read_orders_of, read_phase
from watchkeep.at_database import command_database, run_at_database
from watchkeep.backup_queue import queue_command
from watchkeep.caller import actor_name
from watchkeep.command_options import data_option, fail, json_option

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

    from server.store.backup_orders import BackupOrder
    from server.store.database import Database

_LOOK_SECONDS = 1.0
_EPILOG = """\b
Examples:
  watchkeep backup run web1/files
  watchkeep backup run web1/files --wait 0s          order it and go on
  watchkeep backup runs web1/files --json
  watchkeep backup cancel web1/files
  watchkeep backup queue                             who waits for a place
"""


def _set(_context: click.Context, _parameter: click.Parameter, text: str) -> tuple[str, str]:
    host, _, name = text.partition("/")
    if not host or not name:
        raise click.BadParameter(f"expected HOST/SET, found {text!r}: the page Backups lists them")
    return host, name


_set_argument = click.argument("chosen", metavar="HOST/SET", callback=_set)


@click.group("backup", epilog=_EPILOG)
def backup_group() -> None:
    """Have a host's agent save one of its sets; see what was ordered. `bkp` does the rest."""


_RUN_EPILOG = """
Exit codes: 0 saved, or ordered without waiting; 1 it ended otherwise, or is not done yet; 2 it cannot be ordered.
Ctrl-C ends the watching, not the run.
"""


@backup_group.command("run", epilog=_RUN_EPILOG)
@_set_argument
@click.option("--wait", default="12h", show_default=True, help="How long to watch it: 0s, 10m, 2h.")
@json_option
@data_option
def run(chosen: tuple[str, str], *, wait: str, as_json: bool, data: Path | None) -> None:
    """Order a run of HOST/SET now and watch it. The agent begins it at once, whatever its window says."""
    limit = parse_duration(wait)
    if limit is None:
        raise click.BadParameter("expected a duration like 0s, 10m or 2h", param_hint="--wait")

    def tell(text: str) -> None:
        if not as_json:
            click.echo(text)

    async def work() -> BackupOrder:
        async with command_database(data, "backup") as database:
            now = datetime.now(UTC)
            async with database.connection() as connection, connection.transaction():
                order = await order_run(
                    connection, host=chosen[0], name=chosen[1], due_at=now, now=now, by=actor_name("backup")
                )
            tell(f"ordered: {chosen[0]}/{chosen[1]}, due {order.due_at:%Y-%m-%d %H:%M:%S} UTC")
            return await _watch(database, order, limit, tell)

    order: BackupOrder = _run(work(), as_json=as_json)
    if as_json:
        click.echo(json.dumps(_plain(order)))
    elif limit:
        click.echo(f"{order.state}: {order.note}" if order.note else order.state)
    raise SystemExit(0 if order.state == "ok" or not limit else 1)


@backup_group.command("runs")
@_set_argument
@json_option
@data_option
def runs(chosen: tuple[str, str], *, as_json: bool, data: Path | None) -> None:
    """List the newest runs of HOST/SET that were ordered or waited for a place, and what became of each."""

    async def work() -> list[BackupOrder]:
        async with command_database(data, "backup") as database, database.connection() as connection:
            return await read_orders_of(connection, *chosen)

    found: list[BackupOrder] = _run(work(), as_json=as_json)
    if as_json:
        click.echo(json.dumps({"runs": [_plain(order) for order in found]}))
        return
    table = Table("Id", "Due (UTC)", "Ordered by", "State", "Why", box=None)
    for order in found:
        table.add_row(str(order.id), f"{order.due_at:%Y-%m-%d %H:%M:%S}", order.ordered_by, order.state, order.note)
    if found:
        Console().print(table)
    else:
        click.echo("nobody ordered a run of this set: `bkp status` on its host tells of those by its schedule")


@backup_group.command("cancel")
@_set_argument
@json_option
@data_option
def cancel(chosen: tuple[str, str], *, as_json: bool, data: Path | None) -> None:
    """End the run that was ordered of HOST/SET and is under way; nothing of it will count."""

    async def work() -> BackupOrder | None:
        async with (
            command_database(data, "backup") as database,
            database.connection() as connection,
            connection.transaction(),
        ):
            newest = next((each for each in await read_orders_of(connection, *chosen) if each.is_open), None)
            if newest is None:
                return None
            return await cancel_run(connection, newest.id, host=chosen[0], name=chosen[1], by=actor_name("backup"))

    order: BackupOrder | None = _run(work(), as_json=as_json)
    if order is None:
        fail("no run that was ordered is under way; one by the schedule ends by `bkp cancel` there", as_json=as_json)
    click.echo(json.dumps(_plain(order)) if as_json else "it will be ended: `watchkeep backup runs` says when it has")


backup_group.add_command(queue_command)


async def _watch(database: Database, order: BackupOrder, limit: timedelta, tell: Any) -> BackupOrder:
    """Return the order as it is once it has ended, or after the limit; `tell` is told what the run does."""
    loop = asyncio.get_running_loop()
    until, told = loop.time() + limit.total_seconds(), ""
    while order.is_open and loop.time() < until:
        await asyncio.sleep(_LOOK_SECONDS)
        async with database.connection() as connection:
            found = await read_orders_of(connection, order.host, order.set)
            order = next(each for each in found if each.id == order.id)
            phase = await read_phase(connection, order.host, order.set) if order.state == "started" else None
        if (text := phase or order.state) != told and order.is_open:
            told = text
            tell(text)
    return order


def _run(work: Any, *, as_json: bool) -> Any:
    try:
        return run_at_database(work, as_json=as_json)
    except OrderRefused as error:
        fail(f"{error.message} {error.remedy}", as_json=as_json)


def _plain(order: BackupOrder) -> dict[str, Any]:
    return {
        "id": order.id,
        "host": order.host,
        "set": order.set,
        "due_at": order.due_at.isoformat(),
        "ordered_by": order.ordered_by,
        "state": order.state,
        "note": order.note,
    }
