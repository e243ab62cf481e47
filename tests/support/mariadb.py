"""A real MariaDB server for tests, with a binary log, on a socket and a loopback port of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from core.runtime.ports import free_port
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_READY_SECONDS = 300.0
_LIMIT_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class MariadbServer:
    """A running server; root may do everything through its socket, without a password."""

    folder: Path
    port: int

    @property
    def socket(self) -> Path:
        return self.folder / "socket"

    @property
    def statements(self) -> str:
        """Every statement the server was given, as its general log has them."""
        return (self.folder / "statements.log").read_text(errors="replace")

    def sql(self, statements: str, database: str = "") -> str:
        """Run statements as root; return what they print. Fail when one fails."""
        return subprocess.run(
            self.client(database), input=statements, check=True, capture_output=True, text=True, timeout=_LIMIT_SECONDS
        ).stdout

    @contextmanager
    def replicating(self) -> Iterator[None]:
        """Have it be a replica of a server that is not there, and read-only as one."""
        self.sql(f"{self._following} = '127.0.0.1'; SET GLOBAL read_only = ON")
        try:
            yield
        finally:
            self.sql("SET GLOBAL read_only = OFF; RESET REPLICA ALL")

    _following = "CHANGE MASTER TO MASTER_HOST"

    def client(self, database: str = "") -> list[str]:
        """Return the call of the client as root."""
        base = ["mariadb", "--no-defaults", f"--socket={self.socket}", "--user=root", "--batch", "--skip-column-names"]
        return [*base, "--comments", *([database] if database else [])]


@contextmanager
def mariadb_server(data: Path | None = None) -> Iterator[MariadbServer]:
    """Run a server on a fresh data folder, or on `data`."""
    folder = Path(tempfile.mkdtemp(prefix="wk-mariadb-"))
    server = MariadbServer(folder=folder, port=free_port())
    as_root = ["--user=root"] if os.geteuid() == 0 else []
    # Of its own: a server that starts deletes every temporary table it finds, those of other servers as well.
    temporary = folder / "temporary"
    temporary.mkdir()
    environment = dict(os.environ) | {"PATH": _PATH, "TMPDIR": str(temporary)}
    if data is None:
        data = folder / "data"
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal",
             "--skip-test-db", *as_root],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=_LIMIT_SECONDS, env=environment,
        )  # fmt: skip
    program = shutil.which("mariadbd", path=_PATH)
    assert program is not None, "mariadbd is not installed: sh deploy/setup.sh dev"
    options = [
        f"--datadir={data}", f"--socket={server.socket}", f"--port={server.port}", "--bind-address=127.0.0.1",
        f"--pid-file={folder}/pid", f"--log-bin={folder}/binary", "--server-id=1", "--innodb-buffer-pool-size=32M",
        "--innodb-flush-log-at-trx-commit=0", "--skip-name-resolve", "--general-log",
        f"--general-log-file={folder}/statements.log", "--event-scheduler=OFF", f"--tmpdir={temporary}",
    ]  # fmt: skip
    with running_server(server, [program, "--no-defaults", *as_root, *options]):
        yield server


@contextmanager
def running_server(server: MariadbServer, call: list[str]) -> Iterator[None]:
    """Run a server until this is left; its folder goes with it."""
    folder = server.folder
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(call, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                                 start_new_session=True)  # fmt: skip
    try:
        wait_until(lambda: _answers(server, child), _READY_SECONDS, f"the database ({folder / 'log'})")
        yield
    finally:
        child.terminate()
        try:
            child.wait(timeout=120)
        finally:
            child.kill()
            child.wait()
            shutil.rmtree(folder)


def _answers(server: MariadbServer, child: subprocess.Popen[bytes]) -> bool:
    assert child.poll() is None, (server.folder / "log").read_text(errors="replace")[-2000:]
    question = [*server.client(), "--execute=SELECT 1"]
    asked = subprocess.run(question, check=False, capture_output=True, timeout=_LIMIT_SECONDS)
    return asked.returncode == 0


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariadbServer]:
    with mariadb_server() as server:
        yield server
