"""`watchkeep key`: which keys may speak to this installation."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from core.security.authority import SUBSCRIBER
from core.security.keys import KeyFault, key_text, read_public
from server.inventory.apply import define_host
from server.store.database import Database, DatabaseOptions
from server.store.errors import StoreError
from server.store.inventory import ensure_hosts
from server.store.peers import PeerKey, add_key, assign_source, ensure_group, ensure_source, read_keys, revoke_key
from server.store.rotation import ask_rotation
from watchkeep.caller import actor_name
from watchkeep.command_options import data_option, fail, json_option
from watchkeep.installation import InstallationError, find_installation

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path
    from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Newcomer:
    """Who is let in: an agent with its source, a proxy, or a subscriber of the live feed."""

    role: str
    name: str
    key: bytes
    source: UUID | None
    group: str
    templates: tuple[str, ...]


_EPILOG = """\b
Examples:
  watchkeep key list
  watchkeep key allow --role proxy --name dmz 'KEY'
  watchkeep key revoke 'KEY'    shut its holder out, also on a link that is up
"""


@click.group("key", epilog=_EPILOG)
def key_group() -> None:
    """Say which keys may speak or listen: let agents, proxies and subscribers in, shut them out, list them."""


# A key may begin with a dash and still is no option.
_KEYS_AS_THEY_ARE = {"ignore_unknown_options": True}
_ALLOW_EPILOG = """\b
Examples:
  watchkeep key allow --role proxy --name dmz 'KEY'
  watchkeep key allow --role agent --name db1 --source UUID 'KEY'
  watchkeep key allow --role subscriber --name wallboard 'KEY'    a listener
"""


@key_group.command("allow", context_settings=_KEYS_AS_THEY_ARE, epilog=_ALLOW_EPILOG)
@click.argument("key")
@click.option("--role", type=click.Choice(["agent", "proxy", "subscriber"]), required=True, help="What holds the key.")
@click.option("--name", required=True, help="The agent's host, or a name of yours.")
@click.option("--source", type=click.UUID, help="The source id in the agent's configuration.")
@click.option(
    "--group", default="default", show_default=True, help="Proxy group: a proxy's own, or that carries an agent."
)
@click.option(
    "--template", "templates", multiple=True, default=["linux-host"], show_default=True, help="For a new host."
)
@json_option
@data_option
def allow(  # noqa: PLR0913 - the options of the command, by name
    key: str,
    *,
    role: str,
    name: str,
    source: UUID | None,
    group: str,
    templates: tuple[str, ...],
    as_json: bool,
    data: Path | None,
) -> None:  # fmt: skip
    """Let the holder of public KEY (40 letters) in. A revoked key never comes back."""
    if (role == "agent") != (source is not None):
        raise click.UsageError("an agent has a --source, others have none")
    try:
        public = read_public(key)
    except KeyFault as error:
        fail(f"this is not a public key: {error}", as_json=as_json)
    newcomer = Newcomer(role=role, name=name, key=public, source=source, group=group, templates=templates)
    if not _run(_allow(newcomer, data), as_json=as_json):
        fail("this key was revoked; make a new key pair for the part and allow that one", as_json=as_json)
    click.echo(
        json.dumps({"allowed": key, "name": name})
        if as_json
        else f"{role} {name} may {'listen' if role == SUBSCRIBER else 'speak'}"
    )


@key_group.command("revoke", context_settings=_KEYS_AS_THEY_ARE)
@click.argument("key")
@json_option
@data_option
def revoke(key: str, *, as_json: bool, data: Path | None) -> None:
    """Shut out the holder of KEY for ever; its live links end within two seconds."""
    try:
        public = read_public(key)
    except KeyFault as error:
        fail(f"this is not a public key: {error}", as_json=as_json)
    if not _run(_revoke(public, data), as_json=as_json):
        fail("no such key is allowed", as_json=as_json)
    click.echo(json.dumps({"revoked": key}) if as_json else "revoked")


@key_group.command("rotate", context_settings=_KEYS_AS_THEY_ARE)
@click.argument("name_or_key", metavar="NAME|KEY")
@json_option
@data_option
def rotate(name_or_key: str, *, as_json: bool, data: Path | None) -> None:
    """Have an agent replace its key: host NAME, or the one KEY. Nothing is lost, whoever is killed meanwhile.

    The agent makes the new pair itself; the old one is revoked once the new one is in use, seconds later when the
    agent is up. Keys of proxies and servers are not replaced this way: other parts' configurations name them.
    """
    outcomes: dict[str, str] = _run(_rotate(name_or_key, data), as_json=as_json)
    if not outcomes:
        fail(
            f"no agent's key that may speak belongs to {name_or_key!r}: `watchkeep key list` shows them",
            as_json=as_json,
        )
    wrong = [f"{key}: {_ROTATION_FAULTS[outcome]}" for key, outcome in outcomes.items() if outcome in _ROTATION_FAULTS]
    if wrong:
        fail("; ".join(wrong), as_json=as_json)
    if as_json:
        click.echo(json.dumps({"rotating": list(outcomes)}))
        return
    for key, outcome in outcomes.items():
        click.echo(f"{key} is being replaced" if outcome == "asked" else f"{key}: asked before")


@key_group.command("list")
@json_option
@data_option
def list_keys(*, as_json: bool, data: Path | None) -> None:
    """List every key ever allowed."""
    keys: list[PeerKey] = _run(_list(data), as_json=as_json)
    rows = [
        {
            "role": key.role,
            "name": key.name,
            "key": key_text(key.key),
            "revoked_at": None if key.revoked_at is None else key.revoked_at.isoformat(timespec="seconds"),
        }
        for key in keys
    ]
    if as_json:
        click.echo(json.dumps({"keys": rows}))
        return
    table = Table("Role", "Name", "Key", "Revoked", box=None)
    for row in rows:
        table.add_row(
            row["role"], row["name"], row["key"], row["revoked_at"] or "", style="dim" if row["revoked_at"] else ""
        )
    Console().print(table)


_ROTATION_FAULTS = {
    "unknown": "there is no such key",
    "revoked": "it was revoked; who holds it needs a new one by `watchkeep enrol token create`",
    "no_agent": "only keys of agents are replaced this way; docs/enrolment.md says how others are",
}


def _run(work: Coroutine[Any, Any, Any], *, as_json: bool) -> Any:
    try:
        return asyncio.run(work)
    except (InstallationError, StoreError) as error:
        fail(str(error), as_json=as_json)


def _database(data: Path | None) -> Database:
    options = DatabaseOptions(dsn=find_installation(data).dsn, server="command", max_connections=1)
    return Database(options, purpose="key")


async def _allow(newcomer: Newcomer, data: Path | None) -> bool:
    async with _database(data) as database:
        async with database.connection() as connection, connection.transaction():
            group = await ensure_group(connection, newcomer.group)
            source_id = None
            if newcomer.source is not None:
                hosts = await ensure_hosts(connection, {newcomer.name})
                source = await ensure_source(connection, newcomer.source, newcomer.name, hosts[newcomer.name])
                await assign_source(connection, source.id, group)
                source_id = source.id
            key = PeerKey(
                key=newcomer.key,
                role=newcomer.role,
                name=newcomer.name,
                source_id=source_id,
                source_uuid=newcomer.source,
                group_id=group if newcomer.role == "proxy" else None,
                revoked_at=None,
            )
            is_allowed = await add_key(connection, key)
        if is_allowed and newcomer.source is not None:
            await define_host(database, newcomer.name, list(newcomer.templates), by=actor_name("key"))
        return is_allowed


async def _revoke(key: bytes, data: Path | None) -> bool:
    async with _database(data) as database, database.connection() as connection:
        return await revoke_key(connection, key)


async def _list(data: Path | None) -> list[PeerKey]:
    async with _database(data) as database, database.connection() as connection:
        return await read_keys(connection)


async def _rotate(name_or_key: str, data: Path | None) -> dict[str, str]:
    """Ask for new keys; return what came of each."""
    async with _database(data) as database, database.connection() as connection, connection.transaction():
        known = [key for key in await read_keys(connection) if name_or_key == key_text(key.key)] or [
            key
            for key in await read_keys(connection)
            if key.name == name_or_key and key.role == "agent" and key.revoked_at is None
        ]
        return {key_text(key.key): await ask_rotation(connection, key.key, by=actor_name("key")) for key in known}
