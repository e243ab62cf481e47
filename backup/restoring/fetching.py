"""Has duplicity restore a point, or one path of it, to a place of its own: of several parts, side by side.

A copy that is lost or damaged meanwhile is left for another one of the set.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from backup.catalogue import read_runs
from backup.chain import files_of_chain
from backup.cut import parts_with, read_cut
from backup.engine.command import call, common_arguments
from backup.engine.names import volume_number
from backup.engine.process import demand_success, run_calls
from backup.engine.standstill import Standstill
from backup.errors import EngineFailed, NotInBackup, ObjectMissing, TargetAway, TargetDiffers, WorkFailed
from backup.model import Role
from backup.notes.damage import leave_note
from backup.restoring.harm import demand_files, missing
from backup.restoring.joining import join
from backup.restoring.stand_ins import has_signatures, lay_missing, lay_stand_ins
from backup.runtime.clearing import clear
from backup.saving.cache import local_name
from backup.saving.comparison import volume_sums
from backup.spelling import shown
from backup.station.copies import DAMAGES, at_any_copy
from backup.when import local
from core.model.counting import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path, PurePosixPath

    from backup.engine.command import Call, Workplace
    from backup.engine.process import Outcome
    from backup.engine.progress import Progress
    from backup.errors import BackupError
    from backup.model import Manifest, RestorePoint
    from backup.station.station import Station

_NOT_IN_BACKUP: Final = 19  # duplicity's ErrorCode.restore_path_not_found
_MOST_NAMES, _MOST_NAME = 5, 200  # told when they could not be restored


@dataclass(frozen=True, slots=True)
class Fetching:
    """What duplicity restores from, where it may work, how long it may take, and what a full disk at the place is.

    needs_signatures: whether the signatures of the point's runs are to lie in the workplace's cache afterwards.
    """

    station: Station
    point: RestorePoint
    workplace: Workplace
    time_limit_seconds: float
    full: type[BackupError] = WorkFailed
    needs_signatures: bool = False

    def standstill(self, place: Path) -> Standstill:
        """Return what watches a duplicity that restores into `place`."""
        return Standstill({place: self.full, self.workplace.temporary: WorkFailed, self.workplace.cache: WorkFailed})


def fetch(
    fetching: Fetching,
    path: PurePosixPath | None,
    to: Path,
    on_progress: Callable[[Progress], None] | None = None,
    demand: Callable[[Station], None] = lambda station: None,  # noqa: ARG005 - nothing else
) -> str:
    """Have duplicity restore a point, or `path` of it, to `to`, which must not be there. Its manifests stay cached.

    Parts are restored beside `to`, as many at once as there are processors, and put together then. A target that is
    lost or damaged meanwhile is left for another that has the point, where it begins anew; damage is noted at the
    target that has it. `demand`: raises what else is damaged of the copy it came from. Returns the name of the target
    that all of it came from. Raises NotInBackup, and what keys, target and duplicity raise; something may lie at `to`
    and beside it then.
    """
    point, ends_at = fetching.point, time.monotonic() + fetching.time_limit_seconds
    places = _places(point.manifest, path, to)

    def attempt(station: Station) -> str:
        if station is not fetching.station:
            for left_over in (to, *places.values(), fetching.workplace.cache):
                clear(left_over)
            fetching.workplace.cache.mkdir(mode=0o700)
        left = max(1.0, ends_at - time.monotonic())
        try:
            _fetch_from(replace(fetching, station=station, time_limit_seconds=left), path, to, places, on_progress)
            demand(station)
        except DAMAGES as error:
            leave_note(station, point.manifest.chain, [str(error)])
            raise
        return station.chosen.target

    return at_any_copy(fetching.station, "restoring", attempt, [point])


def _places(manifest: Manifest, path: PurePosixPath | None, to: Path) -> dict[str, Path]:
    """Return where each part is restored that may hold something of a path."""
    parts = parts_with(manifest, path)
    return {part: to.with_name(f"{to.name}.{part}") if len(parts) > 1 else to for part in parts}


def _fetch_from(
    fetching: Fetching,
    path: PurePosixPath | None,
    to: Path,
    places: Mapping[str, Path],
    on_progress: Callable[[Progress], None] | None,
) -> None:
    station = fetching.station
    runs = read_runs(station.target, station.place, station.ring, fetching.point.manifest)
    there = files_of_chain(station.target, station.place, fetching.point.manifest.chain)
    _demand_lists(station, fetching.point, there)
    lay_stand_ins(fetching.workplace.cache, there, fetching.point.at, needs_signatures=fetching.needs_signatures)
    if not fetching.needs_signatures:
        signatures = [each.name for run in runs for each in run.volumes if each.role is Role.SIGNATURES]
        lay_missing(fetching.workplace.cache, (name for name in signatures if name not in there))
    parts = list(places)
    deadline = time.monotonic() + fetching.time_limit_seconds
    at_once = os.cpu_count() or 1
    made: list[Path] = []
    standstill = fetching.standstill(to.parent)
    for first in range(0, len(parts), at_once):
        some = parts[first : first + at_once]
        outcomes = run_calls(
            [_call(fetching, part, path, places[part]) for part in some],
            doing="restoring",
            time_limit_seconds=deadline - time.monotonic(),
            on_progress=on_progress,
            also_good=(_NOT_IN_BACKUP,),
            watch=standstill.look,
        )
        for each in outcomes:
            if each.exit_code not in (0, _NOT_IN_BACKUP) or each.told.unreadable:
                standstill.demand_room(each.log)
        made += [places[some[each.number]] for each in outcomes if _has_restored(fetching, each, some[each.number])]
    for run in runs:
        _demand_own(fetching, run, parts)
    if not made:
        at = local(fetching.point.at)
        raise NotInBackup(
            f"{shown(str(path))} is not in the restore point of {at}: bkp ls shows what is, bkp find looks in all"
        )
    if not all(os.path.lexists(each) for each in made):
        raise EngineFailed("duplicity said that all is well, but nothing was restored")
    if len(parts) > 1:
        join(made, to)


def _demand_lists(station: Station, point: RestorePoint, there: Collection[str]) -> None:
    """Return when duplicity's list of volumes lies there for every part of the run. Raises ObjectMissing, TargetAway.

    Without one duplicity restores the run before, of that part, and calls it well.
    """
    manifest = point.manifest
    folder = station.place.chain(manifest.chain)
    for volume in manifest.volumes:
        if volume.role is Role.MANIFEST and volume.name not in there:
            _demand_unlisted(station, f"{folder}/{volume.name}")
            raise missing(station, point, [volume.name])


def _demand_own(fetching: Fetching, run: Manifest, parts: Collection[str]) -> None:
    """Return when duplicity went by the lists of volumes that the signed manifest of a run was made with.

    Whoever may write at a target can put an older run under a newer one's names: all of it is encrypted and signed.
    Raises TargetDiffers; ObjectMissing when duplicity knew of no such run, or left it out for want of signatures.
    """
    station = fetching.station
    folder = station.place.chain(run.chain)
    for each in run.volumes:
        if (
            each.role is Role.SIGNATURES
            and each.part in parts
            and not has_signatures(fetching.workplace.cache, each.name)
        ):
            raise missing(station, fetching.point, [each.name])
        if each.role is Role.MANIFEST and each.part in parts:
            listing = fetching.workplace.cache / local_name(each.name)
            if not listing.exists():
                raise missing(station, fetching.point, [each.name])
            listed = volume_sums(listing.read_bytes())
            sent = {volume_number(volume.name): volume.sha1 for volume in run.volumes
                    if volume.role is Role.VOLUME and volume.part == each.part}  # fmt: skip
            if listed != sent:
                raise TargetDiffers(
                    f"{folder}/{each.name} is of another run than the one that was signed under its name"
                )


def _demand_unlisted(station: Station, name: str) -> None:
    """Return when a file is not there at all. Raises TargetAway when only the target's list lacks it: that may lag."""
    try:
        station.target.stat(name)
    except ObjectMissing:
        return
    raise TargetAway(f"{name} is there, but the target's list does not show it yet: try again in a minute")


def _call(fetching: Fetching, part: str, path: PurePosixPath | None, to: Path) -> Call:
    station, manifest = fetching.station, fetching.point.manifest
    timeout = station.settings.find_target(station.chosen.target).timeout.total_seconds()
    workplace = fetching.workplace.of_part(part)
    options = [*common_arguments(workplace, signer=manifest.signer, timeout_seconds=timeout)]
    options += [*station.target.options(), "--time", str(int(manifest.at.timestamp()))]
    if path is not None:
        options.append(f"--path-to-restore={path}")  # one word: a name may begin with a dash
    if os.geteuid() != 0:
        options.append("--no-restore-ownership")  # only root may give files away
    action = ["restore", *options, station.target.url(station.place.part(manifest.chain, part)), str(to)]
    return call(action, station.ring.environment(), station.target.environment())


def _has_restored(fetching: Fetching, outcome: Outcome, part: str) -> bool:
    """Return whether a part holds what was asked for, and restored it. Raises what it failed of."""
    if outcome.exit_code == _NOT_IN_BACKUP:
        return False
    if outcome.exit_code != 0:
        needs = fetching.needs_signatures
        demand_files(fetching.station, fetching.point, outcome.log, needs_signatures=needs)
    said = read_cut(fetching.point.manifest.consistency).said(part)
    demand_success(outcome, f"restoring{said}")
    if lost := outcome.told.unreadable:  # duplicity goes on without them, and ends as if all were well
        names = ", ".join(name[-_MOST_NAME:] for name in outcome.told.unreadable_names[:_MOST_NAMES])
        raise EngineFailed(
            f"{counted(lost, 'entry')}{said} could not be restored here, so nothing was: {names}; try another"
            " --to, as root for devices, or bring the rest with --path"
        )
    return True
