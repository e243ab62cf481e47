"""The client programs of MariaDB and MySQL: where they are, how they log in, what a question to the server returns.

Both take the same options. Which of them a set means, its settings say; neither's programs are used for the other's
server, since what they leave out or cannot read then is said by nobody.
"""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Final

from backup.errors import SourceFailed
from backup.runtime.child import Program, run
from backup.settings.source import MysqlSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from backup.settings.source import MysqlLogin

_WORDS: Final = 600
_REPEATED: Final = re.compile(r"^-{14}\n.*?^-{14}\n", re.MULTILINE | re.DOTALL)
_ANSWER_LIMIT_BYTES: Final = 16 << 20
_PASSED_ON: Final = ("PATH", "HOME")
_OPTION: Final = re.compile(r"(?:^|\s)--([A-Za-z][\w-]*)")
# The log-in, what Debian sets for its own dumps, and what our command line says again.
_HARMLESS: Final = frozenset(
    (
        "host", "port", "socket", "user", "password", "protocol", "connect-timeout", "compress", "default-auth",
        "plugin-dir", "default-character-set", "character-sets-dir", "quick", "quote-names", "max-allowed-packet",
        "net-buffer-length", "single-transaction", "routines", "events", "triggers", "hex-blob", "order-by-primary",
        "comments", "get-server-public-key", "server-public-key-path", "enable-cleartext-plugin",
        "compression-algorithms", "zstd-compression-level",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Whose server it is. kind: of a set that saves it; client, dump, log_reader: names of its programs."""

    kind: str
    title: str
    client: str
    dump: str
    log_reader: str


MARIADB: Final = Family(
    kind="mariadb", title="MariaDB", client="mariadb", dump="mariadb-dump", log_reader="mariadb-binlog"
)
MYSQL: Final = Family(kind="mysql", title="MySQL", client="mysql", dump="mysqldump", log_reader="mysqlbinlog")


def family_of(settings: MysqlLogin) -> Family:
    """Return whose server these settings mean."""
    return MYSQL if isinstance(settings, MysqlSettings) else MARIADB


def demand_family(settings: MysqlLogin, version: str) -> None:
    """Raise SourceFailed when the server, by its VERSION(), is the other one's."""
    found, meant = MARIADB if "MariaDB" in version else MYSQL, family_of(settings)
    if found is not meant:
        raise SourceFailed(
            f"the server is a {found.title} ({version}), not a {meant.title}: save it by [sets.{found.kind}], not by"
            f" [sets.{meant.kind}]"
        )


def demand_own_programs(settings: MysqlLogin, names: Sequence[str], time_limit_seconds: float) -> None:
    """Raise SourceFailed when one of these programs is missing, or is the other family's by the same name.

    Debian has a `mysql` and a `mysqldump` that are MariaDB's.
    """
    for name in names:
        demand_own(family_of(settings), client_program(settings, name), time_limit_seconds)


def demand_own(family: Family, path: str, time_limit_seconds: float) -> None:
    """Raise SourceFailed when a program is not of this family."""
    is_reader = Path(path).name == family.log_reader  # whose version names nobody
    asking = Program(
        arguments=[path, *(("--no-defaults", "--help") if is_reader else ("--version",))],
        environment=environment(),
        doing=f"asking {path} whose it is",
    )
    said = run(asking, time_limit_seconds=time_limit_seconds).output
    if ("MariaDB" in said) != (family is MARIADB):
        raise SourceFailed(
            f"{path} is not {family.title}'s own ({' '.join(said.split())[:80]}): install {family.title}'s programs, or"
            " name their folder"
        )


def client_program(settings: MysqlLogin, name: str) -> str:
    """Return the path of a client program. Raises SourceFailed."""
    found = which(name, path=None if settings.binaries is None else str(settings.binaries))
    if found is None:
        where = settings.binaries or "PATH"
        raise SourceFailed(
            f"{name} is not in {where}; install {family_of(settings).title}'s client programs, or set `binaries`"
        )
    return found


def login(settings: MysqlLogin) -> list[str]:
    """Return the options that lead to the server, which have to stand first. Raises SourceFailed.

    The password is in no argument, where every user of the machine could read it: it stands in the option file. With
    one, no other is read; without, the client reads its usual ones (~/.my.cnf).
    """
    found = []
    if settings.option_file is not None:
        try:
            mode = settings.option_file.stat().st_mode
        except OSError as error:
            raise SourceFailed(f"the option file {settings.option_file} cannot be read: {error.strerror}") from error
        if mode & 0o077:
            raise SourceFailed(
                f"others may read the option file {settings.option_file}: chmod 600 {settings.option_file}"
            )
        found.append(f"--defaults-file={settings.option_file}")
    found += [f"--host={settings.host}", f"--port={settings.port}", f"--user={settings.user}"]
    return found if settings.socket is None else [*found, f"--socket={settings.socket}"]


def demand_log_in_only(settings: MysqlLogin, program: str, time_limit_seconds: float) -> None:
    """Return when the option files that `program` reads say no more than how to log in, and what changes nothing.

    They may also leave tables and rows out, or write something else than a dump, and it would end well all the same.
    Raises SourceFailed with the names of what else they say: values may be passwords.
    """
    files = [] if settings.option_file is None else [f"--defaults-file={settings.option_file}"]
    asking = Program(
        arguments=[program, *files, "--print-defaults"],
        environment=environment(settings),
        doing="reading option files",
    )
    ended = run(asking, time_limit_seconds=time_limit_seconds)
    if ended.exit_code != 0:
        raise SourceFailed(f"option files cannot be read by {program}: {last_words(ended.words)}")
    names = {name.replace("_", "-") for name in _OPTION.findall(ended.output)}
    strange = sorted(name for name in names - _HARMLESS if not name.startswith(("ssl", "skip-ssl", "tls-")))
    if strange:
        where = settings.option_file or "an option file of this machine (~/.my.cnf, /etc/mysql)"
        raise SourceFailed(
            f"{where} has {', '.join(strange)} for {Path(program).name}: what that leaves out or writes otherwise is no"
            " backup. Take it out, or give the set an `option_file` of its own with nothing but the log-in"
        )


def environment(settings: MysqlLogin | None = None) -> Mapping[str, str]:
    """Return the environment of a client program: nothing in it says where to log in.

    MySQL's clients read ~/.mylogin.cnf whatever option file they are given: with one of the set's own, none is read.
    """
    found = {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {"LC_ALL": "C.UTF-8", "TZ": "UTC"}
    return found if settings is None or settings.option_file is None else found | {"MYSQL_TEST_LOGIN_FILE": "/dev/null"}


def ask(
    settings: MysqlLogin, statements: str, time_limit_seconds: float, *, database: str | None = None
) -> list[list[str]]:
    """Return the rows of `statements`; text that may hold a tab or a line break has to be asked for as HEX().

    Raises SourceFailed with the server's words, TimedOut.
    """
    arguments = [
        client_program(settings, family_of(settings).client),
        *login(settings),
        "--batch", "--skip-column-names", "--raw", "--default-character-set=utf8mb4", "--connect-timeout=10",
        *([] if database is None else [f"--database={database}"]),
    ]  # fmt: skip
    with tempfile.TemporaryFile() as question:
        question.write(statements.encode())
        question.seek(0)
        ended = run(
            Program(
                arguments=arguments, environment=environment(settings), doing="asking the database", stdin=question
            ),
            time_limit_seconds=time_limit_seconds,
            output_limit_bytes=_ANSWER_LIMIT_BYTES,
        )
    if ended.exit_code != 0:
        raise SourceFailed(f"the database does not answer: {last_words(ended.words)}")
    if ended.output_was_cut:
        raise SourceFailed("the database's answer is larger than 16 MiB; are there that many tables?")
    return [line.split("\t") for line in ended.output.splitlines()]


def last_words(words: str) -> str:
    """Return the end of what a program said, on one line, without the statement it repeats between dashes."""
    return " ".join(_REPEATED.sub("", words).split())[-_WORDS:] or "without a word"


def quoted(name: str) -> str:
    """Return a name as SQL has it."""
    return "`" + name.replace("`", "``") + "`"


def text_of(hexadecimal: str) -> str:
    """Return the text of a HEX(…). Raises SourceFailed when it is none."""
    try:
        return bytes.fromhex(hexadecimal).decode("utf-8")
    except ValueError as error:
        raise SourceFailed("the database's answer cannot be understood") from error


def base_tables(settings: MysqlLogin, time_limit_seconds: float) -> list[str]:
    """Return the names of the tables that hold rows. Raises SourceFailed, TimedOut."""
    listed = ask(
        settings,
        "SELECT HEX(table_name) FROM information_schema.tables WHERE table_schema = DATABASE()"
        " AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY table_name;",
        time_limit_seconds,
        database=settings.database,
    )
    return [text_of(row[0]) for row in listed]


def count_rows(settings: MysqlLogin, time_limit_seconds: float, tables: Sequence[str] | None = None) -> dict[str, int]:
    """Return how many rows each table, or each of `tables`, has now, by its name. Raises SourceFailed, TimedOut."""
    names = base_tables(settings, time_limit_seconds) if tables is None else tables
    if not names:
        return {}
    question = "\n".join(f"SELECT COUNT(*) FROM {quoted(name)};" for name in names)  # noqa: S608 - quoted names
    counts = ask(settings, question, time_limit_seconds, database=settings.database)
    if len(counts) != len(names):
        raise SourceFailed("the database's answer about its rows cannot be understood")
    return {name: int(count) for name, (count,) in zip(names, counts, strict=True)}
