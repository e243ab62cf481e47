"""Brings a restore point, or one path of it, back to this machine's disk: whole, or not at all."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backup.errors import Cancelled, DestinationInUse
from backup.notes.marks import reading
from backup.restoring.fetching import Fetching, fetch
from backup.restoring.forecast import forecast
from backup.restoring.growth import watched
from backup.restoring.machines import demand_path, holds_disks, put_together
from backup.restoring.placing import demand_free, demand_way, draft_for, put_in_place
from backup.restoring.room import demand_room, demand_work_room
from backup.spelling import shown
from backup.station.copies import DAMAGES, at_any_copy
from backup.station.station import scratch_workplace

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from backup.engine.progress import Progress
    from backup.model import RestorePoint
    from backup.restoring.wanted import Wanted
    from backup.station.station import Station


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
    demand_way(final)
    if not wanted.is_overwriting:
        demand_free(final)
    if wanted.is_room_asked:
        _demand_room(station, point, wanted)
    demand_work_room(manifest, station.settings.work)
    expected = manifest.counts.bytes if wanted.path is None else None
    is_putting = False
    try:
        with (
            reading(station, [manifest], "restored"),
            draft_for(final) as draft,
            scratch_workplace(station.settings) as workplace,
        ):
            limit = station.chosen.time_limit.total_seconds()
            with watched(draft, expected, on_progress):
                fetching = Fetching(station, point, workplace, limit, full=DestinationInUse)
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
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DestinationInUse(f"the disk of {final} became full: make room there, or choose another --to") from error
    return Restored(at=point.at, to=final, files=files, bytes=size, entries=entries, target=target)


def _demand_room(station: Station, point: RestorePoint, wanted: Wanted) -> None:
    """Return when what is wanted has room; only where not all would have is the size of a path looked up.

    Raises DestinationInUse, and what `forecast` does.
    """
    try:
        demand_room(point.manifest.counts.bytes, wanted.final)
    except DestinationInUse as error:
        if wanted.path is None:
            raise
        try:
            found = at_any_copy(
                station, "looking", lambda there: forecast(there, there.catalogue().points, point, wanted), [point]
            )
        except DAMAGES as damage:
            raise DestinationInUse(
                f"how much {shown(str(wanted.path))} needs cannot be told ({damage}), and of all there is: {error}"
            ) from damage
        demand_room(found.bytes, wanted.final)


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
