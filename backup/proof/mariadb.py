"""Proves a MariaDB dump: a server is started in the scratch folder, the dump loaded, and asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from backup.errors import BackupDamaged, DestinationInUse, DrillFailed, NotInBackup, SourceFailed
from backup.loading.mariadb import load
from backup.loading.rows import differing_rows
from backup.proof.contract import MOST_NAMED, Check, Evidence
from backup.proof.mariadb_server import ScratchMariadb
from backup.proof.paths import prove_tree
from backup.sources.mariadb_client import ask, base_tables, count_rows, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backup.model import Manifest
    from backup.proof.contract import Case, Limits
    from backup.settings.source import MysqlLogin

_EMPTY_SERVER_BYTES: Final = 250 << 20
_SWOLLEN: Final = 1.5
_DATABASE: Final = "drill"
_WORDS: Final = 200
_GOOD: Final = frozenset({"OK", "Table is already up to date"})


class MariadbProver:
    """The dump's files are what was saved, it loads into an empty server, its tables are whole and have their rows."""

    source = "mariadb"

    def server(self, case: Case) -> ScratchMariadb:
        """Return the server to load into. Raises DrillFailed when there is none here."""
        return ScratchMariadb(case.scratch / "mariadb", case.settings.mariadb_programs, case.limits)

    def room_bytes(self, manifest: Manifest) -> int:
        """Return the room of a server with the database loaded."""
        known = manifest.consistency.get("database_bytes")
        size = known if isinstance(known, int) else 0
        return _EMPTY_SERVER_BYTES + int(_SWOLLEN * max(size, manifest.counts.bytes))

    def prove(self, case: Case) -> Evidence:
        """Compare, load, count, look through, ask. Raises DrillFailed, TimedOut."""
        files = prove_tree(case)
        began = time.monotonic()
        server = self.server(case)
        server.make()
        with server.running():
            login = server.login(_DATABASE)
            try:
                load(login, case.manifest, case.restored, case.limits.left_seconds("the dump was loaded"))
                ready_seconds = time.monotonic() - began
                checks, notes = _ask(case, login)
            except (BackupDamaged, DestinationInUse, NotInBackup, SourceFailed) as error:
                raise DrillFailed(f"the restored dump is no database that can be used: {error}") from error
        return Evidence(checks=(*files.checks, *checks), notes=(*files.notes, *notes), ready_seconds=ready_seconds)


def _ask(case: Case, login: MysqlLogin) -> tuple[list[Check], list[str]]:
    checks: list[Check] = []
    notes: list[str] = []
    saved = case.manifest.consistency.get("rows")
    if isinstance(saved, dict):
        found = count_rows(login, case.limits.left_seconds("rows were counted"))
        wrong = differing_rows(saved, found)
        checks.append(
            Check(
                what=f"tables with {sum(found.values())} rows counted against the record",
                looked_at=len({*saved, *found}),
                differing=len(wrong),
                names=tuple(wrong[:MOST_NAMED]),
            )
        )
    else:
        notes.append("rows were not counted when this was saved (count_rows = false), so none were compared")
    if case.chosen.drill_questions:
        checks.append(check_questions(login, case.chosen.drill_questions, case.limits))
    tables = base_tables(login, case.limits.left_seconds("tables were listed"))
    checks.append(check_tables(login, case.limits, tables))
    return checks, notes


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
