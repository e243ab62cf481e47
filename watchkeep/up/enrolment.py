"""Makes the parts of a local installation known to each other: keys, the agent's host, the shipped definitions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.runtime.logging import Log
from core.security.authority import SUBSCRIBER
from core.wire.curve import load_or_create
from server.api.login import ensure_administrator
from server.api.passwords import Passwords
from server.inventory.apply import install_shipped, keep_host
from server.store.accounts import Accounts
from server.store.database import Database, DatabaseOptions
from server.store.inventory import ensure_hosts
from server.store.migrate import migrate
from server.store.peers import PeerKey, add_key, assign_source, ensure_group, ensure_source
from watchkeep.installation import TAIL, write_private
from watchkeep.up.layout import GROUP_NAME, PROXY_NAME, SERVER_NAME

if TYPE_CHECKING:
    from server.store.database import Connection
    from watchkeep.up.layout import Layout, LocalAgent

log = Log("up")

TEMPLATES: Final = ("linux-host", "inventory", "backup", "backup-drills", "backup-verification", "backup-pruner")


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """What came of it: the public keys the parts' configurations name (40 letters each)."""

    server_key: str
    proxy_key: str


async def enrol(layout: Layout, agent: LocalAgent, dsn: str) -> Enrolled:
    """Bring the database up to date and let the parts of this installation in. Doing it again changes nothing."""
    options = DatabaseOptions(dsn=dsn, server=SERVER_NAME, max_connections=2)
    await migrate(options)
    keys = {part: load_or_create(layout.key_file(part)) for part in (SERVER_NAME, PROXY_NAME, "agent", TAIL)}
    async with Database(options, purpose="up") as database:
        async with database.connection() as connection, connection.transaction():
            group = await ensure_group(connection, GROUP_NAME)
            await _let_in(connection, agent, keys[PROXY_NAME].public, keys["agent"].public, group)
            await _let_in_listener(connection, keys[TAIL].public)
        await install_shipped(database)
        await keep_host(database, agent.name, TEMPLATES, by="watchkeep up")
        await _ensure_administrator(database, layout)
    return Enrolled(server_key=keys[SERVER_NAME].public_text, proxy_key=keys[PROXY_NAME].public_text)


async def _let_in(connection: Connection, agent: LocalAgent, proxy_key: bytes, agent_key: bytes, group: int) -> None:
    hosts = await ensure_hosts(connection, {agent.name})
    source = await ensure_source(connection, agent.source, agent.name, hosts[agent.name])
    await assign_source(connection, source.id, group)
    proxy = PeerKey(
        key=proxy_key,
        role="proxy",
        name=PROXY_NAME,
        source_id=None,
        source_uuid=None,
        group_id=group,
        revoked_at=None,
    )
    own = PeerKey(
        key=agent_key,
        role="agent",
        name=agent.name,
        source_id=source.id,
        source_uuid=agent.source,
        group_id=None,
        revoked_at=None,
    )
    for key in (proxy, own):
        await _add(connection, key)


async def _let_in_listener(connection: Connection, key: bytes) -> None:
    """Let `watchkeep tail` on this machine listen to the live feed."""
    listener = PeerKey(
        key=key, role=SUBSCRIBER, name=TAIL, source_id=None, source_uuid=None, group_id=None, revoked_at=None
    )
    await _add(connection, listener)


async def _add(connection: Connection, key: PeerKey) -> None:
    if not await add_key(connection, key):
        log.warning("the key of a part was revoked; it stays shut out until it has a new one", part=key.name)


async def _ensure_administrator(database: Database, layout: Layout) -> None:
    """Make the administrator at the first start; his password lies beside the data until he changes it."""
    passwords = Passwords()
    try:
        password = await ensure_administrator(Accounts(database), passwords)
    finally:
        passwords.close()
    if password is not None:
        write_private(layout.password_file, password + "\n")
