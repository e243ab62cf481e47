"""A PostgreSQL of a drill's own: made in its scratch folder, without a port, gone with the drill.

It is reached by an abstract Unix socket with a password, since a path below a deep scratch folder may be longer than a
socket's can be. Nothing it holds has to outlive it, so it waits for no disk.
"""

from __future__ import annotations

import os
import secrets
import time
from contextlib import contextmanager
from shutil import which
from typing import TYPE_CHECKING, Final

from backup.errors import DrillFailed, TimedOut
from backup.runtime.child import Program, run, running
from backup.settings.source import PostgresqlSettings
from backup.sources.postgresql.psql import client_environment
from core.runtime.account import NoAccountError, account_for, hand_over

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from backup.proof.contract import Limits

SUPERUSER: Final = "postgres"
PORT: Final = 5432  # part of the socket's name only
_READY_SECONDS: Final = 120.0
_ASKING_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.1
_WORDS: Final = 600
_SETTINGS: Final = {
    "listen_addresses": "",
    "port": str(PORT),
    "max_connections": "20",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_wal_size": "1GB",
    "autovacuum": "off",
    "jit": "off",
    "logging_collector": "on",
    "log_filename": "postgresql.log",
    "log_truncate_on_rotation": "off",
}


class ScratchCluster:
    """A data folder and the server that may run on it; `programs` is the folder of initdb and postgres."""

    def __init__(self, folder: Path, programs: Path, limits: Limits) -> None:
        self.folder = folder
        self._data = folder / "cluster"
        self._programs = programs
        self._limits = limits
        self._socket = f"@watchkeep-drill-{secrets.token_hex(8)}"
        self._passfile = folder / "pgpass"
        try:
            self._account = account_for(folder, [programs / "postgres"])
        except NoAccountError as error:
            raise DrillFailed(f"the database of the drill cannot be started: {error}") from error

    def login(self, database: str = "postgres") -> PostgresqlSettings:
        """Return how a client gets in."""
        return PostgresqlSettings(
            database=database,
            host=self._socket,
            port=PORT,
            user=SUPERUSER,
            passfile=self._passfile,
            binaries=self._programs,
        )

    def make(self) -> None:
        """Make an empty cluster. Raises DrillFailed with initdb's words, TimedOut."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        password = secrets.token_hex(16)
        self._passfile.touch(mode=0o600)
        self._passfile.write_text(f"*:*:*:*:{password}\n")
        given = self.folder / "superuser"
        given.touch(mode=0o600)
        given.write_text(f"{password}\n")
        hand_over(self.folder, self._account)
        ended = run(
            self._program(
                "initdb", f"--pgdata={self._data}", f"--username={SUPERUSER}", f"--pwfile={given}",
                "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--data-checksums",
            ),
            time_limit_seconds=self._limits.left_seconds("a database was made"),
        )  # fmt: skip
        if ended.exit_code != 0:
            raise DrillFailed(f"initdb ended with exit code {ended.exit_code}: {ended.words[-_WORDS:].strip()}")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the server; it has ended when this is left. Raises DrillFailed with the end of its log."""
        options = [word for name, value in self._settings().items() for word in ("-c", f"{name}={value}")]
        hand_over(self.folder, self._account)
        with running(self._program("postgres", "-D", str(self._data), *options)) as server:
            self._await_ready(server)
            yield

    def _settings(self) -> Mapping[str, str]:
        return _SETTINGS | {
            "unix_socket_directories": self._socket,
            "shared_buffers": f"{max(16, min(256, self._limits.memory_bytes // 4 >> 20))}MB",
            "maintenance_work_mem": f"{max(16, min(512, self._limits.memory_bytes // 4 >> 20))}MB",
            "log_directory": str(self.folder / "log"),
        }

    def _ready_seconds(self) -> float:
        return min(_READY_SECONDS, self._limits.left_seconds("a database was started"))

    def _await_ready(self, server: subprocess.Popen[bytes]) -> None:
        ready_seconds = self._ready_seconds()
        deadline = time.monotonic() + ready_seconds
        asking = Program(
            arguments=[str(self._programs / "pg_isready"), "--quiet", "--timeout=2"],
            environment=client_environment(self.login()),
            doing="asking the database whether it is ready",
        )
        while not _says_ready(asking):
            if server.poll() is not None or time.monotonic() > deadline:
                how = "did not start" if server.poll() is not None else f"was not ready after {ready_seconds:g} s"
                raise DrillFailed(f"the restored database {how}: {self._last_words(server)}")
            time.sleep(_LOOK_SECONDS)

    def _last_words(self, server: subprocess.Popen[bytes]) -> str:
        """Return the end of the server's log; before it has one, what it said."""
        try:
            words = (self.folder / "log" / "postgresql.log").read_text(errors="replace")
        except OSError:
            pipe = server.stderr if server.poll() is not None else None
            words = "" if pipe is None else pipe.read(1 << 16).decode(errors="replace")
        return " ".join(words.split())[-_WORDS:] or "without a word"

    def _program(self, name: str, *arguments: str) -> Program:
        return Program(
            arguments=[*self._account.prefix, *limited(self._limits), str(self._programs / name), *arguments],
            environment={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8", "TZ": "UTC"},
            doing=f"running {name}",
        )


def _says_ready(asking: Program) -> bool:
    try:
        return run(asking, time_limit_seconds=_ASKING_SECONDS).exit_code == 0
    except TimedOut:  # a busy machine may be slow to answer, too
        return False


def limited(limits: Limits) -> Sequence[str]:
    """Return what bounds a program's memory, and makes it end with us also after it changed its account."""
    bounded = [] if which("prlimit") is None else ["prlimit", f"--data={limits.memory_bytes}", "--"]
    dying = [] if which("setpriv") is None else ["setpriv", "--pdeathsig", "KILL", "--"]
    return [*bounded, *dying]
