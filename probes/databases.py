"""Which database servers a machine has, and which databases these hold: asked by their own clients, over sockets.

A server is asked as the account its socket belongs to, which servers let in without a password (PostgreSQL: peer,
MariaDB: unix_socket, MySQL: auth_socket; as Debian and Ubuntu install them), or with that account's own ~/.pgpass or
~/.my.cnf. So nothing has to be configured, no secret is at hand here, and whoever names a socket gets no more than its
owner has.
"""

from __future__ import annotations

import os
import pwd
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from core.model.things import listed, readable
from probes.child import PROGRAM_PATH, run_program
from probes.declaration import ProbeFailedError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATIENCE_SECONDS: Final = 8.0
_MOST_ANSWER_BYTES: Final = 1 << 20
_SOCKET: Final = re.compile(r"\.s\.PGSQL\.(\d+)")
# The databases `postgres` and `test` are there from the beginning; they count once somebody made tables in them.
_POSTGRESQL: Final = """
SELECT 'port ' || current_setting('port') UNION ALL
SELECT 'folder ' || setting FROM pg_settings WHERE name = 'data_directory' UNION ALL
SELECT 'replica' WHERE pg_is_in_recovery() UNION ALL
SELECT 'name ' || datname FROM pg_database
 WHERE datallowconn AND NOT datistemplate AND (datname <> 'postgres' OR EXISTS (
   SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'))
"""
_MARIADB: Final = """
SELECT HEX(CONCAT('port ', @@port)) UNION ALL
SELECT HEX(CONCAT('engine ', IF(VERSION() LIKE '%MariaDB%', 'mariadb', 'mysql'))) UNION ALL
SELECT HEX('read-only') FROM DUAL WHERE @@global.read_only NOT IN ('0', 'OFF') UNION ALL
SELECT HEX(CONCAT('folder ', @@datadir)) UNION ALL
SELECT HEX('all') FROM information_schema.user_privileges WHERE privilege_type = 'SHOW DATABASES' UNION ALL
SELECT HEX(CONCAT('name ', schema_name)) FROM information_schema.schemata
 WHERE schema_name NOT IN ('information_schema', 'performance_schema', 'mysql', 'sys')
   AND schema_name NOT LIKE '#mysql50#%'
   AND (schema_name <> 'test' OR EXISTS (SELECT 1 FROM information_schema.tables WHERE table_schema = 'test'))
"""
_REPLICATES: Final = {"mariadb": "SHOW ALL SLAVES STATUS", "mysql": "SHOW REPLICA STATUS"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseServer:
    """A server: `folder` is where its data lie, empty where it does not tell; `more`: databases beside `names`.

    is_replica: its databases are another server's, which they are to be saved from.
    """

    engine: str
    port: int
    folder: str
    names: tuple[str, ...]
    more: int
    is_replica: bool = False


def postgresql_sockets(folder: str) -> list[str]:
    """Return the sockets of servers in a folder; none where there is no such folder."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - the style of this room
    except OSError:
        return []
    return sorted(f"{folder}/{name}" for name in names if _SOCKET.fullmatch(name))


def ask_postgresql(socket: str) -> DatabaseServer:
    """Ask the server behind a socket. Raises ProbeFailedError with the server's words."""
    folder, _, name = socket.rpartition("/")
    owner = _owner(socket)
    found = {"host": folder or "/", "port": name.rpartition(".")[2], "user": owner.pw_name, "dbname": "postgres"}
    found |= {"connect_timeout": "5", "client_encoding": "UTF8", "application_name": "watchkeep-inventory"}
    login = " ".join(f"{key}='{_quoted(value)}'" for key, value in found.items())
    words = ["psql", "-X", "-w", "-q", "-A", "-t", "-0", "-v", "ON_ERROR_STOP=1", "-d", login, "-c", _POSTGRESQL]
    return _server("postgresql", socket, _run(socket, owner, words).split("\0"))


def ask_mariadb(socket: str) -> DatabaseServer:
    """Ask the MariaDB or MySQL behind a socket. Raises ProbeFailedError with the server's words."""
    owner = _owner(socket)
    found = (f"{folder}/mariadb" for folder in PROGRAM_PATH.split(":"))
    program = next((path for path in found if os.access(path, os.X_OK)), "mysql")
    words = [
        program, f"--socket={socket}", f"--user={owner.pw_name}", "--protocol=socket", "--batch", "--skip-column-names",
        "--local-infile=0", "--connect-timeout=5", "--default-character-set=utf8mb4",
    ]  # fmt: skip
    lines = _run(socket, owner, [*words, f"--execute={_MARIADB}"]).split()
    try:
        facts = [bytes.fromhex(line).decode() for line in lines]
    except ValueError:
        raise ProbeFailedError(f"{socket}: the client's answer cannot be understood: {' '.join(lines):.100}") from None
    if "all" not in facts:
        raise ProbeFailedError(
            f"{socket}: {owner.pw_name} may not see all databases there; GRANT SHOW DATABASES ON *.* to that account"
        )
    engine = "mariadb" if "engine mariadb" in facts else "mysql"
    if "read-only" in facts and _is_replicating(socket, owner, [*words, f"--execute={_REPLICATES[engine]}"]):
        facts.append("replica")
    return _server(engine, socket, facts)


def _is_replicating(socket: str, owner: pwd.struct_passwd, words: list[str]) -> bool:
    """Tell whether a server takes another's changes. One that is also written to is not asked: its data are its own.

    Where the account may not know (REPLICA MONITOR, of MySQL REPLICATION CLIENT), they count as its own too.
    """
    try:
        return _run(socket, owner, words) != ""
    except ProbeFailedError:
        return False


def _run(socket: str, owner: pwd.struct_passwd, words: list[str]) -> str:
    account = owner if os.geteuid() == 0 and owner.pw_uid != 0 else None
    ended = run_program(words, _PATIENCE_SECONDS, most_output_bytes=_MOST_ANSWER_BYTES, account=account)
    if ended.status != 0:
        reason = " ".join(ended.errors.split())[-300:] or f"{words[0]} ended with {ended.status}"
        raise ProbeFailedError(f"the databases behind {socket} are not known, asked as {owner.pw_name}: {reason}")
    if ended.is_cut:
        raise ProbeFailedError(f"{socket}: the names of its databases are more than {_MOST_ANSWER_BYTES} bytes")
    return ended.output


def _owner(socket: str) -> pwd.struct_passwd:
    """Return whose socket it is, or who we are where we may not become that account."""
    try:
        return pwd.getpwuid(os.stat(socket).st_uid if os.geteuid() == 0 else os.geteuid())  # noqa: PTH116 - as above
    except OSError as error:
        raise ProbeFailedError(f"{socket}: {error.strerror}") from error
    except KeyError:
        raise ProbeFailedError(f"{socket}: the account it belongs to has no name here") from None


def _server(engine: str, socket: str, facts: list[str]) -> DatabaseServer:
    named = list(_pairs(facts))
    known = dict(named)
    if not known.get("port", "").isdigit():
        raise ProbeFailedError(f"{socket}: the server's answer cannot be understood")
    names, more = listed([name for key, name in named if key == "name"])
    return DatabaseServer(
        engine=engine,
        port=int(known["port"]),
        folder=readable(known.get("folder", "").rstrip("/")),
        names=tuple(names),
        more=more,
        is_replica="replica" in known,
    )


def _pairs(facts: list[str]) -> Iterator[tuple[str, str]]:
    for fact in facts:
        key, _, value = fact.partition(" ")
        yield key, value


def _quoted(value: str) -> str:
    return value.replace("\\", r"\\").replace("'", r"\'")
