"""A server's binary log as its client programs tell it: what there is of it, what stands in an archive's way."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backup.binlog.names import read_log_name
from backup.errors import ConfigInvalid, SourceFailed
from backup.runtime.child import Program, run
from backup.sources.mysql.client import (
    MYSQL,
    ask,
    client_program,
    demand_family,
    demand_log_in_only,
    demand_own_programs,
    environment,
    family_of,
    last_words,
    login,
    text_of,
)
from backup.sources.mysql.rights import Right, missing_rights

if TYPE_CHECKING:
    from datetime import timedelta
    from pathlib import Path

    from backup.binlog.names import LogName
    from backup.settings.backup_set import SetSettings
    from backup.settings.source import MysqlLogin

_ASKING_SECONDS: Final = 60.0
_IDENTITY: Final = {
    True: "SELECT VERSION(), @@log_bin, @@binlog_format, @@binlog_encryption, HEX(@@server_uuid);",
    False: "SELECT VERSION(), @@log_bin, @@binlog_format, @@encrypt_binlog,"
    " HEX(CONCAT_WS(' ', @@server_id, @@hostname, @@datadir));",
}
_HEADS: Final = frozenset(
    ("Format_desc", "Gtid_list", "Binlog_checkpoint", "Start_encryption", "Previous_gtids", "Stop", "Rotate")
)
_MOST_HEADS: Final = 40
_MOST_HEAD_BYTES: Final = 1 << 20
_NEW_WORDS: Final = (8, 4)  # SHOW MASTER STATUS is gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """A server whose log can be archived. identity: what no other server says; remarks: what a person has to know."""

    version: str
    identity: str
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A log the server has."""

    log: LogName
    size_bytes: int


class BinlogServer:
    """The server of a set, and its programs. `database`: the one the set saves; None: all of them."""

    def __init__(self, settings: MysqlLogin, database: str | None, time_limit_seconds: float) -> None:
        self._login, self._database = settings, database
        self._time_limit_seconds = time_limit_seconds
        self._family = family_of(settings)

    def look(self) -> Situation:
        """Ask whether all of the log can be archived. Raises SourceFailed saying what is in the way, and what to do."""
        family = self._family
        demand_own_programs(self._login, (family.client, family.log_reader), _ASKING_SECONDS)
        demand_log_in_only(self._login, client_program(self._login, family.log_reader), _ASKING_SECONDS)
        rows = self._ask(_IDENTITY[family is MYSQL])
        if len(rows) != 1 or len(rows[0]) != 5:
            raise SourceFailed("the server's answer about its binary log cannot be understood")
        version, has_log, form, is_encrypted, identity = rows[0]
        demand_family(self._login, version)
        if has_log != "1":
            raise SourceFailed("the server writes no binary log: set log_bin in its configuration and start it again")
        if is_encrypted in ("1", "ON"):
            raise SourceFailed(
                "the server encrypts its binary log, whose keys no backup holds: an archive of it is not made yet"
            )
        self._demand_rights()
        remarks = (*self._remarks_of(form), *self._demand_all(version), *self._demand_replicated())
        return Situation(version=version, identity=text_of(identity), remarks=remarks)

    def logs(self) -> list[Listed]:
        """Return the logs there are, oldest first; the last one is being written. Raises SourceFailed."""
        found = []
        for row in self._ask("SHOW BINARY LOGS;"):
            name = read_log_name(row[0])
            if name is None or len(row) < 2 or not row[1].isdigit():
                raise SourceFailed(
                    f"the server calls a binary log {row[0]!r}: only letters, digits, '.', '_' and '-' can be archived"
                )
            found.append(Listed(log=name, size_bytes=int(row[1])))
        if not found:
            raise SourceFailed("the server has no binary log")
        return found

    def holds_something(self, listed: Listed) -> bool:
        """Whether a log has more than what every log begins with."""
        if listed.size_bytes > _MOST_HEAD_BYTES:  # an answer may hold all that, statements as they were written
            return True
        rows = self._ask(f"SHOW BINLOG EVENTS IN '{listed.log}' LIMIT {_MOST_HEADS};")
        return len(rows) == _MOST_HEADS or any(len(row) > 2 and row[2] not in _HEADS for row in rows)

    def close_log(self) -> None:
        """Have the server begin another log; those that write wait for as long as that takes, well below a second."""
        self._ask("FLUSH LOCAL BINARY LOGS;")

    def fetch(self, log: LogName, folder: Path) -> Path:
        """Fetch a whole log into `folder`, byte by byte as the server has it. Raises SourceFailed, TimedOut."""
        program = client_program(self._login, self._family.log_reader)
        ended = run(
            Program(
                arguments=[
                    program,
                    *login(self._login),
                    "--read-from-remote-server",
                    "--raw",
                    f"--result-file={folder}/",
                    str(log),
                ],
                environment=environment(self._login),
                doing=f"fetching {log}",
            ),
            time_limit_seconds=self._time_limit_seconds,
        )
        path = folder / str(log)
        if ended.exit_code != 0 or not path.is_file():
            raise SourceFailed(f"{log} cannot be fetched: {last_words(ended.words)}")
        return path

    def _demand_rights(self) -> None:
        grants = [row[0] for row in self._ask("SHOW GRANTS;")]
        needed = [
            Right(names=("RELOAD",), is_global=True),
            Right(names=("REPLICATION SLAVE",), is_global=True),
            Right(
                names=("REPLICATION CLIENT", "SUPER") if self._family is MYSQL else ("BINLOG MONITOR", "SUPER"),
                is_global=True,
            ),
        ]
        if missing := missing_rights(grants, self._login.database, needed):
            raise SourceFailed(
                f"{self._login.user} may not archive the server's binary log: {'; '.join(missing)} TO"
                f" {self._login.user}"
            )

    def _demand_all(self, version: str) -> tuple[str, ...]:
        """Return when the log has all changes of what is saved, or what to say of it. Raises SourceFailed."""
        is_new = self._family is MYSQL and _numbers(version) >= _NEW_WORDS
        rows = self._ask("SHOW BINARY LOG STATUS;" if is_new else "SHOW MASTER STATUS;")
        only, never = ([*rows[0], "", "", "", ""][2:4]) if rows else ("", "")
        logged = [name for name in only.split(",") if name]
        left_out = [name for name in never.split(",") if name]
        if not logged and not left_out:
            return ()
        said = "binlog_do_db" if logged else "binlog_ignore_db"
        if self._database is None or (logged and self._database not in logged) or self._database in left_out:
            raise SourceFailed(
                f"the server's {said} keeps changes out of its binary log: an archive of it could bring back nothing"
                " but a part; take that setting out of its configuration"
            )
        return (f"the server's {said} keeps some databases out of its binary log, and judges statements by USE alone",)

    def _demand_replicated(self) -> tuple[str, ...]:
        """Return when what comes from other servers is logged too, or what to say of it. Raises SourceFailed."""
        names = "'log_slave_updates', 'log_replica_updates', 'gtid_slave_pos', 'wsrep_on'"
        told = dict(row[:2] for row in self._ask(f"SHOW GLOBAL VARIABLES WHERE variable_name IN ({names});"))
        if "OFF" not in (told.get("log_slave_updates"), told.get("log_replica_updates")):
            return ()
        running = dict(row[:2] for row in self._ask("SHOW GLOBAL STATUS LIKE 'Slaves_running';"))  # MariaDB's
        remedy = "set log_slave_updates (MySQL: log_replica_updates) to ON and start it again"
        if told.get("wsrep_on") == "ON" or running.get("Slaves_running", "0") != "0":
            raise SourceFailed(
                "the server leaves what other servers replicate to it out of its binary log: an archive of it would"
                f" bring back nothing of that; {remedy}"
            )
        if self._family is MYSQL or told.get("gtid_slave_pos"):
            return (f"what other servers replicate to it is not in its binary log: if there is any, {remedy}",)
        return ()

    def _remarks_of(self, form: str) -> tuple[str, ...]:
        if form == "STATEMENT":
            return (
                "binlog_format is STATEMENT: what statements did once they need not do again (UUID(), LIMIT without"
                " ORDER BY): set it to ROW",
            )
        if form == "MIXED" and self._database is not None:
            return (
                "binlog_format is MIXED: a statement that names tables of two databases, or of one that is not the"
                " session's own, cannot be replayed into a database by itself: set it to ROW",
            )
        return ()

    def _ask(self, question: str) -> list[list[str]]:
        return ask(self._login, question, _ASKING_SECONDS)


def binlog_of(chosen: SetSettings) -> tuple[MysqlLogin, str | None, timedelta]:
    """Return how to get to a set's server, the database it saves (None: all), every how long. Raises ConfigInvalid."""
    whole = chosen.mariadb_base
    dumped = chosen.mariadb or chosen.mysql
    login = whole.login if whole is not None else dumped
    if login is None:
        raise ConfigInvalid(
            f"set {chosen.name!r} has no binary log: [sets.mariadb], [sets.mysql] and [sets.mariadb_base] have one"
        )
    if login.binary_logs is None:
        kind = chosen.sources[0]
        raise ConfigInvalid(f'set {chosen.name!r} archives no binary logs: set {kind}.binary_logs = "5m"')
    return login, None if whole is not None else login.database, login.binary_logs


def server_of(chosen: SetSettings) -> BinlogServer:
    """Return the server whose log a set archives. Raises ConfigInvalid."""
    login, database, _ = binlog_of(chosen)
    return BinlogServer(login, database, chosen.time_limit.total_seconds())


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])
