"""`watchkeep backup queue`: who runs and who waits under each limit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from server.inventory.effective import Inventory
from server.ordering.places import holds_place, limits_of
from server.ordering.queue import read_claims, read_queue
from server.store.backup_places import read_claim_items
from server.store.definitions import read_limits
from watchkeep.at_database import command_database, run_at_database
from watchkeep.command_options import data_option, json_option

if TYPE_CHECKING:
    from pathlib import Path

    from server.inventory.model import LimitDefinition
    from server.ordering.queue import Queue


@click.command("queue")
@json_option
@data_option
def queue_command(*, as_json: bool, data: Path | None) -> None:
    """Show of each limit which runs have a place and who waits, who comes first first."""
    inventory, queue = run_at_database(_read(data), as_json=as_json)
    limits = [_plain(limit, inventory, queue) for _, limit in sorted(inventory.limits.items())]
    if as_json:
        click.echo(json.dumps({"limits": limits}))
        return
    if not limits:
        click.echo("no limit is defined: docs/definitions.md#limit has an example")
    console = Console()
    for each in limits:
        click.echo(f"{each['name']}: {each['taken']} of {each['at_once']} places taken, {len(each['waits'])} wait")
        table = Table(box=None, show_header=False, pad_edge=False)
        for run in each["runs"]:
            sign = "runs" if run["holds_place"] else "gave its place back"
            table.add_row("", f"{run['host']}/{run['set']}", f"{run['state']} {run['ordered_at'][:19]}", sign)
        for wait in each["waits"]:
            table.add_row("", f"{wait['host']}/{wait['set']}", f"due {wait['due_at'][:19]}", wait["sign"])
        if table.row_count:
            console.print(table)


async def _read(data: Path | None) -> tuple[Inventory, Queue]:
    async with command_database(data, "backup") as database, database.connection() as connection:
        inventory = Inventory.from_stored(0, await read_limits(connection))
        items = await read_claim_items(connection, inventory.limits_of)
        return inventory, await read_queue(connection, await read_claims(connection, items))


def _plain(limit: LimitDefinition, inventory: Inventory, queue: Queue) -> dict[str, Any]:
    runs = [
        {
            "host": order.host,
            "set": order.set,
            "state": order.state,
            "due_at": order.due_at.isoformat(),
            "ordered_at": order.ordered_at.isoformat(),
            "holds_place": holds_place(order, queue.silence, queue.now),
        }
        for order in queue.open_orders
        if limit.name in order.limits
    ]
    waits = [
        {
            "host": claim.host,
            "set": claim.set,
            "due_at": claim.due_at.isoformat(),
            "since": claim.since.isoformat(),
            "sign": "waits" if claim in queue.ready else "waits; its host is silent, its clock wrong, or it just ran",
        }
        for claim in queue.line
        if any(each.name == limit.name for each in limits_of(claim, inventory.limits_of))
    ]
    return {
        "name": limit.name,
        "at_once": limit.at_once,
        "taken": sum(bool(run["holds_place"]) for run in runs),
        "runs": runs,
        "waits": waits,
    }
