"""Proves a base backup and the WAL archived after it: the cluster comes up, recovers to the end, is read through."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from backup.errors import (
    BackupDamaged,
    DestinationInUse,
    DrillFailed,
    NotInBackup,
    ObjectMissing,
    SignatureBad,
    SourceFailed,
)
from backup.proof.contract import MOST_NAMED, Check, Evidence
from backup.proof.database_checks import check_questions, check_structures
from backup.proof.paths import prove_tree
from backup.proof.restored_cluster import RestoredCluster
from backup.proof.server_programs import folder_of, server_for_copy
from backup.proof.versions import POSTGRESQL, saved_version
from backup.sources.postgresql.dump import count_rows
from backup.sources.postgresql.psql import session
from backup.wal.choice import Until
from backup.wal.recovery import base_of, make_ready
from core.model.counting import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from backup.model import Manifest
    from backup.proof.contract import Case
    from backup.settings.source import PostgresqlSettings
    from backup.wal.recovery import Ready

_WAL_ROOM_BYTES: Final = 2 << 30  # how much WAL there is, only the target knows; the disk's own limit comes after that
_DATABASES: Final = "SELECT quote_ident(datname) FROM pg_database WHERE datallowconn ORDER BY datname;"


class PostgresqlBaseProver:
    """Files and pages are what was copied, no WAL is missing, the cluster comes up and all of it can be read."""

    source = "postgresql-base"

    def room_bytes(self, manifest: Manifest) -> int:  # noqa: ARG002 - the contract's
        """Return room for WAL; the cluster is started where it was restored."""
        return _WAL_ROOM_BYTES

    def prove(self, case: Case) -> Evidence:
        """Compare, fetch WAL, recover, read, ask. Raises DrillFailed, TimedOut."""
        record, named = case.manifest.consistency, case.settings.postgresql_programs
        server = server_for_copy(POSTGRESQL, named, saved_version(case.manifest))
        files = prove_tree(case)
        began = time.monotonic()
        try:
            ready = make_ready(case.station, case.manifest, case.restored, Until(), _within(case))
            cluster = RestoredCluster(
                case.scratch / "postgresql",
                ready.cluster,
                str(record.get("superuser")),
                folder_of(server),
                case.limits,
            )
            with cluster.running():
                ready_seconds = time.monotonic() - began
                checks, notes = _ask(case, cluster.login(), ready)
        except (BackupDamaged, DestinationInUse, NotInBackup, ObjectMissing, SignatureBad, SourceFailed) as error:
            raise DrillFailed(f"the restored cluster cannot be used: {error}") from error
        return Evidence(
            checks=(*files.checks, *checks),
            notes=(*files.notes, *notes),
            ready_seconds=ready_seconds,
            server=server,
        )


def _within(case: Case) -> Callable[[int, int], None]:
    """Return what stops the fetching of WAL when the drill's time is over."""

    def stop(done: int, wanted: int) -> None:
        case.limits.left_seconds(f"WAL was fetched, {done} of {wanted} files")

    return stop


def _ask(case: Case, login: PostgresqlSettings, ready: Ready) -> tuple[list[Check], list[str]]:
    with session(login, case.limits.left_seconds("databases were listed")) as psql:
        databases = [row[0] for row in psql.ask(_DATABASES)]
    checks = [_check_position(case, login, ready), _check_reading(case, login, databases)]
    notes = []
    for database in databases:
        structures = check_structures(replace(login, database=database), case.limits)
        if structures is None:
            notes.append("amcheck is not among this server's extensions: tables were read to their end, indexes not")
            break
        checks.append(replace(structures, what=f"{structures.what} in {database}"))
    if case.chosen.drill_questions:
        checks.append(check_questions(login, case.chosen.drill_questions, case.limits))
    if ready.reaches is None:
        notes.append("no WAL was archived after this base backup, so none was replayed")
    return checks, notes


def _check_position(case: Case, login: PostgresqlSettings, ready: Ready) -> Check:
    """Hold what recovery reached against where the archived WAL ends."""
    base = base_of(case.manifest)
    last = max(base.stop_lsn, ready.last_lsn or 0)
    with session(login, case.limits.left_seconds("the position was asked for")) as psql:
        ((found,),) = psql.ask("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn;")
    is_there = int(found) >= last
    return Check(
        what=f"recoveries through {counted(ready.segments, 'WAL segment')}",
        looked_at=1,
        differing=0 if is_there else 1,
        names=() if is_there else (f"it ended at byte {found} of the WAL, which goes on to {last}",),
    )


def _check_reading(case: Case, login: PostgresqlSettings, databases: list[str]) -> Check:
    """Read every table to its end: with data checksums each page is compared, without it has to be one at least."""
    tables = rows = 0
    wrong = []
    for database in databases:
        try:
            with session(replace(login, database=database), case.limits.left_seconds("tables were read")) as psql:
                found = count_rows(psql)
        except SourceFailed as error:
            wrong.append(f"{database}: {error}")
            continue
        tables += len(found)
        rows += sum(found.values())
    return Check(
        what=f"databases read, {counted(tables, 'table')} with {counted(rows, 'row')}",
        looked_at=len(databases),
        differing=len(wrong),
        names=tuple(wrong[:MOST_NAMED]),
    )
