"""Real databases for tests: embedded PostgreSQL and TimescaleDB in a Debian 13 root, a fresh database for each test.

Import the fixtures in a conftest.py: `from tests.support.postgres import *` is spelt out there by name.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from core.runtime.ports import free_port
from server.store.database import Database, DatabaseOptions
from server.store.embedded import EmbeddedPostgres
from server.store.lease import take
from server.store.migrate import migrate
from server.store.transaction import Writer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

CHECKOUT = Path(__file__).parents[2]
_ROLE, _PASSWORD = "watchkeep", "for tests on loopback"
_READY_SECONDS = 180.0


class DatabaseServer:
    """A running database server and the role that owns the tests' databases."""

    def __init__(self, name: str, superuser_dsn: str) -> None:
        self.name = name
        self.superuser_dsn = superuser_dsn
        with psycopg.connect(superuser_dsn, autocommit=True) as connection:
            connection.execute(
                sql.SQL(
                    "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = {name}) THEN"
                    " CREATE ROLE {role} LOGIN; END IF; END $$"
                ).format(name=sql.Literal(_ROLE), role=sql.Identifier(_ROLE))
            )
            connection.execute(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(_ROLE), sql.Literal(_PASSWORD))
            )

    @contextmanager
    def fresh_database(self) -> Iterator[str]:
        """Make an empty database, yield its DSN for a role that is no superuser, drop it with whoever is connected."""
        name = f"test_{uuid4().hex[:12]}"
        identifier = sql.Identifier(name)
        with psycopg.connect(self.superuser_dsn, autocommit=True) as connection:
            # Of template0, which nobody can be connected to: TimescaleDB's launcher looks into template1 now and then.
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(identifier, sql.Identifier(_ROLE))
            )
        try:
            yield make_conninfo(self.superuser_dsn, dbname=name, user=_ROLE, password=_PASSWORD)
        finally:
            self._drop(identifier)

    def _drop(self, database: sql.Identifier, timeout_seconds: float = 60.0) -> None:
        """Drop a database; PostgreSQL gives those it has just ended five seconds, which a busy machine exceeds."""
        deadline = time.monotonic() + timeout_seconds
        with psycopg.connect(self.superuser_dsn, autocommit=True) as connection:
            while True:
                try:
                    connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))
                except psycopg.errors.ObjectInUse:
                    if time.monotonic() > deadline:
                        raise
                else:
                    return


def patient(dsn: str, server: str, **others: Any) -> DatabaseOptions:
    """Return options under which nothing fails only because the machine is busy."""
    limits = {
        "connect_timeout_seconds": 30.0,
        "lock_timeout_seconds": 30.0,
        "idle_in_transaction_timeout_seconds": 100.0,
    }
    return DatabaseOptions(dsn=dsn, server=server, **limits | others)


@contextmanager
def embedded_server() -> Iterator[DatabaseServer]:
    """Run the embedded PostgreSQL in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="watchkeep-postgres-"))
    folder.chmod(0o711)
    postgres = EmbeddedPostgres(folder / "database")
    try:
        postgres.start()
        yield DatabaseServer("embedded", postgres.superuser_dsn)
    finally:
        postgres.stop()
        shutil.rmtree(folder)


@contextmanager
def timescale_server() -> Iterator[DatabaseServer]:
    """Run Debian 13's PostgreSQL 17 with TimescaleDB in the root that deploy/timescale-root.sh makes (once)."""
    made = subprocess.run(
        [CHECKOUT / "deploy" / "timescale-root.sh"], check=True, stdout=subprocess.PIPE, text=True, timeout=900
    )
    root = Path(made.stdout.splitlines()[-1])
    become_root = [] if os.geteuid() == 0 else ["sudo"]
    inside = [*become_root, "chroot", "--userspec=postgres:postgres", str(root), "/usr/bin/env", "-i", "LC_ALL=C"]
    programs = "/usr/lib/postgresql/17/bin"
    data = f"/var/lib/postgresql/watchkeep-{uuid4().hex[:12]}"
    port = free_port()
    log = tempfile.TemporaryFile()  # noqa: SIM115 - closed below, when the server has ended
    subprocess.run(
        [*inside, f"{programs}/initdb", f"--pgdata={data}", "--auth=trust", "--encoding=UTF8", "--locale=C", "-N"],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=300, cwd="/",
    )  # fmt: skip
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "shared_preload_libraries": "timescaledb",
        "timescaledb.telemetry_level": "off",
        "dynamic_shared_memory_type": "mmap",  # the root has no /dev/shm mounted
        "fsync": "off",
        "max_worker_processes": "12",
        "authentication_timeout": "10s",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    child = subprocess.Popen(
        [*inside, f"{programs}/postgres", "-D", data, *options],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True,
    )  # fmt: skip
    try:
        dsn = make_conninfo("", host="127.0.0.1", port=port, user="postgres", dbname="postgres")
        _await_connection(dsn, child)
        yield DatabaseServer("timescale", dsn)
    finally:
        subprocess.run([*inside, f"{programs}/pg_ctl", "-D", data, "-m", "fast", "stop"], check=False, timeout=180,
                       stdout=subprocess.DEVNULL, cwd="/")  # fmt: skip
        child.wait(timeout=120)
        subprocess.run([*inside, "rm", "-rf", data], check=True, timeout=180, cwd="/")
        log.close()


def _await_connection(dsn: str, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            psycopg.connect(dsn, connect_timeout=30).close()
        except psycopg.OperationalError:
            if child.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


@pytest.fixture(scope="session")
def embedded() -> Iterator[DatabaseServer]:
    with embedded_server() as server:
        yield server


@pytest.fixture(scope="session")
def timescale() -> Iterator[DatabaseServer]:
    with timescale_server() as server:
        yield server


@pytest.fixture(params=["embedded", "timescale"])
async def database_options(request: pytest.FixtureRequest) -> AsyncIterator[DatabaseOptions]:
    """A fresh migrated database on each kind of server."""
    server: DatabaseServer = request.getfixturevalue(request.param)
    with server.fresh_database() as dsn:
        options = patient(dsn, "one")
        await migrate(options)
        yield options


@pytest.fixture
async def database(database_options: DatabaseOptions) -> AsyncIterator[Database]:
    async with Database(database_options) as opened:
        yield opened


@pytest.fixture
async def writer(database_options: DatabaseOptions) -> AsyncIterator[Writer]:
    """The writing side of a server that holds the lease."""
    lease = await take(database_options, endpoint="here")
    assert lease is not None
    opened = Writer(database_options, lease.epoch)
    yield opened
    await opened.close()
