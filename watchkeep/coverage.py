"""`watchkeep coverage`: which hosts are backed up and which are not, and waivers for those that need not be."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from server.coverage.reading import read_coverage
from server.inventory.apply import (
    DefinitionsMoved,
    DefinitionsWrong,
    apply,
    check_documents,
    propose,
    propose_deletion,
)
from server.inventory.check import documents_from_plain
from server.inventory.effective import Inventory
from server.store.definitions import Author, read_protection
from watchkeep.at_database import command_database, run_at_database
from watchkeep.caller import actor_name, author_name
from watchkeep.command_options import data_option, fail, json_option

if TYPE_CHECKING:
    from pathlib import Path

    from server.coverage.judge import Verdict
    from server.inventory.apply import Proposal

_EPILOG = """\b
Examples:
  watchkeep coverage show
  watchkeep coverage show --unprotected
  watchkeep coverage waive cache1 --until 2027-03-31 --reason "made again"
  watchkeep coverage unwaive cache1-2027-03-31
"""
_SIGNS = {"covered": "✓ covered", "waived": "- waived", "new": "○ new", "unprotected": "✕ unprotected"}


@click.group("coverage", epilog=_EPILOG)
def coverage_group() -> None:
    """Show which hosts are not backed up; waive those that need not be, until a day and with a reason."""


_SHOW_EPILOG = """Exit codes: 0 every host is covered, waived or new; 1 some are unprotected; 2 it cannot be told.
"""


@coverage_group.command("show", epilog=_SHOW_EPILOG)
@click.option("--unprotected", "only_unprotected", is_flag=True, help="List only hosts that are not protected.")
@json_option
@data_option
def show(*, only_unprotected: bool, as_json: bool, data: Path | None) -> None:
    """List every defined host with the set that saves it, its waiver, or why it is unprotected."""
    found: list[Verdict] = run_at_database(_read(data), as_json=as_json)
    unprotected = [each for each in found if each.state == "unprotected"]
    shown = unprotected if only_unprotected else found
    if as_json:
        click.echo(json.dumps({"hosts": [_plain(each) for each in shown]}))
    else:
        table = Table("Host", "State", "Last good backup", "Why", box=None)
        for each in shown:
            good_at = "" if each.good_at is None else f"{each.good_at:%Y-%m-%d %H:%M}"
            table.add_row(each.host, _SIGNS[each.state], good_at, each.reason)
        if shown:
            Console().print(table)
        click.echo(_summary(found))
    raise SystemExit(1 if unprotected else 0)


@coverage_group.command("waive")
@click.argument("hosts", metavar="HOST...", nargs=-1, required=True)
@click.option("--until", required=True, metavar="DAY", help="The last day it counts (UTC): 2027-03-31.")
@click.option("--reason", required=True, help="Why no backup is needed until then.")
@click.option("--name", help="What to call the waiver; else HOST-DAY.")
@json_option
@data_option
def waive(
    hosts: tuple[str, ...], *, until: str, reason: str, name: str | None, as_json: bool, data: Path | None
) -> None:
    """Let hosts be without a backup until the end of a day. It is a definition, kept with who made it."""
    name = name or f"{hosts[0]}-{until}"
    document = {"kind": "waiver", "name": name, "hosts": list(hosts), "until": until, "reason": reason}
    checked = check_documents(documents_from_plain([document], origin="waiver"))

    async def work() -> Proposal:
        async with command_database(data, "coverage") as database:
            proposal = await propose(database, checked, via="web")
            if not proposal.faults:
                await apply(database, proposal, _author(), audit_as=actor_name("coverage"))
            return proposal

    proposal = _run(work(), as_json=as_json)
    if proposal.faults:
        fail("; ".join(f"{fault.path}: {fault.message}. {fault.remedy}" for fault in proposal.faults), as_json=as_json)
    if until < f"{datetime.now(UTC):%Y-%m-%d}":
        click.echo("watchkeep: this day is over already, so the waiver changes nothing", err=True)
    told = f"{', '.join(hosts)} may be without a backup until {until} (waiver {name})"
    click.echo(json.dumps({"waiver": document}) if as_json else told)


@coverage_group.command("unwaive")
@click.argument("name", metavar="WAIVER")
@json_option
@data_option
def unwaive(name: str, *, as_json: bool, data: Path | None) -> None:
    """End a waiver now: its hosts have to be backed up again."""

    async def work() -> bool:
        async with command_database(data, "coverage") as database:
            proposal = await propose_deletion(database, "waiver", name)
            if proposal is None:
                return False
            await apply(database, proposal, _author(), audit_as=actor_name("coverage"))
            return True

    if not _run(work(), as_json=as_json):
        fail(f"there is no waiver {name!r}: `watchkeep coverage show` names those in force", as_json=as_json)
    click.echo(json.dumps({"ended": name}) if as_json else f"the waiver {name} is over")


def _author() -> Author:
    # As the page does: a later `apply` of files then says whose change it would undo.
    return Author(name=author_name(), via="web")


def _run(work: Any, *, as_json: bool) -> Any:
    try:
        return run_at_database(work, as_json=as_json)
    except (DefinitionsMoved, DefinitionsWrong) as error:
        fail(str(error), as_json=as_json)


async def _read(data: Path | None) -> list[Verdict]:
    async with command_database(data, "coverage") as database, database.connection() as connection:
        inventory = Inventory.from_stored(0, await read_protection(connection))
        return await read_coverage(connection, inventory, datetime.now(UTC))


def _summary(found: list[Verdict]) -> str:
    if not found:
        return "no host is defined yet"
    counts = {state: sum(each.state == state for each in found) for state in _SIGNS}
    return f"{len(found)} hosts: " + ", ".join(f"{count} {state}" for state, count in counts.items() if count)


def _plain(verdict: Verdict) -> dict[str, Any]:
    waiver = verdict.waiver
    return {
        "host": verdict.host,
        "state": verdict.state,
        "reason": verdict.reason,
        "by": verdict.by,
        "good_at": None if verdict.good_at is None else verdict.good_at.isoformat(timespec="seconds"),
        "waiver": None if waiver is None else waiver.name,
    }
