"""`watchkeep server handover`: has the active server let a standby take over, before it is stopped or upgraded."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import click

from server.store.lease import read_lease
from server.store.servers import read_servers, wish_handover
from watchkeep.at_database import command_database, run_at_database
from watchkeep.caller import actor_name
from watchkeep.command_options import data_option, fail, json_option

if TYPE_CHECKING:
    from pathlib import Path

    from server.store.database import Database
    from server.store.lease import LeaseView

_EPILOG = """\b
Examples:
  watchkeep server handover
  watchkeep server handover --data /etc/watchkeep --json

Exit codes: 0 another server is active, 1 asked and not done in time, 2 it cannot be asked.
"""
LOOK_SECONDS: Final = 0.1


class Impossible(Exception):
    """Nobody can be asked, or nobody stands by; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`seconds`: from the wish to the new epoch. `to` is None when nobody took over in time."""

    handed_over: bool
    by: str
    to: str | None
    epoch: int
    seconds: float


@click.command("handover", epilog=_EPILOG)
@click.option(
    "--timeout", "timeout_seconds", type=click.FloatRange(1, 600), default=15.0, show_default=True,
    help="How many seconds to wait for the new active server.",
)  # fmt: skip
@json_option
@data_option
def handover_command(*, timeout_seconds: float, as_json: bool, data: Path | None) -> None:
    """Have the active server finish what it stores and let a standby take over, within about a second.

    The process of the old one ends with code 3; started again it stands by. Refused while nobody stands by.
    """
    try:
        outcome: Outcome = run_at_database(_hand_over(data, timeout_seconds), as_json=as_json)
    except Impossible as error:
        fail(str(error), as_json=as_json)
    if as_json:
        click.echo(json.dumps(asdict(outcome)))
    elif outcome.handed_over:
        click.echo(
            f"{outcome.to} is active, epoch {outcome.epoch}; {outcome.by} handed over in {outcome.seconds:.1f} s"
        )
    else:
        click.echo(
            f"{outcome.by} was asked to hand over and nobody has taken over within {timeout_seconds:g} s: "
            "look at the logs of both servers",
            err=True,
        )
    if not outcome.handed_over:
        raise SystemExit(1)


async def _hand_over(data: Path | None, timeout_seconds: float) -> Outcome:
    async with command_database(data, "handover") as database:
        before = await _ask(database)
        began = time.monotonic()
        while True:
            async with database.connection() as connection:
                lease = await read_lease(connection)
            seconds = time.monotonic() - began
            is_over = lease.epoch > before.epoch
            if is_over or seconds > timeout_seconds:
                return Outcome(
                    handed_over=is_over and lease.holder != before.holder, by=before.holder,
                    to=lease.holder if is_over else None, epoch=lease.epoch, seconds=round(seconds, 3),
                )  # fmt: skip
            await asyncio.sleep(LOOK_SECONDS)


async def _ask(database: Database) -> LeaseView:
    """Ask the active server to hand over; return the lease as it was. Raises Impossible."""
    async with database.connection() as connection:
        lease = await read_lease(connection)
        if lease.is_free():
            raise Impossible("no server is active: start one; its log says why when it does not become active")
        servers = await read_servers(connection)
        if not any(server.is_there and server.name != lease.holder for server in servers):
            silent = [f"{server.name} was heard {server.seen_seconds:.0f} s ago" for server in servers
                      if server.name != lease.holder]  # fmt: skip
            known = f" ({'; '.join(silent)})" if silent else ""
            raise Impossible(
                f"no other server stands by for {lease.holder}{known}: start one, or stop {lease.holder} without"
            )
        await wish_handover(connection, lease.epoch, by=actor_name("server handover"), reason="asked by command")
        return lease
