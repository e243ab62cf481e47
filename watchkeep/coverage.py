"""`watchkeep coverage`: which hosts and things on them are backed up, and waivers for those that need not be."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

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
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from server.coverage.model import ThingVerdict, Verdict
    from server.inventory.apply import Proposal

_EPILOG = """\b
Examples:
  watchkeep coverage show
  watchkeep coverage show --unprotected
  watchkeep coverage waive db1 --thing database:x --until DAY --reason TEXT
  watchkeep coverage waive cache1 --until 2027-03-31 --reason "made again"
  watchkeep coverage unwaive cache1-2027-03-31
"""
_SIGNS = {
    "covered": "✓ covered",
    "waived": "- waived",
    "unknown": "? unknown",
    "new": "○ new",
    "unprotected": "✕ unprotected",
}


@click.group("coverage", epilog=_EPILOG)
def coverage_group() -> None:
    """Show which hosts, databases, file systems and domains are not backed up; waive those that need not be."""


_SHOW_EPILOG = """Exit codes: 0 nothing is unprotected; 1 something is; 2 it cannot be told.
"""


@coverage_group.command("show", epilog=_SHOW_EPILOG)
@click.option("--unprotected", "only_unprotected", is_flag=True, help="List only what is not protected.")
@json_option
@data_option
def show(*, only_unprotected: bool, as_json: bool, data: Path | None) -> None:
    """List every defined host, and what it holds, with the set that saves it, its waiver, or why it is unprotected."""
    found: list[Verdict] = run_at_database(_read(data), as_json=as_json)
    things = [(each.host, thing) for each in found for thing in each.things]
    if as_json:
        shown = [_plain(each, only_unprotected=only_unprotected) for each in found]
        is_left = [each for each in shown if not only_unprotected or each["state"] == "unprotected" or each["things"]]
        click.echo(json.dumps({"hosts": is_left}))
    else:
        table = Table("Host", "What", "State", "Last good backup", "Why", box=None)
        for host, what, each in _rows(found):
            if not only_unprotected or each.state == "unprotected":
                good_at = "" if each.good_at is None else f"{each.good_at:%Y-%m-%d %H:%M}"
                table.add_row(Text(host), Text(what), _SIGNS[each.state], good_at, Text(each.reason))
        if table.row_count:
            Console().print(table)
        for verdict in found:
            for server in verdict.unknown:
                click.echo(f"{verdict.host}: the databases behind {server} are not known; its probe's status says why")
        click.echo(_summary("hosts", [each.state for each in found]))
        if things:
            click.echo(_summary("things on them", [thing.state for _, thing in things]))
    states = [*(each.state for each in found), *(thing.state for _, thing in things)]
    raise SystemExit(1 if "unprotected" in states else 0)


@coverage_group.command("waive")
@click.argument("hosts", metavar="HOST...", nargs=-1, required=True)
@click.option(
    "--thing",
    "things",
    multiple=True,
    metavar="KIND:NAME",
    help="Only this of the hosts: database:crm, filesystem:/srv, domain:web1; * fits any letters.",
)
@click.option("--until", required=True, metavar="DAY", help="The last day it counts (UTC): 2027-03-31.")
@click.option("--reason", required=True, help="Why no backup is needed until then.")
@click.option("--name", help="What to call the waiver; else HOST-DAY.")
@json_option
@data_option
def waive(  # noqa: PLR0913 - the options of the command
    hosts: tuple[str, ...],
    *,
    things: tuple[str, ...],
    until: str,
    reason: str,
    name: str | None,
    as_json: bool,
    data: Path | None,
) -> None:
    """Let hosts, or some of what they hold, be without a backup until the end of a day. It is a definition."""
    name = name or waiver_name(hosts[0], things, until)
    document = {"kind": "waiver", "name": name, "hosts": list(hosts), "until": until, "reason": reason}
    if things:
        document["things"] = list(things)
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
    what = f"{', '.join(things)} on " if things else ""
    told = f"{what}{', '.join(hosts)} may be without a backup until {until} (waiver {name})"
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


def waiver_name(host: str, things: Sequence[str], until: str) -> str:
    """Return what a waiver is called for which nobody gave a name; one of another thing has another."""
    part = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in things[0]) if things else ""
    return "-".join(filter(None, (host, part.strip("-"), until)))[-128:].lstrip("-._")


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


def _rows(found: Sequence[Verdict]) -> Iterator[tuple[str, str, Verdict | ThingVerdict]]:
    for each in found:
        yield each.host, "host", each
        for thing in each.things:
            yield each.host, thing.thing.title, thing


def _summary(what: str, states: Sequence[str]) -> str:
    if not states:
        return "no host is defined yet"
    counts = {state: states.count(state) for state in _SIGNS}
    return f"{len(states)} {what}: " + ", ".join(f"{count} {state}" for state, count in counts.items() if count)


def _plain(verdict: Verdict, *, only_unprotected: bool) -> dict[str, Any]:
    things = [each for each in verdict.things if not only_unprotected or each.state == "unprotected"]
    return {
        "host": verdict.host,
        **_standing(verdict),
        "things": [{"kind": each.thing.kind, "name": each.thing.name, **_standing(each)} for each in things],
        "unknown": list(verdict.unknown),
    }


def _standing(verdict: Verdict | ThingVerdict) -> dict[str, Any]:
    waiver = verdict.waiver
    return {
        "state": verdict.state,
        "reason": verdict.reason,
        "by": verdict.by,
        "good_at": None if verdict.good_at is None else verdict.good_at.isoformat(timespec="seconds"),
        "waiver": None if waiver is None else waiver.name,
    }
