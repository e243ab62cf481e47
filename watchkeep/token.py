"""`watchkeep token`: tokens for programs that use the REST API. Needs the database, not the server."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from server.store.roles import ROLES
from server.store.tokens import NewToken, TokenRefused, Tokens
from watchkeep.at_database import command_database, run_at_database
from watchkeep.caller import actor_name
from watchkeep.command_options import data_option, fail, json_option

if TYPE_CHECKING:
    from pathlib import Path

    from server.store.tokens import Token

_BY = actor_name("token")
_EPILOG = """\b
Examples:
  watchkeep token create report --user admin --role viewer --days 90
  watchkeep token create shop --user anna --role viewer --group web
  curl -H "Authorization: Bearer $TOKEN" localhost:8642/api/v1/hosts
"""


_GROUP_EPILOG = """\b
Examples:
  watchkeep token create report --user admin --days 90
  watchkeep token list
  watchkeep token revoke 7
"""


@click.group("token", epilog=_GROUP_EPILOG)
def token_group() -> None:
    """Let programs use the REST API: create, list and revoke tokens."""


@token_group.command("create", epilog=_EPILOG)
@click.argument("name")
@click.option("--user", required=True, help="Whose token: it can never do more than this user.")
@click.option("--role", type=click.Choice(ROLES), default="viewer", show_default=True, help="What it may do.")
@click.option("--group", "groups", multiple=True, help="See only this host group's hosts; may be given several times.")
@click.option("--days", type=click.IntRange(1, 3660), help="Its life; without this it holds until it is revoked.")
@json_option
@data_option
def create(  # noqa: PLR0913 - the options of the command, by name
    name: str,
    *,
    user: str,
    role: str,
    groups: tuple[str, ...],
    days: int | None,
    as_json: bool,
    data: Path | None,
) -> None:
    """Create the token NAME and print it. It is not kept and shown this once."""
    if role == "administrator" and groups:
        fail("an administrator's token cannot be restricted to groups", as_json=as_json)
    wanted = NewToken(
        name=name,
        role=role,
        groups=frozenset(groups) or None,
        expires_at=None if days is None else datetime.now(UTC) + timedelta(days=days),
    )
    made: tuple[str, Token] | str = run_at_database(_create(user, wanted, data), as_json=as_json)
    if isinstance(made, str):
        fail(made, as_json=as_json)
    secret, token = made
    if as_json:
        click.echo(json.dumps({"secret": secret, "token": _plain(token)}))
        return
    click.echo(f"{user} has the token {name} (id {token.id}): {token.role}, {_reach(token)}", err=True)
    click.echo(secret)


@token_group.command("list")
@click.option("--user", help="Only this user's.")
@json_option
@data_option
def list_tokens(*, user: str | None, as_json: bool, data: Path | None) -> None:
    """List tokens with what they may do now; never the tokens themselves."""
    tokens: list[Token] = run_at_database(_list(user, data), as_json=as_json)
    if as_json:
        click.echo(json.dumps({"tokens": [_plain(token) for token in tokens]}))
        return
    table = Table("Id", "User", "Name", "Role", "Host groups", "Ends", "Last used", box=None)
    for token in tokens:
        ends, used = _minute(token.expires_at, "never"), _minute(token.last_used_at, "never")
        style = "dim" if token.is_expired else ""
        table.add_row(str(token.id), token.owner, token.name, token.role, _reach(token), ends, used, style=style)
    Console().print(table)


@token_group.command("revoke")
@click.argument("token_id", metavar="ID", type=int)
@json_option
@data_option
def revoke(token_id: int, *, as_json: bool, data: Path | None) -> None:
    """Revoke the token with this ID (see `watchkeep token list`); it opens nothing from then on."""
    if not run_at_database(_revoke(token_id, data), as_json=as_json):
        fail(f"there is no token with the id {token_id}", as_json=as_json)
    click.echo(json.dumps({"revoked": token_id}) if as_json else "revoked")


def _reach(token: Token) -> str:
    return "all hosts" if token.groups is None else ", ".join(sorted(token.groups)) or "no hosts"


def _minute(at: datetime | None, otherwise: str) -> str:
    return otherwise if at is None else f"{at:%Y-%m-%d %H:%M} UTC"


def _plain(token: Token) -> dict[str, Any]:
    used_at = None if token.last_used_at is None else token.last_used_at.isoformat(timespec="seconds")
    return {
        "id": token.id,
        **token.to_json(),
        "is_expired": token.is_expired,
        "last_used_at": used_at,
        "last_address": token.last_address,
    }


async def _create(user: str, wanted: NewToken, data: Path | None) -> tuple[str, Token] | str:
    async with command_database(data, "token") as database:
        try:
            return await Tokens(database).create(user, wanted, by=_BY, address="")
        except TokenRefused as error:
            return str(error)


async def _list(user: str | None, data: Path | None) -> list[Token]:
    async with command_database(data, "token") as database:
        return await Tokens(database).list(user)


async def _revoke(token_id: int, data: Path | None) -> bool:
    async with command_database(data, "token") as database:
        return await Tokens(database).revoke(token_id, by=_BY, address="")
