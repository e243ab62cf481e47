"""Proves a MariaDB dump: a server is started in the scratch folder, the dump loaded, and asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from backup.binlog.statements import Names
from backup.errors import BackupDamaged, DestinationInUse, DrillFailed, NotInBackup, SourceFailed
from backup.loading.mysql import load
from backup.loading.rows import differing_rows
from backup.proof.contract import MOST_NAMED, Check, Evidence
from backup.proof.mariadb_server import ScratchMariadb
from backup.proof.paths import prove_tree
from backup.proof.replayed_logs import check_logs
from backup.proof.server_programs import server_for_dump
from backup.proof.versions import MARIADB, saved_version
from backup.sources.mysql.client import ask, base_tables, count_rows, quoted
from core.model.counting import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from backup.model import Manifest
    from backup.proof.contract import Case, Limits
    from backup.proof.versions import ProvenIn
    from backup.settings.source import MysqlLogin

_EMPTY_SERVER_BYTES: Final = 250 << 20
_SWOLLEN: Final = 1.5
_DATABASE: Final = "drill"
_OF_THE_SERVER: Final = frozenset({"mysql", "sys", "information_schema", "performance_schema"})
_WORDS: Final = 200
_GOOD: Final = frozenset({"OK", "Table is already up to date"})


class MariadbProver:
    """The dump's files are what was saved, it loads into an empty server, its tables are whole and have their rows."""

    source = "mariadb"

    def server(self, case: Case) -> tuple[ScratchMariadb, ProvenIn]:
        """Return the server to load into, and of which version it is. Raises DrillFailed when there is none here."""
        found = server_for_dump(MARIADB, case.settings.mariadb_programs, saved_version(case.manifest))
        return ScratchMariadb(case.scratch / "mariadb", found.programs.folder, case.limits), found

    def room_bytes(self, manifest: Manifest) -> int:
        """Return the room of a server with the database loaded."""
        known = manifest.consistency.get("database_bytes")
        size = known if isinstance(known, int) else 0
        return _EMPTY_SERVER_BYTES + int(_SWOLLEN * max(size, manifest.counts.bytes))

    def prove(self, case: Case) -> Evidence:
        """Compare, load, count, look through, ask. Raises DrillFailed, TimedOut."""
        files = prove_tree(case)
        began = time.monotonic()
        server, proven_in = self.server(case)
        server.make()
        with server.running():
            login = server.login(_name(case.manifest))
            try:
                load(login, case.manifest, case.restored, case.limits.left_seconds("the dump was loaded"))
                ready_seconds = time.monotonic() - began
                checks, notes = _count(case, login)
                names = Names(saved=login.database, restored=login.database, others=_OF_THE_SERVER)
                if (replayed := check_logs(case, login, names)) is not None:
                    checks.append(replayed)
                checks += _look(case, login)
            except (BackupDamaged, DestinationInUse, NotInBackup, SourceFailed) as error:
                raise DrillFailed(
                    f"the restored dump is no database that can be used{proven_in.doubt()}: {error}"
                ) from error
        return Evidence(
            checks=(*files.checks, *checks),
            notes=(*files.notes, *notes),
            ready_seconds=ready_seconds,
            server=proven_in,
        )


def _name(manifest: Manifest) -> str:
    """Return what the database is called: as it was, since statements of binary logs may name it."""
    saved = str(manifest.consistency.get("database") or _DATABASE)
    return _DATABASE if saved in _OF_THE_SERVER else saved


def _count(case: Case, login: MysqlLogin) -> tuple[list[Check], list[str]]:
    """Hold the rows of the loaded dump against those that were saved."""
    saved = case.manifest.consistency.get("rows")
    if not isinstance(saved, dict):
        return [], ["rows were not counted when this was saved (count_rows = false), so none were compared"]
    found = count_rows(login, case.limits.left_seconds("rows were counted"))
    wrong = differing_rows(saved, found)
    check = Check(
        what=f"tables with {counted(sum(found.values()), 'row')} counted against the record",
        looked_at=len({*saved, *found}),
        differing=len(wrong),
        names=tuple(wrong[:MOST_NAMED]),
    )
    return [check], []


def _look(case: Case, login: MysqlLogin) -> Iterator[Check]:
    """Ask the set's questions, and look through the tables."""
    if case.chosen.drill_questions:
        yield check_questions(login, case.chosen.drill_questions, case.limits)
    tables = base_tables(login, case.limits.left_seconds("tables were listed"))
    yield check_tables(login, case.limits, tables)


def check_tables(login: MysqlLogin, limits: Limits, tables: Sequence[str]) -> Check:
    """Look through tables and their indexes with CHECK TABLE."""
    wrong: dict[str, str] = {}
    if tables:
        question = "\n".join(f"CHECK TABLE {quoted(table)} EXTENDED;" for table in tables)
        rows = ask(login, question, limits.left_seconds("tables were looked through"), database=login.database)
        for row in rows:
            if len(row) != 4 or row[2] in ("error", "warning") or (row[2] == "status" and row[3] not in _GOOD):
                wrong.setdefault(row[0], f"{row[0]}: {' '.join(row[2:]):.{_WORDS}}")
    return Check(
        what="tables looked through by CHECK TABLE",
        looked_at=len(tables),
        differing=len(wrong),
        names=tuple(wrong.values())[:MOST_NAMED],
    )


def check_questions(login: MysqlLogin, questions: tuple[str, ...], limits: Limits) -> Check:
    """Ask what the set's owner wants to be true of it: each answers 1."""
    wrong = []
    for question in questions:
        try:
            rows = ask(
                login,
                f"SET SESSION TRANSACTION READ ONLY;\n{question.rstrip().rstrip(';')};",
                limits.left_seconds("the set's questions were asked"),
                database=login.database,
            )
            answer = " ".join(rows[0]) if rows else "no row"
        except SourceFailed as error:
            answer = str(error)
        if answer != "1":
            wrong.append(f"{question:.{_WORDS}}: {answer:.{_WORDS}}")
    return Check(what="questions answered", looked_at=len(questions), differing=len(wrong), names=tuple(wrong))
