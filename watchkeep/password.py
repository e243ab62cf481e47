"""`watchkeep password`: sets a user's password anew and ends his sessions; the way back in when it is forgotten."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from server.api.login import ADMINISTRATOR, ensure_administrator, set_password
from server.api.passwords import Passwords, WeakPassword, generate_password
from server.store.accounts import Accounts
from server.store.database import Database, DatabaseOptions
from server.store.errors import StoreError
from watchkeep.installation import FIRST_PASSWORD, InstallationError, data_folder, find_installation

_EPILOG = """\b
Examples:
  watchkeep password                     the administrator's, asked for twice
  watchkeep password --generate          a good one is made and printed
  watchkeep password --user anna --stdin < file

Exit codes: 0 set, 1 no installation, 2 not accepted, 4 the database does not answer.
"""


@click.command("password", epilog=_EPILOG)
@click.option("--user", default=ADMINISTRATOR, show_default=True, help="Whose password.")
@click.option("--generate", is_flag=True, help="Make a good one and print it.")
@click.option("--stdin", "is_read_from_stdin", is_flag=True, help="Read it from the first line of standard input.")
@click.option("--data", type=click.Path(path_type=Path), help="The installation's folder [WATCHKEEP_DATA, else ./var].")
def password_command(user: str, *, generate: bool, is_read_from_stdin: bool, data: Path | None) -> None:
    """Set a new password for a user and end his sessions.

    Asks for it twice unless --generate or --stdin is given. Needs the database running, not the server. Makes the
    administrator when there is no user yet.
    """
    if generate and is_read_from_stdin:
        raise click.UsageError("give --generate or --stdin, not both")
    try:
        installation = find_installation(data)
    except InstallationError as error:
        raise click.ClickException(str(error)) from error
    password = _choose(user, generate=generate, is_read_from_stdin=is_read_from_stdin)
    try:
        ended = asyncio.run(change_password(installation.dsn, user, password))
    except (WeakPassword, LookupError) as error:
        raise _NotAccepted(str(error.args[0])) from error
    except StoreError as error:
        raise _DatabaseAway(f"{error}; is Watchkeep's database running?") from error
    if user == ADMINISTRATOR:  # the first password, which `watchkeep up` goes on telling, is none any more
        (data_folder(data) / FIRST_PASSWORD).unlink(missing_ok=True)
    if generate:
        click.echo(password)
    click.echo(f"The password of {user} is set; {ended} open sessions were ended.", err=True)


async def change_password(dsn: str, user: str, password: str) -> int:
    """Set the password in the database and return how many sessions ended.

    Raises WeakPassword, LookupError for an unknown user, StoreError when the database cannot be used.
    """
    passwords = Passwords()
    try:
        async with Database(DatabaseOptions(dsn=dsn, server="command", max_connections=1), purpose="password") as store:
            if user == ADMINISTRATOR:
                await ensure_administrator(Accounts(store), passwords)
            return await set_password(Accounts(store), passwords, user, password)
    finally:
        passwords.close()


def _choose(user: str, *, generate: bool, is_read_from_stdin: bool) -> str:
    if generate:
        return generate_password()
    if is_read_from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    chosen: str = click.prompt(f"New password of {user}", hide_input=True, confirmation_prompt=True)
    return chosen


class _NotAccepted(click.ClickException):
    exit_code = 2


class _DatabaseAway(click.ClickException):
    exit_code = 4
