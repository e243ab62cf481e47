"""A whole Watchkeep under trial: database, two servers, two proxies, sources, a webhook receiver, all real processes.

    async with running_stack() as stack:
        await stack.kill("server1")
        await stack.start("server1")
        await stack.drain()

The servers reach the database each through a DatabaseWire, where connections can be cut at a chosen moment.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import psycopg
from psycopg.conninfo import make_conninfo

from server.own.identity import OWN_SOURCE
from server.store.embedded import EmbeddedPostgres
from tests.support.waiting import until, until_found
from tests.trials.database_wire import DatabaseWire
from tests.trials.part import Part
from tests.trials.receiver import WebhookReceiver
from tests.trials.site import LOOPBACK, POSTGRES, PROXIES, SERVERS, SOURCES, Site, enrol, write_configurations

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from tests.trials.network import Network
    from tests.trials.plan import Plan

_START_SECONDS: Final = 120.0
_ANSWER_SECONDS: Final = 60.0
_ASKING: Final = aiohttp.ClientTimeout(total=30.0)
_DATABASE_SECONDS: Final = 180.0
_AGAIN_SECONDS: Final = 6.5  # ten tries to sign in that do not succeed would shut us out for minutes
# What the server says itself is no sign that sources get through.
_STORED_SINCE: Final = """
SELECT EXISTS (
    SELECT FROM history_batch WHERE stored_at > %s AND source_id <> ALL (ARRAY(SELECT id FROM source WHERE uuid = %s))
)
"""
# With those of hours that are over: they are packed at any moment.
STORED: Final = """
WITH others AS (SELECT id FROM source WHERE uuid <> %s)
SELECT (SELECT coalesce(sum(cardinality(b.items)), 0) FROM history_batch b JOIN others o ON o.id = b.source_id)::int8
     + (SELECT coalesce(sum(p.count), 0) FROM history_packed p WHERE p.item_id IN (
            SELECT s.item_id FROM item_source s JOIN others o ON o.id = s.source_id))::int8
"""
_POSTGRES_SETTINGS: Final = "track_commit_timestamp = on\n"


@dataclass
class Stack:
    """The running parts, by name. Whoever adds further parts adds them to `parts`: they end with the stack."""

    site: Site
    plan: Plan
    postgres: EmbeddedPostgres
    wires: dict[str, DatabaseWire]
    receiver: WebhookReceiver
    network: Network | None = None
    password: str = ""
    parts: dict[str, Part] = field(default_factory=dict)

    @property
    def dsn(self) -> str:
        """The database itself, for SQL of the trial's own: no wire in between."""
        return self.postgres.dsn

    # ── Parts ────────────────────────────────────────────────────────────────────────────────────────────────
    async def start(self, name: str) -> None:
        """Start a part, or the database, that does not run."""
        if name == POSTGRES:
            self.postgres.is_alive()  # reaps the one we started, so that its death is not taken for a failed start
            await asyncio.to_thread(self.postgres.start, _DATABASE_SECONDS)
        else:
            await self.parts[name].start()

    async def kill(self, name: str) -> None:
        """SIGKILL to the part (to the postmaster for the database); returns when it is gone."""
        if name != POSTGRES:
            await self.parts[name].kill()
            return
        with suppress(ProcessLookupError):
            os.kill(self.postgres.pid, signal.SIGKILL)
        await until(lambda: not self.postgres.is_alive(), what="the end of PostgreSQL")

    def add(self, name: str, *arguments: str) -> Part:
        """Declare a part: the arguments of our Python."""
        prefix = () if self.network is None else self.network.prefix(name)
        arguments = (*prefix, sys.executable, *arguments)
        part = Part(name=name, arguments=arguments, log_file=self.site.folder / f"{name}.log")
        self.parts[name] = part
        return part

    # ── Looking ──────────────────────────────────────────────────────────────────────────────────────────────
    async def query(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return a statement's rows, straight from the database. Raises psycopg.OperationalError when it is away."""
        connection = await psycopg.AsyncConnection.connect(self.dsn, autocommit=True, connect_timeout=20)
        async with connection:
            return await (await connection.execute(statement.encode(), parameters or None)).fetchall()

    async def lease(self) -> tuple[int, str, bool]:
        """Return epoch, holder, and whether the holder's heart beats."""
        (row,) = await self.query(
            "SELECT l.epoch, l.holder, l.released_at IS NULL AND h.epoch = l.epoch"
            " AND clock_timestamp() - h.at < interval '1.5 seconds' FROM lease l CROSS JOIN lease_heartbeat h"
        )
        return int(row[0]), str(row[1]), bool(row[2])

    async def active(self, timeout_seconds: float = 120.0) -> str:
        """Return the name of the active server; waits until there is one."""
        found = ""

        async def look() -> bool:
            nonlocal found
            try:
                _, found, is_fresh = await self.lease()
            except psycopg.OperationalError:
                return False
            return is_fresh

        await until_true(look, timeout_seconds, "an active server")
        return found

    async def stored_values(self) -> int:
        """Return how many values are stored, by SQL; 0 while the database is away."""
        try:
            ((count,),) = await self.query(STORED, (OWN_SOURCE,))
        except psycopg.OperationalError:
            return 0
        return int(count)

    def status(self) -> dict[str, Any]:
        """Return what the sources said last: {"pid", "sources": {name: see source.Emitter.status}}; {} at first."""
        try:
            found: dict[str, Any] = json.loads(self.plan.status_file.read_text())
        except FileNotFoundError:
            return {}
        return found

    async def health(self, server: str = "") -> dict[str, Any]:
        """Return GET /api/v1/health of a server, else of the active one; asked again while it does not answer well."""
        trouble = ""

        async def look() -> dict[str, Any] | None:
            nonlocal trouble
            try:
                return await self._ask_health(server or await self.active())
            except (aiohttp.ClientError, TimeoutError) as error:  # it begins or ends
                trouble = f"{type(error).__name__}: {error}"
            except AssertionError as error:  # it waits for its database
                trouble = str(error)
                await asyncio.sleep(_AGAIN_SECONDS)
            return None

        try:
            return await until_found(look, _ANSWER_SECONDS)
        except AssertionError:
            raise AssertionError(f"the health page of {server or 'the active server'}: {trouble}") from None

    async def _ask_health(self, server: str) -> dict[str, Any]:
        """Ask once, as the server's administrator."""
        base = f"http://{self.site.address(server)}:{self.site.ports[f'{server} web']}/api/v1"
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), timeout=_ASKING) as browser:
            body = {"user": "admin", "password": self.password}
            async with browser.post(f"{base}/session", json=body) as answer:
                assert answer.status == 200, await answer.text()
            async with browser.get(f"{base}/health") as answer:
                assert answer.status == 200, await answer.text()
                found: dict[str, Any] = await answer.json()
                return found

    async def part_counter(self, part: str, counter: str) -> float:
        """Return a counter of a part as the active server's health page shows it; 0 when it shows none."""
        health = await self.health()
        for each in health["parts"]:
            if each["name"] == part:
                return float(each["counters"].get(counter, 0))
        return 0.0

    # ── Waiting ──────────────────────────────────────────────────────────────────────────────────────────────
    async def flowing(self, timeout_seconds: float = 120.0) -> None:
        """Return once values are being stored: some that come after now, by the database's clock.

        Not by their number: that falls when an hour is over and its values are packed.
        """
        since: object = None

        async def look() -> bool:
            nonlocal since
            try:
                if since is None:
                    ((since,),) = await self.query("SELECT clock_timestamp()")
                ((is_so,),) = await self.query(_STORED_SINCE, (since, OWN_SOURCE))
            except psycopg.OperationalError:
                return False
            return bool(is_so)

        await until_true(look, timeout_seconds, "values in the database")

    async def sources_ready(self) -> None:
        """Return once the present process of the sources has said how it is."""
        pid = self.parts[SOURCES].pid
        await until(lambda: self.status().get("pid") == pid, _START_SECONDS, "the sources' first status")

    async def drain(self, timeout_seconds: float = 180.0) -> None:
        """Stop the load, wait until sources have heard that all is stored and proxies that run hold nothing more."""
        part = self.parts[SOURCES]
        if not part.is_running:
            await part.start()
        await self.sources_ready()
        part.send(signal.SIGUSR1)
        try:
            code = await part.ended(timeout_seconds)
        except AssertionError as error:
            raise AssertionError(f"not drained: {error}\n{json.dumps(self.status())}") from None
        assert code == 0, f"the sources ended with {code}:\n{part.end_of_log()}"
        await until_true(self._are_proxies_empty, timeout_seconds, "the end of the proxies' forwarding")

    async def _are_proxies_empty(self) -> bool:
        health = await self.health()
        running = {name for name in self.site.proxies if self.parts[name].is_running}
        proxies = [part for part in health["parts"] if part["kind"] == "proxy" and part["name"] in running]
        return len(proxies) == len(running) and all(
            part["state"] == "up" and part["counters"].get("held_records") == 0 for part in proxies
        )


async def until_true(check: Callable[[], Awaitable[bool]], timeout_seconds: float, what: str) -> None:
    """Await `check()` again and again, 20 times a second, until it is true; fail after the timeout, naming `what`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_seconds
    while True:
        is_late = loop.time() > deadline  # read before the look: a pause after it fails nothing
        if await check():
            return
        assert not is_late, f"{what} did not come within {timeout_seconds} s"
        await asyncio.sleep(0.05)


@asynccontextmanager
async def running_stack(
    *,
    folder: Path | None = None,
    sources: int = 4,
    proxies: tuple[str, ...] = PROXIES,
    server_settings: dict[str, Any] | None = None,
    has_load: bool = True,
    keep_logs: Path | None = None,
    network: Network | None = None,
    **wishes: Any,
) -> AsyncIterator[Stack]:
    """Start everything in `folder` (else in a temporary one, removed at the end); values flow when this yields.

    `wishes` are fields of plan.Plan. `has_load` False: the sources are declared and not started. With a `network` each
    server and proxy is on a machine of its own, and reaches the database without a wire. Every process ends with the
    block. When it fails, the ends of all logs are printed, and `keep_logs` gets a copy of them.
    """
    async with AsyncExitStack() as opened:
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="watchkeep-trial-"))
            folder.chmod(0o711)  # the database runs under an account of its own
            opened.callback(shutil.rmtree, folder)
        addresses = None if network is None else network.addresses
        site = Site.choose(folder, sources, proxies, addresses, **(server_settings or {}))
        plan = site.plan(**wishes)
        plan.data.mkdir(exist_ok=True)
        plan.write(site.config_file(SOURCES))
        postgres = EmbeddedPostgres(folder / "database", port=site.ports[POSTGRES])
        opened.push_async_callback(asyncio.to_thread, postgres.stop)
        await asyncio.to_thread(_start_postgres, postgres, site.address("here"))
        stack = Stack(
            site=site,
            plan=plan,
            postgres=postgres,
            wires={server: DatabaseWire(site.ports[f"{server} wire"], site.ports[POSTGRES]) for server in SERVERS},
            receiver=WebhookReceiver(site.ports["webhook"], site.address("here")),
            network=network,
        )
        for wire in stack.wires.values():
            opened.push_async_callback(wire.close)
            await wire.open()
        opened.push_async_callback(stack.receiver.close)
        await stack.receiver.open()
        stack.password = await enrol(site, plan, postgres.dsn)
        dsns = {server: make_conninfo(postgres.dsn, port=stack.wires[server].port) for server in SERVERS}
        if network is not None:
            dsns = dict.fromkeys(SERVERS, make_conninfo(postgres.dsn, host=site.address("here")))
        write_configurations(site, dsns)
        opened.push_async_exit(_show_logs(stack, keep_logs))
        opened.push_async_callback(_stop_parts, stack)
        for server in SERVERS:
            stack.add(server, "-m", "watchkeep", "server", "--config", str(site.config_file(server)))
        for proxy in site.proxies:
            stack.add(proxy, "-m", "watchkeep", "proxy", "--config", str(site.config_file(proxy)))
        stack.add(SOURCES, "-m", "tests.trials.source", str(site.config_file(SOURCES)))
        for name in (*SERVERS, *site.proxies, *([SOURCES] if has_load else [])):
            await stack.parts[name].start()
        if has_load:
            await stack.flowing()
        yield stack


def _start_postgres(postgres: EmbeddedPostgres, address: str) -> None:
    """Make the cluster, and start it with what trials need besides: the instants of commits, an address of this net."""
    postgres.start(_DATABASE_SECONDS)
    cluster = postgres.folder / "cluster"
    settings = _POSTGRES_SETTINGS
    if address != LOOPBACK:
        settings += f"listen_addresses = '{LOOPBACK},{address}'\n"
        with (cluster / "pg_hba.conf").open("a") as rules:
            rules.write(f"host all all {address}/24 scram-sha-256\n")
    (cluster / "local.conf").write_text(settings)
    postgres.stop()
    postgres.start(_DATABASE_SECONDS)


async def _stop_parts(stack: Stack) -> None:
    """Stop every part, the sources first; all are tried even when one does not end."""
    ends = await asyncio.gather(*(part.stop() for part in reversed(stack.parts.values())), return_exceptions=True)
    for end in ends:
        if isinstance(end, BaseException):
            print(end, file=sys.stderr)  # noqa: T201 - the trial's own verdict must not be hidden by this


def _show_logs(stack: Stack, keep: Path | None) -> Callable[..., Awaitable[bool]]:
    async def show(kind: object, *_: object) -> bool:
        if kind is not None:
            for part in stack.parts.values():
                print(f"──── the end of {part.name}'s log\n{part.end_of_log()}", file=sys.stderr)  # noqa: T201
            if keep is not None:
                _copy_logs(stack, keep)
        return False

    return show


def _copy_logs(stack: Stack, keep: Path) -> None:
    keep.mkdir(parents=True, exist_ok=True)
    for log in stack.site.folder.glob("*.log"):
        shutil.copy(log, keep)
