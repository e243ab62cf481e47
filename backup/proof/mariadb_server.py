"""A MariaDB of a drill's own: made in its scratch folder, without a port, gone with the drill.

It is reached by a socket in a private folder of its own with a short path, since a path below a deep scratch folder may
be longer than a socket's can be; root has no password there.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Final

from backup.errors import DrillFailed, SourceFailed, TimedOut
from backup.proof.cluster import limited
from backup.proof.server_programs import SYSTEM_FOLDERS
from backup.proof.socket_folder import socket_folder
from backup.runtime.child import Program, run, running
from backup.settings.source import MariadbSettings
from backup.sources.mysql.client import ask
from core.runtime.account import NoAccountError, account_for, hand_over

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Sequence

    from backup.proof.contract import Limits
    from backup.settings.source import MysqlLogin

_READY_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 0.1
_WORDS: Final = 600


class ScratchMariadb:
    """A data folder and the server that may run on it. `programs`: the folder of its programs; None: where they lie."""

    title = "MariaDB"
    server_name = "mariadbd"
    setting = "mariadb_programs"
    _kind_of_login: type[MysqlLogin] = MariadbSettings

    def __init__(self, folder: Path, programs: Path | None, limits: Limits) -> None:
        """Find the programs and the account to run them as. Raises DrillFailed."""
        self.folder = folder
        self._programs, self._limits = programs, limits
        self._data = folder / "data"
        self._log = folder / "log"
        self._temporary = folder / "temporary"
        self._options = folder / "client.cnf"
        self._socket: Path | None = None
        self._server = self._find(self.server_name)
        try:
            self._account = account_for(folder, [Path(self._server)])
        except NoAccountError as error:
            raise DrillFailed(f"the database of the drill cannot be started: {error}") from error

    def login(self, database: str) -> MysqlLogin:
        """Return how a client gets in while it runs."""
        return self._kind_of_login(
            database=database, socket=self._socket, user="root", option_file=self._options, binaries=self._programs
        )

    def make(self) -> None:
        """Make an empty server. Raises DrillFailed with the program's words, TimedOut."""
        self._make_folder()
        name, *arguments = self._making()
        ended = run(
            self._program(self._find(name), *arguments),
            time_limit_seconds=self._limits.left_seconds("a database was made"),
        )
        if ended.exit_code != 0:
            words = (ended.words + ended.output)[-_WORDS:].strip()
            raise DrillFailed(f"{name} ended with exit code {ended.exit_code}: {words}")

    def _making(self) -> Sequence[str]:
        """Return the program that makes an empty server, and its arguments."""
        return [
            "mariadb-install-db", "--no-defaults", f"--datadir={self._data}",
            "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
        ]  # fmt: skip

    def _make_folder(self) -> None:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._temporary.mkdir(mode=0o700, exist_ok=True)
        self._options.touch(mode=0o600)  # empty: no option file of this machine's counts
        hand_over(self.folder, self._account)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the server; it has ended when this is left. Raises DrillFailed with the end of its log."""
        with socket_folder(self._account) as folder:
            self._socket = folder / "s"
            options = [
                f"--datadir={self._data}", f"--socket={self._socket}", "--skip-networking",
                f"--pid-file={self.folder}/pid", f"--log-error={self._log}", "--event-scheduler=OFF", "--skip-log-bin",
                "--innodb-flush-log-at-trx-commit=0", "--skip-innodb-doublewrite",
                f"--innodb-buffer-pool-size={max(16, self._limits.memory_bytes // 4 >> 20)}M",
                "--max-allowed-packet=1G", *self._more_options(),
            ]  # fmt: skip
            with running(self._program(self._server, "--no-defaults", *options)) as server:
                self._await_ready(server)
                yield

    def _more_options(self) -> Sequence[str]:
        return ["--skip-slave-start"]

    def _ready_seconds(self) -> float:
        return min(_READY_SECONDS, self._limits.left_seconds("a database was started"))

    def _await_ready(self, server: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + self._ready_seconds()
        while True:
            try:
                ask(self.login("mysql"), "SELECT 1;", 10)
            except (SourceFailed, TimedOut) as error:  # a busy machine may be slow to answer, too
                if server.poll() is not None or time.monotonic() > deadline:
                    raise DrillFailed(f"the database of the drill did not start: {self._last_words()}") from error
                time.sleep(_LOOK_SECONDS)
            else:
                return

    def _last_words(self) -> str:
        try:
            return " ".join(self._log.read_text(errors="replace").split())[-_WORDS:]
        except OSError:
            return "without a word"

    def _find(self, name: str) -> str:
        path = f"{os.environ.get('PATH', '/usr/bin:/bin')}:{SYSTEM_FOLDERS}"
        found = which(name, path=path if self._programs is None else str(self._programs))
        if found is None:
            raise DrillFailed(
                f"there is no {name} on this machine to start: install {self.title}'s server, or name the folder of"
                f" its programs as drills.{self.setting}"
            )
        return found

    def _program(self, name: str, *arguments: str) -> Program:
        # A server that starts deletes what it takes for temporary tables of its own: those of every other one, too.
        return Program(
            arguments=[*self._account.prefix, *limited(self._limits), name, *arguments],
            environment={
                "PATH": f"{os.environ.get('PATH', '/usr/bin:/bin')}:{SYSTEM_FOLDERS}",
                "LC_ALL": "C.UTF-8",
                "TMPDIR": str(self._temporary),
            },
            doing=f"running {Path(name).name}",
        )
