"""A drill: a restore point is restored into a scratch place, proven by its kind of source's prover, thrown away.

Invariants: only evidence makes a drill OK, and only after it was written down; whatever else happens, the last proof
stays as old as it was. The scratch place is cleared before a drill and after it, so that one that was killed leaves
nothing for longer than until the next.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from backup.engine.command import Workplace
from backup.errors import BackupError, DrillFailed, TargetDiffers, WorkFailed
from backup.model import Role, Status
from backup.notes.damage import leave_note
from backup.notes.marks import reading
from backup.proof.contract import Case, Limits
from backup.proof.record import DrillBook, DrillRecord
from backup.proof.registry import prover_of
from backup.restoring.fetching import Fetching, fetch
from backup.restoring.restore import measure
from backup.runtime.clearing import clear
from backup.runtime.durable import hold_lock
from backup.saving.cache import local_name
from backup.saving.leftovers import chain_manifests
from backup.station.station import elsewhere, say
from backup.targets.reading import read_sha256
from core.runtime.logging import Log

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from backup.catalogue import Catalogue
    from backup.engine.progress import Progress
    from backup.model import Manifest, RestorePoint
    from backup.proof.contract import Evidence, Prover
    from backup.station.station import Station
    from backup.when import When

log = Log("bkp")

_BLOCK_BYTES: Final = 4096  # what an entry takes at least
_FOLDERS: Final = ("restored", "cache", "temporary", "proof")


def drill(
    station: Station,
    *,
    at: When | None = None,
    due_at: datetime | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> DrillRecord:
    """Prove the newest point not after `at`; return its record with status OK. Blocks; hours are possible.

    A failure raises the BackupError that says why, after the state file has it: DrillFailed when the point differs or
    does not come up, else what stood in the way. The state is kept of the newest point of sets in the configuration.
    """
    place = station.place
    station.demand_station()
    is_kept = at is None and station.settings.has_set(station.chosen)
    book = DrillBook(station.settings.state, place, is_kept=is_kept)
    started_at = datetime.now(UTC)
    record = DrillRecord(due_at=due_at or started_at, status=Status.RUNNING, started_at=started_at, pid=os.getpid())
    lock = station.settings.work / "drill-locks" / place.host / f"{place.set}.lock"
    with hold_lock(lock, f"the drill of {place.host}/{place.set}"):
        book.note(record)
        try:
            record = _prove(station, at, record, on_progress)
        except BackupError as error:
            _note_failure(book, record, str(error), error.exit_code)
            raise
        except OSError as error:
            failure = WorkFailed(f"this machine's disk is in the way: {error}")
            _note_failure(book, record, str(failure), failure.exit_code)
            raise failure from error
        except BaseException:
            _note_failure(book, record, "a defect of Watchkeep: its output says where", BackupError.exit_code)
            raise
        if record.status is not Status.OK:
            book.note(record)
            raise DrillFailed(record.error or "it proved nothing")
        book.note(record)
        if record.point is not None:
            book.predict(record.point, record.size_bytes or 0)
    return record


def _note_failure(book: DrillBook, record: DrillRecord, words: str, exit_code: int) -> None:
    """Write down that it failed; a disk that cannot take even that leaves a record of a drill that never ended."""
    with contextlib.suppress(BackupError):
        book.note(record.with_failure(words, exit_code))


def _prove(
    station: Station, at: When | None, record: DrillRecord, on_progress: Callable[[Progress], None] | None
) -> DrillRecord:
    settings = station.settings.drills
    limits = Limits(deadline=time.monotonic() + settings.time_limit.total_seconds(), memory_bytes=int(settings.memory))
    catalogue = station.catalogue()
    if at is None and catalogue.to_come:
        say(catalogue.said_of(catalogue.to_come))  # it would be the newest for as long as the clock was ahead
    point = (catalogue if at is not None else catalogue.without_to_come()).chosen(at)
    manifest = point.manifest
    record = replace(record, point=point.at, source=manifest.source, size_bytes=manifest.counts.bytes)
    prover = prover_of(manifest.source)
    station.demand_decryption(manifest)
    scratch = _scratch_of(station)
    clear(scratch)
    try:
        for name in _FOLDERS:
            (scratch / name).mkdir(mode=0o700, parents=True)
        scratch.chmod(0o700)
        _demand_room(station, scratch, manifest, prover)
        workplace = Workplace(cache=scratch / "cache", temporary=scratch / "temporary")
        began = time.monotonic()
        with reading(station, [manifest], "drilled"):
            came_from = fetch(
                Fetching(station, point, workplace, limits.left_seconds("it was restored"), needs_signatures=True),
                None,
                scratch / "restored" / "root",
                on_progress,
                partial(_demand_signatures, catalogue, point),
            )
        restore_seconds = time.monotonic() - began
        files, size = measure(scratch / "restored" / "root")
        record = replace(record, files=files, restored_bytes=size, restore_seconds=round(restore_seconds, 3))
        evidence = prover.prove(
            Case(
                manifest=manifest,
                restored=scratch / "restored" / "root",
                scratch=scratch / "proof",
                signatures=_signatures(scratch / "cache", catalogue, point),
                settings=settings,
                chosen=station.chosen,
                station=station,
                limits=limits,
            )
        )
        if wrong := [name for check in evidence.checks if check.is_of_chain for name in check.names]:
            with elsewhere(station, came_from) as damaged:
                leave_note(damaged, manifest.chain, wrong)
        return _judge(record, evidence)
    finally:
        _clear_quietly(scratch)


def _judge(record: DrillRecord, evidence: Evidence) -> DrillRecord:
    record = replace(record, evidence=evidence, ready_seconds=round(evidence.ready_seconds, 3))
    if not evidence.is_good:
        return record.with_failure(
            f"the restore point is not what was saved: {evidence.words()}", DrillFailed.exit_code
        )
    return replace(record, status=Status.OK, ended_at=datetime.now(UTC))


def _scratch_of(station: Station) -> Path:
    top = station.settings.drills.scratch
    folder = station.settings.work / "drills" if top is None else top / "watchkeep-drills"
    return folder / station.place.host / station.place.set


def _demand_room(station: Station, scratch: Path, manifest: Manifest, prover: Prover) -> None:
    """Raise WorkFailed when the scratch folder's disk has not the room for all of it."""
    volume = max((each.size_bytes for each in manifest.volumes), default=0)
    needed = manifest.counts.bytes + _BLOCK_BYTES * manifest.counts.entries + prover.room_bytes(manifest)
    needed += 3 * volume * len(manifest.parts)
    keep = int(station.settings.drills.keep_free)
    free = shutil.disk_usage(scratch).free
    if free < needed + keep:
        raise WorkFailed(
            f"the drill needs {needed >> 20} MiB and leaves {keep >> 20} MiB free (drills.keep_free), but {scratch} has"
            f" {free >> 20} MiB: name a larger place as drills.scratch"
        )


def _signatures(cache: Path, catalogue: Catalogue, point: RestorePoint) -> tuple[tuple[Path, ...], ...]:
    """Return duplicity's signature files up to a point, the full's first, of each part.

    Raises DrillFailed when one is missing.
    """
    files: dict[str, list[Path]] = {part: [] for part in point.manifest.parts}
    for manifest in chain_manifests(catalogue, point.manifest.chain):
        if manifest.position <= point.manifest.position:
            if manifest.parts != point.manifest.parts:
                raise DrillFailed(f"the manifests of chain {manifest.chain} speak of other parts than {manifest.name}")
            for volume in manifest.volumes:
                if volume.role is Role.SIGNATURES:
                    files[volume.part].append(cache / local_name(volume.name))
    gone = [file.name for each in files.values() for file in each if not file.exists()]
    if gone or not all(files.values()):
        raise DrillFailed(f"duplicity restored without its signatures {', '.join(gone)}: nothing to compare with")
    return tuple(tuple(each) for each in files.values())


def _demand_signatures(catalogue: Catalogue, point: RestorePoint, station: Station) -> None:
    """Return when a copy has the signatures that were sent. Raises TargetDiffers.

    All else that is restored was held against what the signed manifests name. A drill goes by these, and duplicity only
    looks who signed them.
    """
    for manifest in chain_manifests(catalogue, point.manifest.chain):
        for volume in manifest.volumes:
            name = f"{station.place.chain(manifest.chain)}/{volume.name}"
            if (
                volume.role is Role.SIGNATURES
                and manifest.position <= point.manifest.position
                and read_sha256(station.target, name)[0] != volume.sha256
            ):
                raise TargetDiffers(f"{name} is not what was sent there, so nothing can be compared with it")


def _clear_quietly(folder: Path) -> None:
    """Clear at the end: what cannot go now stops the next drill, and is told by then."""
    try:
        clear(folder)
    except WorkFailed as error:
        log.warning("The scratch folder of a drill could not be cleared", error=error)
