"""A whole MariaDB server as a source: its files, copied by mariadb-backup while it works, and prepared at once.

Prepared means: the redo log that was copied along is applied, so that what comes back is a data directory a server
starts on, and needs no mariadb-backup then. That happens here, where the right version is installed, a failure is seen
while the original still lives, and it costs seconds; on the worst day it would be one more step that can go wrong.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from backup.errors import SourceFailed
from backup.runtime.child import Program, run
from backup.sources.contract import Prepared
from backup.sources.mysql.client import client_program, environment, last_words, login
from backup.sources.mysql.mariadb_situation import bytes_to_copy, current_lsn, look, named, other_engines
from backup.sources.mysql.mariadb_words import Words
from core.model.things import readable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backup.settings.source import MariadbBaseSettings
    from backup.sources.mysql.mariadb_situation import Situation

KIND: Final = "mariadb-base"
DATA_FOLDER: Final = "data"
RECORD_FILE: Final = "consistency.json"
_ASKING_SECONDS: Final = 60.0
_PREPARED: Final = "log-applied|full-prepared"  # as versions say it
_NO_WORSE_COPY: Final = ("--no-lock=0", "--log-innodb-page-corruption=0")
"""Last on the command line, so that no option file has rows copied unlocked or damaged pages passed over."""


class MariadbBaseSource:
    """Copies a server's files into `scratch`, which takes as much room as they do."""

    kind = KIND

    def __init__(self, settings: MariadbBaseSettings, time_limit_seconds: float) -> None:
        self._client = settings.login
        self._lock_wait_seconds = settings.lock_wait.total_seconds()
        self._time_limit_seconds = time_limit_seconds

    @contextmanager
    def prepare(self, scratch: Path) -> Iterator[Prepared]:
        """Copy and prepare; the server is left alone when duplicity begins to read."""
        program = self._program()
        situation = look(self._client, self._version_of(program))
        others = other_engines(self._client)
        _demand_room(situation.data, scratch)
        record: dict[str, Any] = {
            "server_version": situation.version, "server_port": situation.port, "settings": situation.settings,
        }  # fmt: skip
        record["other_engines"] = others
        data = scratch / DATA_FOLDER
        record |= self._copy(program, situation, data)
        record |= self._apply_log(program, data)
        (scratch / RECORD_FILE).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        remarks = tuple(
            f"tables {named(tables)} are of the engine {engine}: {_why_not_saved(engine)}; save them by [sets.mariadb]"
            " as well"
            for engine, tables in others.items()
        )
        covers = {
            "engine": "mariadb",
            "port": situation.port,
            "is_whole": True,
            "left_out": sorted({readable(table.partition(".")[0]) for tables in others.values() for table in tables}),
        }
        yield Prepared(root=scratch, consistency=record, covers=covers, remarks=remarks, is_indivisible=True)

    def _program(self) -> str:
        try:
            return client_program(self._client, "mariadb-backup")
        except SourceFailed as error:
            where = self._client.binaries or "PATH"
            raise SourceFailed(
                f"mariadb-backup is not in {where}: install the package mariadb-backup, or set `binaries`"
            ) from error

    def _version_of(self, program: str) -> str:
        asking = Program(arguments=[program, "--version"], environment=environment(), doing="asking mariadb-backup")
        ended = run(asking, time_limit_seconds=_ASKING_SECONDS)
        return f"{ended.output} {ended.words}".strip()

    def _copy(self, program: str, situation: Situation, data: Path) -> dict[str, Any]:
        """Copy the files; return the moment, its place in binary and redo log, and how long locks were held.

        Raises SourceFailed, also when an option file had mariadb-backup leave something out.
        """
        began = time.monotonic()
        before = current_lsn(self._client)
        what = ["--backup", f"--target-dir={data}", f"--datadir={situation.data}", *_NO_WORSE_COPY]
        words = self._run([program, *login(self._client), *what], "copying the server's files")
        _demand_whole(data)
        after = current_lsn(self._client)
        lsn = int(_named_value(data, "last_lsn", r"\d+"))
        if not before <= lsn <= after:
            raise SourceFailed(
                f"what was copied from {situation.data} ends at {lsn} of a redo log, the server that answers was at"
                f" {before} to {after}: are these the files of another server? Run this on the server's own machine"
            )
        return {
            "taken_at": datetime.now(UTC).isoformat(),  # a copy is of the moment it ends
            "copied_seconds": round(time.monotonic() - began, 3),
            "lsn": lsn,
            **words.blocked(),
            **_binlog(data),
        }

    def _apply_log(self, program: str, data: Path) -> dict[str, Any]:
        began = time.monotonic()
        self._run([program, "--prepare", f"--target-dir={data}"], "preparing the copied files")
        _named_value(data, "backup_type", _PREPARED)
        return {"prepared_seconds": round(time.monotonic() - began, 3)}

    def _run(self, arguments: list[str], doing: str) -> Words:
        words = Words(self._lock_wait_seconds)
        program = Program(arguments=arguments, environment=environment(), doing=doing, hear_words=words.hear)
        ended = run(program, time_limit_seconds=self._time_limit_seconds)
        if ended.exit_code != 0:
            raise SourceFailed(
                f"mariadb-backup ended with exit code {ended.exit_code} while {doing}: {words.complaints}"
            )
        return words


def _demand_room(data: Path, scratch: Path) -> None:
    """Raise SourceFailed when the copy has no room: a full disk would be in the way of others too."""
    needed, free = bytes_to_copy(data), shutil.disk_usage(scratch).free
    if needed > free:
        raise SourceFailed(
            f"a copy of {data} needs {needed >> 20} MiB, but {scratch} has {free >> 20} MiB free: set `work` to a"
            " larger disk"
        )


def _why_not_saved(engine: str) -> str:
    if engine == "MEMORY":
        return "their rows are in no file, they come back empty"
    return "nothing assures that a copy of files holds them"


def _demand_whole(data: Path) -> None:
    """Raise SourceFailed unless mariadb-backup says that it was told to leave nothing out.

    Its option files may do that (databases, tables, databases-exclude and so on), and it ends well then. They are read
    for the login; which databases ought to be in the copy cannot be asked, they come and go meanwhile.
    """
    if re.findall(r"^partial = (.*)$", _file_of(data, "info"), re.MULTILINE) != ["N"]:
        raise SourceFailed(
            "the copy is not of the whole server: an option file (mariadb_base.option_file, without it /etc/mysql and"
            " ~/.my.cnf) has databases, databases-exclude, databases-file, tables, tables-exclude or tables-file in"
            " [mariadb-backup], [mariabackup] or [xtrabackup]; delete that, or name another mariadb_base.option_file"
        )


def _named_value(data: Path, name: str, form: str) -> str:
    """Return what mariadb-backup wrote down of its copy as `name`, of this form. Raises SourceFailed."""
    text = _file_of(data, "checkpoints")
    found = re.search(rf"^{name} = ({form})$", text, re.MULTILINE)
    if found is None:
        raise SourceFailed(f"mariadb-backup ended well, but what it wrote down of {name} is none: {last_words(text)}")
    return found[1]


def _binlog(data: Path) -> dict[str, Any]:
    """Return the copy's place in the server's binary log; nothing where there is none."""
    try:
        words = _file_of(data, "binlog_info").split("\n", 1)[0].split("\t")
    except SourceFailed:
        return {}  # the binary log is off
    try:
        return {"binlog_file": words[0], "binlog_position": int(words[1]), "gtid": "".join(words[2:3])}
    except (IndexError, ValueError) as error:
        raise SourceFailed(f"mariadb-backup's place in the binary log cannot be understood: {words}") from error


def _file_of(data: Path, name: str) -> str:
    """Return the text of one of mariadb-backup's own files, which were renamed in 11.1. Raises SourceFailed."""
    for prefix in ("mariadb_backup", "xtrabackup"):
        path = data / f"{prefix}_{name}"
        if path.is_file():
            return path.read_text(encoding="utf-8", errors="replace")
    raise SourceFailed(f"mariadb-backup ended well, but left no {name} in {data}")
