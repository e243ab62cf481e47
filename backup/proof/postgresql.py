"""Proves a PostgreSQL dump: a database is started in the scratch folder, the dump loaded, and asked."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from backup.errors import DestinationInUse, DrillFailed, SourceFailed
from backup.loading.archive import load_archive
from backup.proof.cluster import ScratchCluster
from backup.proof.contract import Evidence
from backup.proof.database_checks import check_questions, check_rows, check_structures
from backup.proof.paths import prove_tree
from backup.proof.server_programs import folder_of, programs_here, server_for_dump
from backup.proof.versions import POSTGRESQL, saved_version
from backup.runtime.child import Program, run
from backup.sources.postgresql.dump import DUMP_FOLDER

if TYPE_CHECKING:
    from pathlib import Path

    from backup.model import Manifest
    from backup.proof.contract import Case, Check, Limits
    from backup.proof.versions import ProvenIn

_EMPTY_CLUSTER_BYTES: Final = 200 << 20
_SWOLLEN: Final = 1.5  # rows without the server's own gaps, but indexes are made beside their tables


class PostgresqlProver:
    """The dump's files are what was saved, it loads into an empty server, tables have the rows that were counted."""

    source = "postgresql"

    def room_bytes(self, manifest: Manifest) -> int:
        """Return the room of a server with the database loaded."""
        known = manifest.consistency.get("database_bytes")
        size = known if isinstance(known, int) else 2 * manifest.counts.bytes
        return _EMPTY_CLUSTER_BYTES + int(_SWOLLEN * size)

    def prove(self, case: Case) -> Evidence:
        """Compare, load, count, look through, ask. Raises DrillFailed, TimedOut."""
        files = prove_tree(case)
        dump = case.restored / DUMP_FOLDER
        if not dump.is_dir():
            raise DrillFailed(f"there is no {DUMP_FOLDER}/ in what was restored, so no dump")
        server = server_for_dump(POSTGRESQL, case.settings.postgresql_programs, saved_version(case.manifest))
        began = time.monotonic()
        cluster = ScratchCluster(case.scratch / "postgresql", folder_of(server), case.limits)
        cluster.make()
        with cluster.running():
            loading = replace(cluster.login(), binaries=_reader(case, server, dump))
            try:
                load_archive(loading, dump, (), time_limit_seconds=case.limits.left_seconds("the dump was loaded"))
                ready_seconds = time.monotonic() - began
                checks, notes = _ask(case, cluster)
            except (DestinationInUse, SourceFailed) as error:
                raise DrillFailed(
                    f"the restored dump is no database that can be used{server.doubt()}: {error}"
                ) from error
        return Evidence(
            checks=(*files.checks, *checks),
            notes=(*files.notes, *notes),
            ready_seconds=ready_seconds,
            server=server,
        )


def _reader(case: Case, server: ProvenIn, dump: Path) -> Path:
    """Return the folder of the pg_restore to load with: the server's own, else the newest that can read the dump.

    A host may have dumped by a newer pg_dump than its server is, and no older pg_restore reads what that writes.
    """
    own = folder_of(server)
    if _reads(own / "pg_restore", dump, case.limits):
        return own
    others = programs_here(POSTGRESQL, case.settings.postgresql_programs)
    newest = sorted(others, key=lambda each: POSTGRESQL.series(each.version), reverse=True)
    folders = [each.folder for each in newest if each.folder is not None]
    return next((each for each in folders if _reads(each / "pg_restore", dump, case.limits)), own)


def _reads(program: Path, dump: Path, limits: Limits) -> bool:
    listing = Program(
        arguments=[str(program), "--list", str(dump)],
        environment={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8"},
        doing="reading the dump",
    )
    try:
        return run(listing, time_limit_seconds=limits.left_seconds("the dump was read")).exit_code == 0
    except OSError:  # a folder with a server's programs alone
        return False


def _ask(case: Case, cluster: ScratchCluster) -> tuple[list[Check], list[str]]:
    login = cluster.login()
    checks: list[Check] = []
    notes: list[str] = []
    saved = case.manifest.consistency.get("rows")
    if isinstance(saved, dict):
        checks.append(check_rows(login, saved, case.limits))
    else:
        notes.append("rows were not counted when this was saved (count_rows = false), so none were compared")
    if case.chosen.drill_questions:
        checks.append(check_questions(login, case.chosen.drill_questions, case.limits))
    structures = check_structures(login, case.limits)
    if structures is None:
        notes.append("amcheck is not among this server's extensions; loading made every index anew")
    else:
        checks.append(structures)
    return checks, notes
