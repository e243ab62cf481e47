"""Brings a restore point, or one path of it, back to this machine's disk: whole, or not at all."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from backup.engine.command import call, common_arguments
from backup.engine.process import demand_success, run_call
from backup.errors import Cancelled, EngineFailed, NotInBackup, ObjectMissing, TargetDiffers
from backup.model import Part
from backup.restoring.copies import DAMAGES, at_any_copy
from backup.restoring.damage import leave_note
from backup.restoring.growth import watched
from backup.restoring.machines import demand_path, holds_disks, put_together
from backup.restoring.placing import clear, demand_free, draft_beside, put_in_place
from backup.restoring.station import scratch_workplace
from backup.retention.marks import reading
from backup.targets.reading import read_sha256

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from backup.engine.command import Workplace
    from backup.engine.progress import Progress
    from backup.model import RestorePoint
    from backup.restoring.station import Station

_NOT_IN_BACKUP: Final = 19  # duplicity's ErrorCode.restore_path_not_found
_MOST_DEPTH: Final = 256
_MOST_NAMES, _MOST_NAME = 5, 200  # told when they could not be restored


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to restore, and where to. `path` is relative to the set's root; None: everything.

    to: a folder; a path is put into it under its own name, or everything as `name`. is_overwriting: files that are
    there already are replaced (others stay); without it the place must not hold what is restored.
    """

    path: PurePosixPath | None
    to: Path
    is_overwriting: bool = False
    name: str | None = None

    @property
    def final(self) -> Path:
        """Where it is afterwards."""
        last = self.name or (None if self.path is None else self.path.name)
        return self.to if last is None else self.to / last


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was brought back. `to` is the file or folder it is now. entries: how many duplicity brought below it.

    target: the name of the one all of it came from.
    """

    at: datetime
    to: Path
    files: int
    bytes: int
    entries: int
    target: str


def read_path(text: str) -> PurePosixPath | None:
    """Return a path in a backup as duplicity wants it: relative, without "." and "..". None for the whole set.

    Raises NotInBackup for what can be in no backup.
    """
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in text or len(parts) > _MOST_DEPTH:
        raise NotInBackup(f"{text!r} is no path in a backup: it must lead down from the set's root")
    return PurePosixPath(*parts) if parts else None


def restore(
    station: Station, point: RestorePoint, wanted: Wanted, on_progress: Callable[[Progress], None] | None = None
) -> Restored:
    """Restore `wanted` as it was at `point`, with owners (as root), modes and times. Blocks; hours are possible.

    Nothing is seen at the place before all of it is there; a failure leaves the place as it was. Raises
    DestinationInUse, NotInBackup, and what keys, target and duplicity raise. Cancelled says what is at the place then.
    """
    manifest = point.manifest
    station.demand_decryption(manifest)
    if wanted.path is not None:
        demand_path(manifest, wanted.path)
    final = wanted.final
    if not wanted.is_overwriting:
        demand_free(final)
    expected = manifest.counts.bytes if wanted.path is None else None
    is_putting = False
    try:
        with (
            reading(station, [manifest], "restored"),
            draft_beside(wanted.to) as draft,
            scratch_workplace(station.settings) as workplace,
        ):
            limit = station.chosen.time_limit.total_seconds()
            with watched(draft, expected, on_progress):
                fetching = Fetching(station, point, workplace, limit)
                target = fetch(fetching, wanted.path, draft / "restored", on_progress)
            made = draft / "restored"
            entries = sum(1 for _ in made.rglob("*"))
            if holds_disks(manifest) and wanted.path is None:
                put_together(manifest, made)
            files, size = measure(made)
            is_putting = True
            put_in_place(made, final, is_overwriting=wanted.is_overwriting)
    except Cancelled as error:
        left = f"{final} is as it was: nothing was put there"
        if is_putting:
            left = f"some of it may be at {final} already: restore again with --overwrite"
        raise Cancelled(f"{error}; {left}", is_asked_for=error.is_asked_for) from error
    return Restored(at=point.at, to=final, files=files, bytes=size, entries=entries, target=target)


def measure(top: Path) -> tuple[int, int]:
    """Return how many files, links and other things that are no folders lie at or below `top`, and their bytes."""
    if top.is_symlink() or not top.is_dir():
        return 1, top.lstat().st_size
    files = size = 0
    for folder, _, names in os.walk(top):
        for name in names:
            files += 1
            size += os.lstat(os.path.join(folder, name)).st_size  # noqa: PTH118 - 100,000 Path objects cost seconds
    return files, size


@dataclass(frozen=True, slots=True)
class Fetching:
    """What one call of duplicity restores from, where it may work, and how long it may take."""

    station: Station
    point: RestorePoint
    workplace: Workplace
    time_limit_seconds: float


def fetch(
    fetching: Fetching, path: PurePosixPath | None, to: Path, on_progress: Callable[[Progress], None] | None = None
) -> str:
    """Have duplicity restore a point, or `path` of it, to `to`, which must not be there. Its metadata stays cached.

    A target that is lost or damaged meanwhile is left for another that has the point, where it begins anew; damage is
    noted at the target that has it. Returns the name of the one all of it came from. Raises NotInBackup, and what keys,
    target and duplicity raise; something may lie at `to` then.
    """
    point, ends_at = fetching.point, time.monotonic() + fetching.time_limit_seconds

    def attempt(station: Station) -> str:
        if station is not fetching.station:
            _demand_point(station, point)
            for left_over in (to, fetching.workplace.cache):
                clear(left_over)
            fetching.workplace.cache.mkdir(mode=0o700)
        left = max(1.0, ends_at - time.monotonic())
        try:
            _fetch_from(replace(fetching, station=station, time_limit_seconds=left), path, to, on_progress)
        except DAMAGES as error:
            leave_note(station, point.manifest.chain, [str(error)])
            raise
        return station.chosen.target

    return at_any_copy(fetching.station, "restoring", attempt)


def _demand_point(station: Station, point: RestorePoint) -> None:
    """Return when a copy has the very same point, whole. Raises ObjectMissing."""
    whole = station.catalogue().whole
    if point.manifest not in (each.manifest for each in whole):
        newest = f"; its newest is {whole[-1].at.isoformat()}, which --at can ask for" if whole else ""
        raise ObjectMissing(f"there is no restore point of {point.at.isoformat()}{newest}")


def _fetch_from(
    fetching: Fetching, path: PurePosixPath | None, to: Path, on_progress: Callable[[Progress], None] | None
) -> None:
    station, point, manifest = fetching.station, fetching.point, fetching.point.manifest
    timeout = station.settings.find_target(station.chosen.target).timeout.total_seconds()
    options = [*common_arguments(fetching.workplace, signer=manifest.signer, timeout_seconds=timeout)]
    options += [*station.target.options(), "--time", str(int(manifest.at.timestamp()))]
    if path is not None:
        options.append(f"--path-to-restore={path}")  # one word: a name may begin with a dash
    if os.geteuid() != 0:
        options.append("--no-restore-ownership")  # only root may give files away
    action = ["restore", *options, station.target.url(station.place.chain(manifest.chain)), str(to)]
    outcome = run_call(
        call(action, station.ring.environment(), station.target.environment()),
        doing="restoring",
        time_limit_seconds=fetching.time_limit_seconds,
        on_progress=on_progress,
    )
    if path is not None and outcome.exit_code == _NOT_IN_BACKUP:
        raise NotInBackup(f"{path} is not in the restore point of {manifest.at.isoformat()}: bkp ls shows what is")
    if outcome.exit_code != 0:
        _demand_files(station, point)
    demand_success(outcome, "restoring")
    if lost := outcome.told.unreadable:  # duplicity goes on without them, and ends as if all were well
        names = ", ".join(name[-_MOST_NAME:] for name in outcome.told.unreadable_names[:_MOST_NAMES])
        raise EngineFailed(
            f"{lost} entries could not be restored here, so nothing was: {names}; try another --to, as root for"
            " devices, or bring the rest with --path"
        )
    if not os.path.lexists(to):
        raise EngineFailed("duplicity said that all is well, but nothing was restored")


def _demand_files(station: Station, point: RestorePoint) -> None:
    """Raise ObjectMissing when a file is gone that the point is made of, TargetDiffers when it is not what was sent.

    duplicity tells the one by a trace of its own, and the other of its lists by words of gpg's. Volumes are not read:
    it compares them itself.
    """
    chain = station.place.chain(point.manifest.chain)
    there = station.target.files(chain)
    needed = [
        volume
        for each in station.catalogue().points
        if each.manifest.chain == point.manifest.chain and each.manifest.position <= point.manifest.position
        for volume in each.manifest.volumes
    ]
    gone = [volume.name for volume in needed if volume.name not in there]
    if gone:
        more = f" and {len(gone) - 1} more are" if len(gone) > 1 else " is"
        raise ObjectMissing(
            f"{chain}/{gone[0]}{more} missing at the target, so the restore point of {point.at.isoformat()} cannot be"
            " restored. `bkp verify` shows what else is damaged; other points may be whole: choose one with --at"
        )
    for volume in needed:
        name = f"{chain}/{volume.name}"
        if there[volume.name] != volume.size_bytes or (
            volume.part is not Part.VOLUME and read_sha256(station.target, name)[0] != volume.sha256
        ):
            raise TargetDiffers(f"{name} is not what was sent there: `bkp verify --depth read` says what that costs")
