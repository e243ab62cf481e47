"""`watchkeep enrol`: lets machines in that nobody knows yet, by one-time token or by approval."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from core.config.reader import parse_duration
from server.enrolment.admission import EnrolmentRefused
from server.enrolment.desk import EnrolmentDesk, NoEntrance, TokenWrong
from server.store.database import Database, DatabaseOptions
from server.store.enrolment import TokenTerms
from server.store.errors import StoreError
from watchkeep.caller import actor_name
from watchkeep.command_options import data_option, fail, json_option
from watchkeep.installation import InstallationError, find_installation

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from datetime import datetime
    from pathlib import Path

_ACTOR = actor_name("enrol")


_EPILOG = """\b
Examples:
  watchkeep enrol token create --host db1    a command to type on the machine
  watchkeep enrol requests                   who asks to be let in without one
  watchkeep enrol approve 3 --host db1       let in who has that number
"""
_LIST_EPILOG = """\b
Examples:
  watchkeep enrol token create
  watchkeep enrol token list
  watchkeep enrol token revoke 7f3a9c
"""


@click.group("enrol", epilog=_EPILOG)
def enrol_group() -> None:
    """Let machines in that nobody knows yet: by a one-time token, or by approving what they ask."""


@enrol_group.group("token", epilog=_LIST_EPILOG)
def token_group() -> None:
    """One-time tokens: each lets one machine in."""


_CREATE_EPILOG = """\b
Examples:
  watchkeep enrol token create
  watchkeep enrol token create --host db1 --template linux-host --lifetime 10m

It prints the one command to be typed on the new machine. The token is shown only here.
"""


@token_group.command("create", epilog=_CREATE_EPILOG)
@click.option("--host", help="The host it lets in, also one there is already; else the machine says its name.")
@click.option(
    "--template", "templates", multiple=True, default=["linux-host"], show_default=True, help="For a new host."
)
@click.option("--group", "groups", multiple=True, help="Host group of a new host.")
@click.option("--proxy-group", default="default", show_default=True, help="The proxies that carry it.")
@click.option("--lifetime", default="1h", show_default=True, help="How long it may be used: 10m, 1h, 1d.")
@json_option
@data_option
def create(  # noqa: PLR0913 - the options of the command, by name
    *,
    host: str | None,
    templates: tuple[str, ...],
    groups: tuple[str, ...],
    proxy_group: str,
    lifetime: str,
    as_json: bool,
    data: Path | None,
) -> None:
    """Make a token that lets one machine in."""
    duration = parse_duration(lifetime)
    if duration is None:
        raise click.BadParameter("expected a duration like 10m, 1h or 1d", param_hint="--lifetime")
    terms = TokenTerms(
        host=host,
        templates=templates,
        groups=groups,
        proxy_group=proxy_group,
        lifetime_seconds=round(duration.total_seconds()),
    )
    made = _run(data, lambda desk: desk.create_token(terms, by=_ACTOR), as_json=as_json)
    if as_json:
        facts = {"id": made.id, "token": made.token, "command": made.command, "expires_at": _at(made.expires_at)}
        click.echo(json.dumps(facts))
        return
    click.echo("Type this on the new machine, once, before " + _at(made.expires_at) + ":\n")
    click.echo(f"    {made.command}\n")


@token_group.command("list")
@json_option
@data_option
def list_tokens(*, as_json: bool, data: Path | None) -> None:
    """List tokens, newest first; secrets are never shown."""
    tokens = _run(data, lambda desk: desk.tokens(), as_json=as_json)
    rows = [
        {
            "id": token.id,
            "state": token.state,
            "host": token.host or token.used_by or "",
            "created_by": token.created_by,
            "expires_at": _at(token.expires_at),
            "used_by": token.used_by,
            "used_address": token.used_address,
        }
        for token in tokens
    ]
    if as_json:
        click.echo(json.dumps({"tokens": rows}))
        return
    table = Table("Id", "State", "Host", "Made by", "Expires", "Used from", box=None)
    for row in rows:
        table.add_row(
            row["id"], row["state"], row["host"], row["created_by"], row["expires_at"], row["used_address"] or "",
            style="" if row["state"] == "open" else "dim",
        )  # fmt: skip
    Console().print(table)


@token_group.command("revoke")
@click.argument("token_id", metavar="ID")
@json_option
@data_option
def revoke(token_id: str, *, as_json: bool, data: Path | None) -> None:
    """Make a token useless. Who came in by it already stays in: `watchkeep key revoke` shuts out."""
    if not _run(data, lambda desk: desk.revoke_token(token_id, by=_ACTOR), as_json=as_json):
        fail(
            "there is no such token, or it was revoked before: `watchkeep enrol token list` shows ids", as_json=as_json
        )
    click.echo(json.dumps({"revoked": token_id}) if as_json else "revoked")


@enrol_group.command("requests")
@json_option
@data_option
def requests(*, as_json: bool, data: Path | None) -> None:
    """List who asks to be let in without a token, and the fingerprint newcomers are to compare."""
    entrance, found = _run(data, lambda desk: desk.requests(), as_json=as_json)
    rows = [
        {
            "id": request.id,
            "state": request.state,
            "name": request.name,
            "is_known_host": request.is_known_host,
            "fingerprint": request.fingerprint,
            "address": request.address,
            "requested_at": _at(request.requested_at),
        }
        for request in found
    ]
    if as_json:
        click.echo(json.dumps({"fingerprint": entrance and entrance.fingerprint, "requests": rows}))
        return
    if entrance is not None:
        click.echo(f"This server's fingerprint   {entrance.fingerprint}")
    for row in rows:
        click.secho(request_words(row), dim=row["state"] != "waiting")
    if not rows:
        click.echo("Nobody asks to be let in.")


def request_words(row: dict[str, Any]) -> str:
    """Return a request for people: whatever is compared by eye is there in full, on a narrow terminal too."""
    known = " (a host there is already)" if row["is_known_host"] else ""
    return (
        f"{row['id']:>4}  {row['state']:<9} {row['name']}{known}\n"
        f"      from {row['address']}, its key's fingerprint\n"
        f"      {row['fingerprint']}"
    )


@enrol_group.command("approve")
@click.argument("number", metavar="ID", type=int)
@click.option("--host", help="What to call it, also a host there is already; else the name it asked for.")
@click.option(
    "--template", "templates", multiple=True, default=["linux-host"], show_default=True, help="For a new host."
)
@click.option("--group", "groups", multiple=True, help="Host group of a new host.")
@click.option("--proxy-group", default="default", show_default=True, help="The proxies that carry it.")
@json_option
@data_option
def approve(  # noqa: PLR0913 - the options of the command, by name
    number: int,
    *,
    host: str | None,
    templates: tuple[str, ...],
    groups: tuple[str, ...],
    proxy_group: str,
    as_json: bool,
    data: Path | None,
) -> None:
    """Let in who asked. Compare the fingerprint with what that machine's command shows first."""
    terms = TokenTerms(host=host, templates=templates, groups=groups, proxy_group=proxy_group, lifetime_seconds=0)
    name = _run(data, lambda desk: desk.approve(number, terms, by=_ACTOR), as_json=as_json)
    if name is None:
        fail("nobody waits under this number: `watchkeep enrol requests` lists them", as_json=as_json)
    click.echo(json.dumps({"approved": number, "host": name}) if as_json else f"{name} is let in")


@enrol_group.command("refuse")
@click.argument("number", metavar="ID", type=int)
@json_option
@data_option
def refuse(number: int, *, as_json: bool, data: Path | None) -> None:
    """Refuse who asked."""
    if not _run(data, lambda desk: desk.refuse(number, by=_ACTOR), as_json=as_json):
        fail("nobody waits under this number: `watchkeep enrol requests` lists them", as_json=as_json)
    click.echo(json.dumps({"refused": number}) if as_json else "refused")


def _run(data: Path | None, work: Callable[[EnrolmentDesk], Coroutine[Any, Any, Any]], *, as_json: bool) -> Any:
    async def run() -> Any:
        options = DatabaseOptions(dsn=find_installation(data).dsn, server="command", max_connections=2)
        async with Database(options, purpose="enrol") as database:
            return await work(EnrolmentDesk(database))

    try:
        return asyncio.run(run())
    except EnrolmentRefused as error:
        fail(f"{error.message}: {error.remedy}", as_json=as_json)
    except (InstallationError, StoreError, NoEntrance, TokenWrong) as error:
        fail(str(error), as_json=as_json)


def _at(instant: datetime) -> str:
    return instant.isoformat(timespec="seconds")
