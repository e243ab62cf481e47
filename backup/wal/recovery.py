"""Makes a restored base backup ready to come up as of a moment: compared, its WAL beside it, its orders in it.

Beside the folder `cluster` the folder `wal` has every file recovery may ask for; the cluster copies them from there by
itself, without a key, without `bkp`, and wherever both folders are moved to together.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from backup.errors import (
    BackupDamaged,
    DestinationInUse,
    NoRestorePoint,
    NotInBackup,
    PointAmbiguous,
    SourceFailed,
)
from backup.notes.marks import reading
from backup.sources.postgresql.base import CLUSTER_FOLDER, MANIFEST_FILE
from backup.station.copies import at_any_copy
from backup.wal.archive import WalArchive
from backup.wal.choice import choose, read_base
from backup.when import local

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path

    from backup.catalogue import Catalogue
    from backup.model import Manifest, RestorePoint
    from backup.station.station import Station
    from backup.wal.choice import Base, Choice, Until
    from backup.when import When

KIND: Final = "postgresql-base"
WAL_FOLDER: Final = "wal"
_UNREADY: Final = "cluster.not-ready"  # it would come up as of the base backup, as if that were all
_PIECE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A cluster that can be started.

    reaches: when the last WAL of the archive was written; last_lsn: where the last segment fetched begins; None without
    any WAL.

    is_stopping: recovery ends at the moment asked for; otherwise it takes all the WAL there is.
    """

    cluster: Path
    segments: int
    reaches: datetime | None
    last_lsn: int | None
    is_stopping: bool
    has_config_outside: bool


def point_for(catalogue: Catalogue, when: When | None, until: Until) -> RestorePoint:
    """Return the restore point that `when` means; of a cluster the newest base backup that ended before the moment.

    A base backup that cannot be used costs no moment: the one before comes with more WAL. Raises PointRefused (not of a
    cluster's moment), NoRestorePoint, PointAmbiguous, NotInBackup (a position of a set that has no WAL).
    """
    newest = catalogue.newest()
    if until.lsn is None and (when is None or newest.manifest.source != KIND):
        return catalogue.chosen(when)
    if when is not None and when.also is not None:
        raise PointAmbiguous(f"{when.said!r} is two moments, as the clock was set back: say it with its zone, as …Z")
    for point in reversed(catalogue.whole):
        if until.at is not None and point.at <= until.at:
            return point
        if until.lsn is not None and base_of(point.manifest).stop_lsn <= until.lsn:
            return point
    raise NoRestorePoint(f"no base backup ended before that; the first is of {local(catalogue.whole[0].at)}")


def base_of(manifest: Manifest) -> Base:
    """Return where in the WAL a base backup is. Raises NotInBackup: the set saves something else."""
    if manifest.source != KIND:
        raise NotInBackup(f"set {manifest.set!r} saves {manifest.source}: it has no WAL")
    try:
        return read_base(manifest.consistency)
    except (KeyError, TypeError, ValueError) as error:
        raise NotInBackup(f"the record of the base backup cannot be understood: {error}") from error


def make_ready(
    station: Station,
    manifest: Manifest,
    restored: Path,
    until: Until,
    on_segment: Callable[[int, int], None] = lambda done, wanted: None,  # noqa: ARG005 - nobody listens
) -> Ready:
    """Bring the WAL for a base backup that was restored to `restored`, and write what recovery is to do.

    `on_segment` hears how many of how many files are there. Until all is done, the cluster's folder has another name.
    Raises BackupDamaged (a file is not as the base backup had it), ObjectMissing (a segment is not there), and what
    keys and target raise.
    """
    base = base_of(manifest)
    cluster, unready = restored / CLUSTER_FOLDER, restored / _UNREADY
    try:
        cluster.rename(unready)
        demand_same(unready)
        with reading(station, [manifest], "restored"):
            choice = _bring(station, manifest, restored / WAL_FOLDER, until, on_segment)
        _order(unready, choice, stop_settings(until, manifest.at))
        _give_away(unready, restored / WAL_FOLDER)
        unready.rename(cluster)
    except OSError as error:
        raise DestinationInUse(f"{error.filename or restored} cannot be written: {error.strerror}") from error
    return Ready(
        cluster=cluster,
        segments=sum(1 for each in choice.objects if each.is_segment),
        reaches=choice.reaches,
        last_lsn=max(
            (base.number(each) * base.segment_bytes for each in choice.objects if each.is_segment), default=None
        ),
        is_stopping=choice.is_target_needed,
        has_config_outside=bool(manifest.consistency.get("config_outside")),
    )


def _bring(
    station: Station, manifest: Manifest, folder: Path, until: Until, on_segment: Callable[[int, int], None]
) -> Choice:
    """Fetch what recovery needs into `folder`, all of it from one copy of the set; return what that is."""

    def attempt(at: Station) -> Choice:
        archive, choice = choose_wal(at, manifest, until)
        if at is not station:
            shutil.rmtree(folder, ignore_errors=True)
        _fetch(archive, choice, folder, on_segment)
        return choice

    return at_any_copy(station, "fetching the WAL", attempt)


def choose_wal(station: Station, manifest: Manifest, until: Until) -> tuple[WalArchive, Choice]:
    """Return the archive, and what of it a base backup needs. Raises ObjectMissing naming a gap, NotInBackup."""
    base = base_of(manifest)
    archive = WalArchive(station.target, station.place, station.ring, base.system_identifier)
    return archive, choose(base, archive.objects(base.first), until)


def demand_same(cluster: Path) -> None:
    """Compare every file with the base backup's own manifest, by size and SHA-256. Raises BackupDamaged."""
    try:
        files = json.loads((cluster / MANIFEST_FILE).read_text(encoding="utf-8"))["Files"]
        for entry in files:
            # PostgreSQL writes a path as hex when it is not UTF-8.
            name = os.fsdecode(bytes.fromhex(entry["Encoded-Path"])) if "Encoded-Path" in entry else entry["Path"]
            if entry.get("Checksum-Algorithm") != "SHA256":
                raise BackupDamaged(f"{MANIFEST_FILE} has no SHA-256 of {name}")
            if _digest(cluster / name) != entry["Checksum"]:
                raise BackupDamaged(f"{name} of the restored cluster is not as the base backup had it")
    except FileNotFoundError as error:
        raise BackupDamaged(f"{error.filename} is missing in the restored cluster") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BackupDamaged(f"{MANIFEST_FILE} of the restored cluster cannot be understood: {error}") from error


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE_BYTES):
            found.update(piece)
    return found.hexdigest()


def _fetch(archive: WalArchive, choice: Choice, folder: Path, on_segment: Callable[[int, int], None]) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    for done, each in enumerate(choice.objects, 1):
        path = folder / each.wal
        path.touch(mode=0o600)
        path.write_bytes(archive.fetch(each))
        on_segment(done, len(choice.objects))


def stop_settings(until: Until, named: datetime) -> Mapping[str, str]:
    """Return the settings by which recovery of a base backup, `named` by its instant, stops at a moment or position.

    An instant is a whole second, and the base backup may have ended later in it: that name means its own end.
    """
    if until.lsn is not None:
        return {"recovery_target_lsn": f"{until.lsn >> 32:X}/{until.lsn & 0xFFFFFFFF:X}"}
    if until.at is None:
        return {}
    return {"recovery_target_time": until.at.isoformat()} if until.at > named else {"recovery_target": "immediate"}


def _order(cluster: Path, choice: Choice, stopping: Mapping[str, str]) -> None:
    """Tell the cluster to recover from the folder beside it, where to stop when that is needed, and to archive nothing.

    A restored copy that archived to the set of the one it was made from would mix two histories.
    """
    settings = {"archive_mode": "off"}
    if choice.reaches is not None:  # else the base backup comes up with the WAL it has in itself
        settings["restore_command"] = f"cp ../{WAL_FOLDER}/%f %p"
        (cluster / "recovery.signal").touch(mode=0o600)
    if choice.is_target_needed:
        settings |= {"recovery_target_action": "promote", **stopping}
    with (cluster / "postgresql.auto.conf").open("a", encoding="utf-8") as file:
        file.write("# Written by bkp restore.\n")
        file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())


def _give_away(cluster: Path, wal: Path) -> None:
    """Give what was written here to whom the cluster belongs."""
    if os.geteuid() != 0:
        return
    owner = cluster.stat()
    for path in (cluster / "recovery.signal", wal, *wal.iterdir()):
        if path.exists():
            os.chown(path, owner.st_uid, owner.st_gid)


def fetch_one(station: Station, wal: str, to: Path) -> None:
    """Fetch one WAL file, as a restore_command asks for it. Raises ObjectMissing when there is none: that is normal.

    The cluster is that of the newest base backup.
    """
    manifest = station.catalogue().newest().manifest
    station.demand_decryption(manifest)
    archive = WalArchive(station.target, station.place, station.ring, base_of(manifest).system_identifier)
    content = archive.get(wal)
    try:
        to.write_bytes(content)
    except OSError as error:
        raise SourceFailed(f"{to} cannot be written: {error.strerror}") from error
