"""A real server of MySQL for tests, with a binary log and GTIDs, on a socket and a loopback port of its own."""

from __future__ import annotations

import os
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from core.runtime.ports import free_port
from tests.support.mariadb import MariadbServer, running_server

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHECKOUT = Path(__file__).parents[2]
_LIMIT_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class MysqlServer(MariadbServer):
    """A running server; root may do everything through its socket, without a password."""

    programs: Path
    _following = "CHANGE REPLICATION SOURCE TO SOURCE_HOST"

    def client(self, database: str = "") -> list[str]:
        """Return the call of the client as root."""
        _, *words = super().client(database)
        return [str(self.programs / "mysql"), *words]

    def later_statements(self, file: str, position: int, renaming: str) -> str:
        """Return the binary log from a place on, as SQL to run in another database: OLD->NEW."""
        words = [
            str(self.programs / "mysqlbinlog"), "--no-defaults", "--skip-gtids", f"--start-position={position}",
            f"--rewrite-db={renaming}",
        ]  # fmt: skip
        files = sorted(path for path in self.folder.glob(f"{file.partition('.')[0]}.[0-9]*") if path.name >= file)
        read = subprocess.run([*words, *files], check=True, capture_output=True, text=True, timeout=_LIMIT_SECONDS)
        return read.stdout


def mysql_programs() -> Path:
    """Return the folder of MySQL's programs; they are fetched once (deploy/mysql-root.sh). MYSQL_ROOT: of another."""
    root = os.environ.get("MYSQL_ROOT")
    if root is None:
        call = ["sh", str(_CHECKOUT / "deploy/mysql-root.sh")]
        root = subprocess.run(call, check=True, stdout=subprocess.PIPE, text=True, timeout=1800).stdout.strip()
    return Path(root) / "programs"


@pytest.fixture(scope="session")
def mysql() -> Iterator[MysqlServer]:
    with _mysql_server(mysql_programs()) as server:
        yield server


@contextmanager
def _mysql_server(programs: Path) -> Iterator[MysqlServer]:
    folder = Path(tempfile.mkdtemp(prefix="wk-mysql-"))
    server = MysqlServer(folder=folder, port=free_port(), programs=programs)
    as_root = ["--user=root"] if os.geteuid() == 0 else []
    temporary = folder / "temporary"  # as in tests/support/mariadb.py
    temporary.mkdir()
    own = [
        str(programs / "mysqld"), "--no-defaults", *as_root, f"--datadir={folder}/data", f"--tmpdir={temporary}",
        "--secure-file-priv=NULL",
    ]  # fmt: skip
    subprocess.run(
        [*own, "--initialize-insecure", "--skip-log-bin"], check=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, timeout=_LIMIT_SECONDS,
    )  # fmt: skip
    options = [
        f"--socket={server.socket}", f"--port={server.port}", "--bind-address=127.0.0.1", "--mysqlx=OFF",
        f"--pid-file={folder}/pid", f"--log-bin={folder}/binary", "--server-id=1", "--gtid-mode=ON",
        "--enforce-gtid-consistency", "--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=0",
        "--sync-binlog=0", "--skip-name-resolve", "--general-log", f"--general-log-file={folder}/statements.log",
        "--event-scheduler=OFF",
    ]  # fmt: skip
    with running_server(server, [*own, *options]):
        yield server
