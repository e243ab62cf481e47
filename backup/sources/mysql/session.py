"""Has a server of MariaDB or MySQL run files of SQL: those of a dump, or what its binary logs were turned into."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final

from backup.errors import BackupDamaged, DestinationInUse
from backup.runtime.child import Program, run
from backup.sources.mysql.client import MYSQL, ask, client_program, environment, family_of, last_words, login

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from backup.settings.source import MysqlLogin

_ASKING_SECONDS: Final = 60.0
_PIECE_BYTES: Final = 1 << 20
# What a server may demand or add of its own, and a table that was saved without need not have.
_IN_THE_WAY: Final = "sql_require_primary_key", "sql_generate_invisible_primary_key"


def load_files(settings: MysqlLogin, parts: Sequence[Path], time_limit_seconds: float) -> None:
    """Have files of SQL run in one session, one after the other, up to the first that fails. Raises DestinationInUse.

    `--comments`: without it the client drops comments out of routines.
    """
    family = family_of(settings)
    in_the_way = _in_the_way(settings) if family is MYSQL else []
    arguments = [
        client_program(settings, family.client),
        *login(settings),
        "--batch", "--comments", "--binary-mode", "--default-character-set=utf8mb4", "--max-allowed-packet=1G",
        *([f"--init-command=SET SESSION {', '.join(f'{name} = OFF' for name in in_the_way)}"] if in_the_way else []),
        f"--database={settings.database}",
    ]  # fmt: skip
    doing = f"loading into {settings.database!r}"
    with _concatenated(parts) as stream:
        ended = run(
            Program(arguments=arguments, environment=environment(settings), doing=doing, stdin=stream),
            time_limit_seconds=time_limit_seconds,
        )
    if ended.exit_code != 0:
        raise DestinationInUse(f"{family.client} ended with exit code {ended.exit_code}: {last_words(ended.words)}")


def _in_the_way(settings: MysqlLogin) -> list[str]:
    """Return which settings are on that would refuse or change a table as it was saved. Older servers know neither."""
    names = ", ".join(f"'{name}'" for name in _IN_THE_WAY)
    rows = ask(settings, f"SHOW VARIABLES WHERE variable_name IN ({names}) AND value = 'ON';", _ASKING_SECONDS)
    return [row[0] for row in rows if row[0] in _IN_THE_WAY]


@contextmanager
def _concatenated(parts: Sequence[Path]) -> Iterator[IO[bytes]]:
    """Yield a pipe that brings the files one after the other. Raises OSError when one could not be read to its end."""
    reading, writing = os.pipe()
    failures: list[OSError] = []

    def feed() -> None:
        try:
            with os.fdopen(writing, "wb") as pipe:
                for part in parts:
                    with part.open("rb") as file:
                        while piece := file.read(_PIECE_BYTES):
                            pipe.write(piece)
        except BrokenPipeError:
            return  # the program has ended; its exit code says how
        except OSError as error:
            failures.append(error)

    feeder = threading.Thread(target=feed, name="dump-feeder")
    with os.fdopen(reading, "rb") as stream:
        feeder.start()
        yield stream
    feeder.join()
    if failures:
        raise BackupDamaged(f"the restored dump cannot be read: {failures[0]}") from failures[0]
