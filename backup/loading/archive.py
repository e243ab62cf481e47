"""Loads pg_dump's archives by pg_restore, also into a server that is older than pg_restore.

What pg_restore writes begins with settings, newer ones among them (since version 17 transaction_timeout), and an older
server refuses what it does not know. For such a server pg_restore writes its script, and psql runs it without these.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from typing import IO, TYPE_CHECKING, Final

from backup.errors import DestinationInUse
from backup.runtime.child import Program, run, running
from backup.sources.postgresql.psql import client_environment, client_program, program_major, session

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from backup.settings.source import PostgresqlSettings

_WORDS: Final = 1000
_END_SECONDS: Final = 60.0
_PIECE_BYTES: Final = 1 << 20
_SETTING: Final = re.compile(rb"SET (\w+) = ")
_HEAD: Final = re.compile(rb"(--|\\restrict |BEGIN;|SET \w+ = |SELECT pg_catalog\.set_config\(|\s*$)")


def load_archive(
    settings: PostgresqlSettings, dump: Path, options: Sequence[str], *, time_limit_seconds: float
) -> None:
    """Load the dump in a folder, as pg_restore's `options` choose; end at the first error.

    Raises DestinationInUse with the program's words, SourceFailed (no program, no server), TimedOut.
    """
    arguments = [
        client_program(settings, "pg_restore"),
        "--exit-on-error", "--no-owner", "--no-privileges", "--no-password", *options,
    ]  # fmt: skip
    with session(settings, time_limit_seconds) as psql:
        server_major = int(psql.ask("SELECT current_setting('server_version_num')::int / 10000;")[0][0])
        known = {name.encode() for (name,) in psql.ask("SELECT name FROM pg_settings;")}
    doing = f"loading into {settings.database!r}"
    if program_major(settings, "pg_restore") > server_major:
        _run_script(settings, [*arguments, "--file=-", str(dump)], known, doing, time_limit_seconds)
        return
    program = Program(
        arguments=[*arguments, f"--dbname={_quoted(settings.database)}", str(dump)],
        environment=client_environment(settings),
        doing=doing,
    )
    ended = run(program, time_limit_seconds=time_limit_seconds)
    _demand_good("pg_restore", ended.exit_code, ended.words)


def _run_script(
    settings: PostgresqlSettings, writing: Sequence[str], known: Collection[bytes], doing: str, seconds: float
) -> None:
    """Have psql run what pg_restore writes, without the settings at its head that the server does not know."""
    environment = client_environment(settings)
    arguments = [
        client_program(settings, "psql"),
        "--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--output=/dev/null",
    ]  # fmt: skip
    reading, written = os.pipe()
    with (
        os.fdopen(written, "wb") as script,
        os.fdopen(reading, "rb") as stream,
        running(Program(arguments=writing, environment=environment, doing=doing)) as archive,
    ):
        assert archive.stdout is not None  # noqa: S101 - for the type checker: both are pipes
        assert archive.stderr is not None  # noqa: S101
        feeder = threading.Thread(target=_feed, args=(archive.stdout, script, known), name="dump-feeder")
        feeder.start()
        try:
            psql = Program(arguments=arguments, environment=environment, doing=doing, stdin=stream)
            ended = run(psql, time_limit_seconds=seconds)
            _demand_good("psql", ended.exit_code, ended.words)
            exit_code = archive.wait(_END_SECONDS)
            _demand_good("pg_restore", exit_code, archive.stderr.read(_WORDS).decode("utf-8", "replace"))
        finally:
            stream.close()  # the feeder writes no more,
            archive.kill()  # and waits for nothing more
            feeder.join()


def _feed(source: IO[bytes], script: IO[bytes], known: Collection[bytes]) -> None:
    try:
        with script:
            pass_on(source, script, known)
    except BrokenPipeError:
        return  # psql has ended; its exit code says how


def pass_on(source: IO[bytes], script: IO[bytes], known: Collection[bytes]) -> None:
    """Copy a script of pg_restore without the settings at its head that are not `known`; the rest stays as it is."""
    for line in source:
        setting = _SETTING.match(line)
        if setting is None or setting[1] in known:
            script.write(line)
        if _HEAD.match(line) is None:
            break
    shutil.copyfileobj(source, script, _PIECE_BYTES)


def _quoted(database: str) -> str:
    """Return a connection string that names a database, whatever its name looks like."""
    escaped = database.replace("\\", "\\\\").replace("'", "\\'")
    return f"dbname='{escaped}'"


def _demand_good(name: str, exit_code: int, words: str) -> None:
    if exit_code != 0:
        said = " ".join(words.split())[:_WORDS]
        raise DestinationInUse(f"{name} ended with exit code {exit_code}: {said or 'without a word'}")
