"""Where the journal and the manifests disagree, the manifests are right."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from backup.model import Status, instant_name
from backup.snapshots.record import moments

if TYPE_CHECKING:
    from backup.catalogue import Catalogue
    from backup.model import Manifest, RunRecord
    from backup.saving.journal import Journal

_ENDED: Final = (Status.KILLED, Status.CANCELLED, Status.FAILED)


def mend_records(journal: Journal, catalogue: Catalogue) -> None:
    """Turn the record of a run to OK whose point is in `catalogue`, at every target of its set: it is a good one."""
    by_due = {instant_name(point.manifest.due_at): point.manifest for point in catalogue.points}
    for record in journal.newest():
        manifest = by_due.get(instant_name(record.id.due_at))
        if manifest is not None and record.status in _ENDED and record.chain == manifest.chain:
            mended = replace(
                record, status=Status.OK, ended_at=manifest.finished_at, error=None, exit_code=None, missing_at=()
            )
            journal.write(with_figures(mended, manifest))


def with_figures(record: RunRecord, manifest: Manifest) -> RunRecord:
    """Return a record with what its run's manifest says."""
    return replace(
        record,
        at=manifest.at,
        stored_bytes=manifest.stored_bytes,
        source_bytes=manifest.counts.bytes,
        entries=manifest.counts.entries,
        unreadable=manifest.counts.unreadable,
        moments=moments(manifest.consistency),
    )
