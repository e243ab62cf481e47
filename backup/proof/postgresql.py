"""Proves a PostgreSQL dump: a database is started in the scratch folder, the dump loaded, and asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from backup.errors import DestinationInUse, DrillFailed, SourceFailed
from backup.loading.postgresql import load
from backup.proof.cluster import ScratchCluster, server_programs
from backup.proof.contract import Evidence
from backup.proof.database_checks import check_questions, check_rows, check_structures
from backup.proof.paths import prove_tree
from backup.sources.postgresql import DUMP_FOLDER

if TYPE_CHECKING:
    from backup.model import Manifest
    from backup.proof.contract import Case, Check

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
        began = time.monotonic()
        cluster = ScratchCluster(
            case.scratch / "postgresql", server_programs(case.settings.postgresql_programs), case.limits
        )
        cluster.make()
        with cluster.running():
            login = cluster.login()
            try:
                load(login, dump, case.limits.left_seconds("the dump was loaded"))
                ready_seconds = time.monotonic() - began
                checks, notes = _ask(case, cluster)
            except (DestinationInUse, SourceFailed) as error:
                raise DrillFailed(f"the restored dump is no database that can be used: {error}") from error
        return Evidence(checks=(*files.checks, *checks), notes=(*files.notes, *notes), ready_seconds=ready_seconds)


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
