"""`watchkeep user`: who may sign in, with which role, for which host groups. Needs the database, not the server."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from server.api.passwords import Passwords, WeakPassword, check_new_password, generate_password
from server.store.roles import ROLES
from server.store.users import By, LastAdministrator, Terms, UserExists, Users
from watchkeep.at_database import command_database, run_at_database
from watchkeep.caller import actor_name
from watchkeep.command_options import data_option, fail, json_option
from watchkeep.password import password_command

if TYPE_CHECKING:
    from pathlib import Path

    from server.store.users import User

_BY = By(name=actor_name("user"))


_EPILOG = """\b
Examples:
  watchkeep user list
  watchkeep user add anna --role operator --group web
  watchkeep user password anna
  watchkeep user remove anna
"""


@click.group("user", epilog=_EPILOG)
def user_group() -> None:
    """Say who may sign in: list, add, change and remove users, set their passwords."""


_ADD_EPILOG = """\b
Examples:
  watchkeep user add anna --role operator
  watchkeep user add web-team --role viewer --group web --group shop
  echo "$PASSWORD" | watchkeep user add anna --role viewer --stdin
"""


@user_group.command("list")
@json_option
@data_option
def list_users(*, as_json: bool, data: Path | None) -> None:
    """List all users."""
    users: list[User] = run_at_database(_list(data), as_json=as_json)
    rows = [_plain(user) for user in users]
    if as_json:
        click.echo(json.dumps({"users": rows}))
        return
    table = Table("User", "Name", "Role", "Host groups", "Sessions", "Tokens", box=None)
    for user in users:
        groups = "all hosts" if user.groups is None else ", ".join(user.groups)
        table.add_row(user.name, user.full_name, user.role, groups, str(user.sessions), str(user.tokens))
    Console().print(table)


@user_group.command("add", epilog=_ADD_EPILOG)
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), required=True, help="What the user may do.")
@click.option("--group", "groups", multiple=True, help="See only this host group's hosts; may be given several times.")
@click.option("--full-name", default="", help="The user's name as people say it.")
@click.option("--stdin", "is_read_from_stdin", is_flag=True, help="Read the password from standard input's first line.")
@json_option
@data_option
def add(  # noqa: PLR0913 - the options of the command, by name
    name: str,
    *,
    role: str,
    groups: tuple[str, ...],
    full_name: str,
    is_read_from_stdin: bool,
    as_json: bool,
    data: Path | None,
) -> None:
    """Add user NAME. A good password is made and printed, unless --stdin gives one."""
    terms = _terms(name, Terms(role=role, groups=groups or None, full_name=full_name), as_json=as_json)
    password = sys.stdin.readline().rstrip("\r\n") if is_read_from_stdin else generate_password()
    try:
        check_new_password(password, name)
    except WeakPassword as error:
        fail(str(error), as_json=as_json)
    user = run_at_database(_add(name, terms, password, data), as_json=as_json)
    if user is None:
        fail(f"there is a user {name!r} already", as_json=as_json)
    made = {} if is_read_from_stdin else {"password": password}
    if as_json:
        click.echo(json.dumps({"user": _plain(user), **made}))
        return
    click.echo(f"{name} may sign in as {role}", err=True)
    if made:
        click.echo(password)


@user_group.command("change", epilog="\b\nExample:\n  watchkeep user change anna --role viewer --group web")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), help="What the user may do from now on.")
@click.option("--group", "groups", multiple=True, help="See only this host group's hosts; may be given several times.")
@click.option("--all-groups", is_flag=True, help="See every host.")
@json_option
@data_option
def change(
    name: str, *, role: str | None, groups: tuple[str, ...], all_groups: bool, as_json: bool, data: Path | None
) -> None:
    """Change role or host groups of user NAME; his sessions and tokens follow at once."""
    if groups and all_groups:
        raise click.UsageError("give --group or --all-groups, not both")
    found: User | None = run_at_database(_find(name, data), as_json=as_json)
    if found is None:
        fail(f"there is no user {name!r}", as_json=as_json)
    kept = None if all_groups else found.terms.groups
    wanted = Terms(role=role or found.role, groups=groups or kept, full_name=found.full_name)
    user = run_at_database(_change(name, _terms(name, wanted, as_json=as_json), data), as_json=as_json)
    if isinstance(user, LastAdministrator):
        fail(str(user), as_json=as_json)
    if user is None:
        fail(f"there is no user {name!r}", as_json=as_json)
    click.echo(json.dumps({"user": _plain(user)}) if as_json else f"{name} is {user.role} now")


@user_group.command("remove")
@click.argument("name")
@json_option
@data_option
def remove(name: str, *, as_json: bool, data: Path | None) -> None:
    """Remove user NAME with all sessions and tokens. The last administrator stays."""
    is_removed = run_at_database(_remove(name, data), as_json=as_json)
    if isinstance(is_removed, LastAdministrator):
        fail(str(is_removed), as_json=as_json)
    if not is_removed:
        fail(f"there is no user {name!r}", as_json=as_json)
    click.echo(json.dumps({"removed": name}) if as_json else f"{name} is removed")


@user_group.command("password")
@click.argument("name")
@click.option("--generate", is_flag=True, help="Make a good one and print it.")
@click.option("--stdin", "is_read_from_stdin", is_flag=True, help="Read it from the first line of standard input.")
@data_option
@click.pass_context
def password(context: click.Context, name: str, *, generate: bool, is_read_from_stdin: bool, data: Path | None) -> None:
    """Set a new password for user NAME and end his sessions; the same as `watchkeep password --user NAME`."""
    context.invoke(password_command, user=name, generate=generate, is_read_from_stdin=is_read_from_stdin, data=data)


def _terms(name: str, terms: Terms, *, as_json: bool) -> Terms:
    """Check what the API would check. Ends the command with every fault in one message."""
    # Here, so that listing and removing users do not wait for the API's models.
    from pydantic import ValidationError  # noqa: PLC0415 - see above

    from server.api.users import NewUser  # noqa: PLC0415 - see above

    try:
        fitting = NewUser(
            name=name,
            password="-",  # noqa: S106 - judged elsewhere
            role=terms.role,
            groups=terms.groups,
            full_name=terms.full_name,
        )
    except ValidationError as error:
        faults = [f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()]
        fail("; ".join(faults), as_json=as_json)
    return fitting.terms()


def _plain(user: User) -> dict[str, Any]:
    return {
        "name": user.name,
        "full_name": user.full_name,
        "role": user.role,
        "groups": user.groups,
        "created_at": user.created_at.isoformat(timespec="seconds"),
        "seen_at": None if user.seen_at is None else user.seen_at.isoformat(timespec="seconds"),
        "sessions": user.sessions,
        "tokens": user.tokens,
    }


async def _list(data: Path | None) -> list[User]:
    async with command_database(data, "user") as database:
        return await Users(database).list()


async def _find(name: str, data: Path | None) -> User | None:
    async with command_database(data, "user") as database:
        return await Users(database).find(name)


async def _add(name: str, terms: Terms, password: str, data: Path | None) -> User | None:
    passwords = Passwords()
    try:
        async with command_database(data, "user") as database:
            return await Users(database).create(name, terms, await passwords.hash(password), by=_BY)
    except UserExists:
        return None
    finally:
        passwords.close()


async def _change(name: str, terms: Terms, data: Path | None) -> User | LastAdministrator | None:
    async with command_database(data, "user") as database:
        try:
            return await Users(database).change(name, terms, by=_BY)
        except LastAdministrator as error:
            return error


async def _remove(name: str, data: Path | None) -> bool | LastAdministrator:
    async with command_database(data, "user") as database:
        try:
            return await Users(database).remove(name, by=_BY)
        except LastAdministrator as error:
            return error
