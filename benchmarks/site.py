"""A whole pipe of real processes for a benchmark: embedded PostgreSQL, server, proxy, and sources that flood it."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

from core.wire.curve import load_or_create
from server.inventory.apply import apply, check_documents, propose
from server.inventory.check import documents_from_plain
from server.store.database import Database, DatabaseOptions
from server.store.definitions import Author
from server.store.embedded import EmbeddedPostgres
from server.store.inventory import ensure_hosts
from server.store.migrate import migrate
from server.store.peers import PeerKey, add_key, assign_source, ensure_group, ensure_source
from watchkeep.up.layout import free_ports, toml

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from watchkeep.up.layout import Ports

HOLD_BYTES: Final = 4 << 20
EXPRESSIONS: Final = {"last": "last(load[*]) > 1000", "avg": "avg(load[*], 5m) > 1000", "none": ""}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The sources of a site: how many, how many items each has, and which trigger watches every item."""

    sources: int
    items: int
    trigger: str = "none"

    @property
    def names(self) -> list[str]:
        """The hosts' names."""
        return [f"host{place}" for place in range(self.sources)]


@dataclass(kw_only=True)
class Site:
    """What runs, and where."""

    folder: Path
    options: DatabaseOptions
    plan: Plan
    ports: Ports
    sources: list[tuple[str, str]]
    pids: dict[str, int]
    stack: ExitStack = field(default_factory=ExitStack)

    @property
    def log(self) -> Path:
        """Where all processes write."""
        return self.folder / "log"

    def flood(self, *, pause_seconds: float = 0.0, interval_seconds: float = 0.0) -> None:
        """Start the sources: each publishes all its items, waits `pause_seconds`, and again, as fast as credit allows.

        With `interval_seconds` instants are that far apart whatever the pace, from weeks ago on; else they are true.
        """
        keys = load_or_create(self.folder / "proxy.key")
        (self.folder / "flood.json").write_text(
            json.dumps(
                {
                    "data": str(self.folder),
                    "upstream": [f"tcp://127.0.0.1:{self.ports.gate.control_port}", keys.public_text],
                    "sources": self.sources,
                    "items": self.plan.items,
                    "hold_bytes": max(HOLD_BYTES * 10 // max(self.plan.sources, 10), 64 << 10),
                    "pause_seconds": pause_seconds,
                    "interval_seconds": interval_seconds,
                }
            )
        )
        child = self.stack.enter_context(process("benchmarks.flood", f"{self.folder}/flood.json", log=self.log))
        self.pids["sources"] = child.pid


@asynccontextmanager
async def running(plan: Plan, before: Callable[[DatabaseOptions], Awaitable[None]]) -> AsyncIterator[Site]:
    """Run a site within the block, in a folder of its own that is removed; `before` sees its empty database first."""
    folder = await asyncio.to_thread(_make_folder)
    postgres = EmbeddedPostgres(folder / "postgres")
    try:
        options = DatabaseOptions(dsn=await asyncio.to_thread(postgres.start), server="benchmark")
        await migrate(options)
        await before(options)
        ports = free_ports(free_ports(0).server_control)
        proxy_keys, server_keys = load_or_create(folder / "proxy.key"), load_or_create(folder / "server.key")
        sources = await _prepare(options, folder, plan, proxy_keys.public)
        (folder / "server.toml").write_text(
            toml({"name": "server", "dsn": options.dsn, "key_file": folder / "server.key",
                  "control_port": ports.server_control, "data_port": ports.server_data, "web_port": ports.web})
        )  # fmt: skip
        (folder / "proxy.toml").write_text(
            toml({"name": "proxy", "data": folder / "proxy", "key_file": folder / "proxy.key",
                  "control_port": ports.gate.control_port, "data_port": ports.gate.data_port,
                  "servers": [{"endpoint": f"tcp://127.0.0.1:{ports.server_control}",
                               "key": server_keys.public_text}]})
        )  # fmt: skip
        with ExitStack() as stack:
            log = folder / "log"
            server = stack.enter_context(process("watchkeep", "server", "--config", f"{folder}/server.toml", log=log))
            proxy = stack.enter_context(process("watchkeep", "proxy", "--config", f"{folder}/proxy.toml", log=log))
            pids = {"proxy": proxy.pid, "server": server.pid, "postgres": postgres.pid}
            yield Site(
                folder=folder, options=options, plan=plan, ports=ports, sources=sources, pids=pids, stack=stack
            )  # fmt: skip
    finally:
        await asyncio.to_thread(postgres.stop)
        await asyncio.to_thread(shutil.rmtree, folder)


async def _prepare(
    options: DatabaseOptions, folder: Path, plan: Plan, proxy_key: bytes
) -> list[tuple[str, str]]:  # fmt: skip
    """Let proxy and sources in and define the trigger; returns (name, uuid) of each source."""
    sources = [(name, str(uuid4())) for name in plan.names]
    async with Database(options) as database:
        async with database.connection(120.0) as connection, connection.transaction():
            group = await ensure_group(connection, "default")
            hosts = await ensure_hosts(connection, plan.names)
            await add_key(connection, _key(proxy_key, "proxy", "proxy", group_id=group))
            for name, uuid in sources:
                source = await ensure_source(connection, UUID(uuid), name, hosts[name])
                await assign_source(connection, source.id, group)
                public = load_or_create(folder / f"{name}.key").public
                await add_key(connection, _key(public, "agent", name, source_id=source.id))
        trigger = {"name": "Load is high", "expression": EXPRESSIONS[plan.trigger], "severity": "high"}
        documents: list[dict[str, Any]] = [
            {"kind": "template", "name": "bench", "items": [{"item": "load"}],
             "triggers": [trigger] if plan.trigger != "none" else []},
            *({"kind": "host", "name": name, "templates": ["bench"]} for name in plan.names),
        ]  # fmt: skip
        proposal = await propose(database, check_documents(documents_from_plain(documents)), via="file")
        await apply(database, proposal, Author(name="benchmark", via="file"))
    return sources


def _key(key: bytes, role: str, name: str, *, source_id: int | None = None, group_id: int | None = None) -> PeerKey:
    return PeerKey(
        key=key, role=role, name=name, source_id=source_id, source_uuid=None, group_id=group_id, revoked_at=None
    )


@contextmanager
def process(*arguments: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run one of our programs within the block."""
    with log.open("ab") as output:
        child = subprocess.Popen([sys.executable, "-m", *arguments], stdout=output, stderr=output)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _make_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="watchkeep-benchmark-"))
    folder.chmod(0o711)
    return folder


async def count_stored(database: Database) -> int:
    """Return how many values lie in hot history."""
    async with database.connection(timeout_seconds=60) as connection:
        cursor = await connection.execute("SELECT coalesce(sum(cardinality(items)), 0)::int8 FROM history_batch")
        row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def await_stored(database: Database, values: int, log: Path, seconds: float) -> None:
    """Wait until so many values are stored."""
    deadline = time.monotonic() + seconds
    while await count_stored(database) < values:
        if time.monotonic() > deadline:
            told = await asyncio.to_thread(log.read_text)
            raise RuntimeError(f"not enough was stored within {seconds:g} s; the parts said:\n{told[-2000:]}")
        await asyncio.sleep(0.2)
