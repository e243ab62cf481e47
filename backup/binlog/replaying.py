"""Replays fetched binary logs in a server: all of them, or what is of one database, which may be called otherwise.

The family's own program turns them into SQL, into a file first: what it cannot read is known before anything is
changed. Transactions get names (GTIDs) of the server they are replayed in: their old ones may be there already. They
are written to its binary log as everything else is, so that its replicas and its own archive have them, too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from backup.binlog.statements import is_of_accounts, is_refused_without_accounts, segments_of
from backup.errors import BackupDamaged
from backup.runtime.child import Program, run
from backup.sources.mysql.client import MARIADB, client_program, environment, family_of, last_words
from backup.sources.mysql.session import load_files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from backup.binlog.events import Statement
    from backup.binlog.recovery import Way
    from backup.binlog.statements import Names, Segment
    from backup.settings.source import MysqlLogin

_GTID_LINE: Final = re.compile(
    rb"^/\*M?!1000\d\d SET @@session\.(?:gtid_seq_no|gtid_domain_id|server_id)=\d+\*/(?:/\*!\*/)?;\n", re.MULTILINE
)
"""What MariaDB's program says of a transaction's name; MySQL's is told to leave it out."""

ANY_ORDER: Final = "--loose-skip-gtid-strict-mode"
"""MariaDB's program (10.8) ends where numbers of transactions fall, as where two servers write to one domain."""
_NOBODYS: Final = "watchkeep_left_out"


def replay(
    login: MysqlLogin, way: Way, names: Names | None, time_limit_seconds: float, *, has_accounts: bool = True
) -> int:
    """Replay the logs into the database of `login`, of one database only when `names` are given.

    Returns how many statements about accounts were left out: they are the server's, and none of one database's.
    has_accounts: False of a server that was started without its own, and would refuse them.
    Raises BackupDamaged (a log cannot be read), DestinationInUse with the server's words, TimedOut.
    """

    def is_left_out(statement: Statement) -> bool:
        if names is not None:
            return statement.database == names.saved and is_of_accounts(statement)
        return not has_accounts and is_refused_without_accounts(statement)

    segments, left_out = segments_of(way, is_left_out)
    written: list[Path] = []
    try:
        for number, segment in enumerate(segments, 1):
            written.append(way.files[0].with_name(f"replay-{number}.sql"))
            _write(login, segment, names, written[-1], time_limit_seconds)
        load_files(login, written, time_limit_seconds)
    finally:
        for path in written:
            path.unlink(missing_ok=True)
    return left_out


def reading_options(login: MysqlLogin, segment: Segment, names: Names | None) -> list[str]:
    """Return the options of the family's program that read a stretch of logs, without the files."""
    is_mariadb = family_of(login) is MARIADB
    found = [f"--start-position={segment.start}"]
    if segment.stop is not None:
        found.append(f"--stop-position={segment.stop}")
    found.append(ANY_ORDER if is_mariadb else "--skip-gtids")
    if names is not None:
        # MariaDB's program judges by the name that was, MySQL's by the one it was changed to.
        found.append(f"--database={names.saved if is_mariadb else names.restored}")
        if names.saved != names.restored:
            found.append(f"--rewrite-db={names.saved}->{names.restored}")
            if not is_mariadb:  # or what the logs have of an earlier database of the new name would be replayed, too
                found.append(f"--rewrite-db={names.restored}->{_NOBODYS}")
    return found


def _write(login: MysqlLogin, segment: Segment, names: Names | None, path: Path, time_limit_seconds: float) -> None:
    program = client_program(login, family_of(login).log_reader)
    path.touch(mode=0o600)
    with path.open("wb") as file:
        lines = _Lines(lambda text: file.write(_GTID_LINE.sub(b"", text)))
        ended = run(
            Program(
                arguments=[
                    program,
                    "--no-defaults",
                    f"--local-load={path.parent}",
                    *reading_options(login, segment, names),
                    *(str(each) for each in segment.files),
                ],
                environment=environment(login),
                doing="reading binary logs",
            ),
            time_limit_seconds=time_limit_seconds,
            take_output=lines.take,
        )
        lines.end()
    if ended.exit_code != 0:
        raise BackupDamaged(f"the fetched binary logs cannot be read: {last_words(ended.words)}")


class _Lines:
    """Hands on whole lines of what comes in pieces."""

    def __init__(self, hand_on: Callable[[bytes], object]) -> None:
        self._hand_on = hand_on
        self._held: list[bytes] = []

    def take(self, piece: bytes) -> None:
        end = piece.rfind(b"\n") + 1
        if not end:
            self._held.append(piece)  # the middle of a long line: joined once, at its end
            return
        self._hand_on(b"".join((*self._held, piece[:end])))
        self._held = [piece[end:]] if end < len(piece) else []

    def end(self) -> None:
        self._hand_on(b"".join(self._held))
