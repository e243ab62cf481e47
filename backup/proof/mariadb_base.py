"""Proves a copied MariaDB server: it starts on the restored files, every table is looked through."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from backup.errors import DrillFailed, SourceFailed
from backup.proof.contract import MOST_NAMED, Check, Evidence
from backup.proof.mariadb import check_questions, check_tables
from backup.proof.paths import prove_tree
from backup.proof.replayed_logs import check_logs
from backup.proof.restored_mariadb import RestoredMariadb
from backup.proof.server_programs import server_for_copy
from backup.proof.versions import MARIADB, saved_version
from backup.sources.mysql.client import ask, base_tables, count_rows, text_of
from backup.sources.mysql.mariadb_base import DATA_FOLDER, KIND
from core.model.counting import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from backup.model import Manifest
    from backup.proof.contract import Case, Limits
    from backup.proof.mariadb_server import ScratchMariadb
    from backup.settings.source import MysqlLogin

_SERVER_BYTES: Final = 250 << 20  # its redo log, temporary tablespace, undo
_DATABASES: Final = """
SELECT HEX(schema_name) FROM information_schema.schemata
 WHERE schema_name NOT IN ('information_schema', 'performance_schema') ORDER BY schema_name;
"""


class MariadbBaseProver:
    """Files are what was copied, a server comes up on them, its tables are whole and can be read."""

    source = KIND

    def room_bytes(self, manifest: Manifest) -> int:  # noqa: ARG002 - the contract's
        """Return what a server makes beside its data; it is started where they were restored."""
        return _SERVER_BYTES

    def prove(self, case: Case) -> Evidence:
        """Compare, start, look through, read, ask. Raises DrillFailed, TimedOut."""
        data, record = case.restored / DATA_FOLDER, case.manifest.consistency
        proven_in = server_for_copy(MARIADB, case.settings.mariadb_programs, saved_version(case.manifest))
        files = prove_tree(case)
        began = time.monotonic()
        server = RestoredMariadb(case.scratch / "mariadb", data, record, proven_in.programs.folder, case.limits)
        with server.running():
            try:
                replayed = check_logs(case, server.login("mysql"), None, has_accounts=False)
                ready_seconds = time.monotonic() - began
                checks, notes = _ask(case, server)
            except SourceFailed as error:
                raise DrillFailed(f"the restored server cannot be used: {error}") from error
        checks += [] if replayed is None else [replayed]
        return Evidence(
            checks=(*files.checks, *checks),
            notes=(*files.notes, *notes),
            ready_seconds=ready_seconds,
            server=proven_in,
        )


def _ask(case: Case, server: ScratchMariadb) -> tuple[list[Check], list[str]]:
    limits, others = case.limits, _others(case.manifest)
    rows = ask(server.login("mysql"), _DATABASES, limits.left_seconds("databases were listed"))
    databases = [text_of(row[0]) for row in rows]
    checks = [_read(server, databases, others, limits), _look_through(server, databases, others, limits)]
    if case.chosen.drill_questions:
        checks.append(check_questions(server.login("mysql"), case.chosen.drill_questions, limits))
    notes = [f"left out: {counted(len(others), 'table')} of an engine whose files nothing assures"] if others else []
    return checks, notes


def _others(manifest: Manifest) -> frozenset[str]:
    """Return the tables of other engines, as DATABASE.TABLE; the host named them to people at the run."""
    found = manifest.consistency.get("other_engines")
    listed = found.values() if isinstance(found, dict) else ()
    return frozenset(str(name) for names in listed if isinstance(names, list) for name in names)


def _read(server: ScratchMariadb, databases: Sequence[str], others: frozenset[str], limits: Limits) -> Check:
    """Count the rows of every table, which reads each to its end."""
    tables = rows = 0
    wrong = []
    for database in databases:
        try:
            login = server.login(database)
            names = _tables(login, others, limits)
            rows += sum(count_rows(login, limits.left_seconds("tables were read"), names).values())
            tables += len(names)
        except SourceFailed as error:
            wrong.append(f"{database}: {error}")
    return Check(
        what=f"databases read, {counted(tables, 'table')} with {counted(rows, 'row')}",
        looked_at=len(databases),
        differing=len(wrong),
        names=tuple(wrong[:MOST_NAMED]),
    )


def _look_through(server: ScratchMariadb, databases: Sequence[str], others: frozenset[str], limits: Limits) -> Check:
    """Hold every index of every table against its rows."""
    logins = [server.login(database) for database in databases]
    found = [check_tables(login, limits, _tables(login, others, limits)) for login in logins]
    return Check(
        what="tables looked through by CHECK TABLE",
        looked_at=sum(check.looked_at for check in found),
        differing=sum(check.differing for check in found),
        names=tuple(name for check in found for name in check.names)[:MOST_NAMED],
    )


def _tables(login: MysqlLogin, others: frozenset[str], limits: Limits) -> list[str]:
    tables = base_tables(login, limits.left_seconds("tables were listed"))
    return [name for name in tables if f"{login.database}.{name}" not in others]
