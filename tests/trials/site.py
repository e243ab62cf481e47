"""Where everything of a trial's Watchkeep lies and listens, who is let in, and each part's configuration."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from core.wire.curve import load_or_create
from server.api.login import ensure_administrator
from server.api.passwords import Passwords
from server.inventory.apply import apply, check_documents, propose
from server.inventory.yaml import read_yaml
from server.store.accounts import Accounts
from server.store.database import Database
from server.store.definitions import Author
from server.store.inventory import ensure_hosts
from server.store.migrate import migrate
from server.store.peers import PeerKey, add_key, assign_source, ensure_group, ensure_source
from tests.support.ports import claim_ports
from tests.support.postgres import patient
from tests.trials.plan import WAVE_HIGH, WAVE_KEY, Plan
from watchkeep.up.layout import toml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from uuid import UUID

    from server.store.database import Connection

LOOPBACK: Final = "127.0.0.1"
SERVERS: Final = ("server1", "server2")
PROXIES: Final = ("proxy1", "proxy2")
SOURCES: Final = "sources"
"""The name of the part that runs all sources."""
POSTGRES: Final = "postgres"
_NAMED_PORTS: Final = (
    POSTGRES,
    "webhook",
    *(f"{server} {use}" for server in SERVERS for use in ("control", "data", "web", "wire")),
)

DEFINITIONS: Final = """
kind: template
name: trial
items:
  - {{probe: cpu, every: 10s}}
triggers:
  - name: The wave is high
    expression: last({item}) > {threshold}
    severity: high
---
kind: receiver
name: trial
webhook: {{url: "{url}", allow_private: true}}
severities: [high]
"""


@dataclass(frozen=True, kw_only=True)
class Site:
    """The folder, the ports and the sources of a trial; the same through all restarts."""

    folder: Path
    ports: dict[str, int]
    sources: tuple[tuple[str, UUID], ...]
    proxies: tuple[str, ...] = PROXIES
    server_settings: dict[str, Any] = field(default_factory=dict)
    """What the servers' configurations say besides."""
    addresses: Mapping[str, str] = field(default_factory=dict)
    """Of parts that are not on loopback."""

    @classmethod
    def choose(
        cls,
        folder: Path,
        source_count: int,
        proxies: tuple[str, ...] = PROXIES,
        addresses: Mapping[str, str] | None = None,
        **server_settings: Any,
    ) -> Site:
        """Choose free ports and new sources."""
        sources = tuple((f"source{place}", uuid4()) for place in range(1, source_count + 1))
        named = (*_NAMED_PORTS, *(f"{proxy} {use}" for proxy in proxies for use in ("control", "data")))
        return cls(folder=folder, ports=dict(zip(named, claim_ports(len(named)), strict=True)), sources=sources,
                   proxies=proxies, server_settings=server_settings, addresses=addresses or {})  # fmt: skip

    def address(self, part: str) -> str:
        """Where a part listens; "here" is this machine as the parts see it."""
        return self.addresses.get(part, LOOPBACK)

    def key_file(self, part: str) -> Path:
        """The CURVE keys of a part; a source's lie with its plan."""
        return self.folder / f"{part}.key"

    def config_file(self, part: str) -> Path:
        return self.folder / f"{part}.toml"

    def data(self, part: str) -> Path:
        """The data folder of a proxy, or of the part that runs sources."""
        return self.folder / part

    def endpoint(self, part: str) -> str:
        return f"tcp://{self.address(part)}:{self.ports[f'{part} control']}"

    def public_key(self, part: str) -> str:
        return load_or_create(self.key_file(part)).public_text

    @property
    def webhook_url(self) -> str:
        return f"http://{self.address('here')}:{self.ports['webhook']}/hook"

    def plan(self, **wishes: Any) -> Plan:
        """Return a plan for this site's sources; `wishes` are fields of Plan."""
        given: dict[str, Any] = {
            "data": self.data(SOURCES),
            "sources": self.sources,
            "proxies": tuple((self.endpoint(proxy), self.public_key(proxy)) for proxy in self.proxies),
        }
        return Plan(**given | wishes)


def write_configurations(site: Site, dsns: dict[str, str]) -> None:
    """Write the servers' and the proxies' files; `dsns`: how each server reaches the database."""
    servers = [{"endpoint": site.endpoint(server), "key": site.public_key(server)} for server in SERVERS]
    for server in SERVERS:
        settings: dict[str, Any] = {
            "name": server,
            "dsn": dsns[server],
            "key_file": site.key_file(server),
            "listen": site.address(server),
            "web_listen": site.address(server),
            "secrets": site.folder,
            "control_port": site.ports[f"{server} control"],
            "data_port": site.ports[f"{server} data"],
            "web_port": site.ports[f"{server} web"],
            **site.server_settings,
        }
        site.config_file(server).write_text(toml(settings))
    for proxy in site.proxies:
        settings = {
            "name": proxy,
            "data": site.data(proxy),
            "key_file": site.key_file(proxy),
            "listen": site.address(proxy),
            "control_port": site.ports[f"{proxy} control"],
            "data_port": site.ports[f"{proxy} data"],
            "servers": servers,
        }
        site.config_file(proxy).write_text(toml(settings))


async def enrol(site: Site, plan: Plan, dsn: str) -> str:
    """Bring the database up to date, let every part in, define hosts, trigger and receiver; return a password."""
    options = patient(dsn, "trial", max_connections=2)
    await migrate(options)
    async with Database(options, purpose="trial") as database:
        async with database.connection() as connection, connection.transaction():
            group = await ensure_group(connection, "default")
            for proxy in site.proxies:
                key = load_or_create(site.key_file(proxy)).public
                await _let_in(connection, key, role="proxy", name=proxy, group_id=group)
            for name, uuid in site.sources:
                await _let_in_source(connection, group, name, uuid, load_or_create(plan.key_file(name)).public)
        await _define(database, site)
        passwords = Passwords()
        try:
            password = await ensure_administrator(Accounts(database), passwords)
        finally:
            passwords.close()
    assert password is not None
    return password


async def let_in_source(dsn: str, name: str, uuid: UUID, key: bytes) -> None:
    """Let one more source in, of a host of its own name; takes a second until the servers know."""
    async with (
        Database(patient(dsn, "trial", max_connections=1), purpose="trial") as database,
        database.connection() as connection,
        connection.transaction(),
    ):
        await _let_in_source(connection, await ensure_group(connection, "default"), name, uuid, key)


async def _let_in_source(connection: Connection, group: int, name: str, uuid: UUID, key: bytes) -> None:
    hosts = await ensure_hosts(connection, {name})
    source = await ensure_source(connection, uuid, name, hosts[name])
    await assign_source(connection, source.id, group)
    await _let_in(connection, key, role="agent", name=name, source_id=source.id, source_uuid=uuid)


async def _let_in(connection: Connection, key: bytes, **facts: Any) -> None:
    given: dict[str, Any] = {"source_id": None, "source_uuid": None, "group_id": None, "revoked_at": None} | facts
    assert await add_key(connection, PeerKey(key=key, **given))


async def _define(database: Database, site: Site) -> None:
    text = DEFINITIONS.format(item=WAVE_KEY, threshold=WAVE_HIGH // 2, url=site.webhook_url)
    for name, _ in site.sources:
        text += f"---\nkind: host\nname: {name}\ntemplates: [trial]\n"
    documents, faults = read_yaml(text, "trial.yaml")
    proposal = await propose(database, check_documents(documents), via="file")
    assert not [*faults, *proposal.faults], [*faults, *proposal.faults]
    await apply(database, proposal, Author(name="trial", via="file"))
