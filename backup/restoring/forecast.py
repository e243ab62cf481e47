"""What a restore would do, without doing it: what comes, from which files at the target, whether there is room."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backup.browse.listing import is_below, open_lists, runs_up_to
from backup.chain import files_of_chain
from backup.cut import parts_with
from backup.errors import DestinationInUse, NotInBackup
from backup.model import Role
from backup.restoring.room import free_bytes
from backup.spelling import shown
from backup.when import local

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from backup.browse.signatures import Entry
    from backup.model import RestorePoint
    from backup.restoring.wanted import Wanted
    from backup.station.station import Station


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What a restore would bring. bytes: at most (sizes are known to a block).

    fetched: file names at the target and their bytes; missing: those that are not there. replaced: how many files are
    at the place already. free_bytes: on the disk of `to`.
    """

    at: datetime
    to: Path
    files: int
    bytes: int
    fetched: tuple[tuple[str, int], ...]
    missing: tuple[str, ...]
    replaced: int
    free_bytes: int

    @property
    def has_room(self) -> bool:
        """Whether what comes fits beside what is there: nothing is replaced before all of it has come."""
        return self.bytes <= self.free_bytes


def forecast(station: Station, points: Sequence[RestorePoint], point: RestorePoint, wanted: Wanted) -> Forecast:
    """Look at the lists of files and volumes; writes nothing but scratch. `points` are all of the set's.

    Raises NotInBackup, DestinationInUse, what keys and target raise.
    """
    runs = runs_up_to(points, point)
    with open_lists(station, runs) as lists:
        tree = lists.tree(runs)
        top = "" if wanted.path is None else str(wanted.path)
        coming = [entry for path, entry in tree.items() if not top or is_below(path, top)]
        if not coming and wanted.path is not None:
            raise NotInBackup(
                f"{shown(str(wanted.path))} is not in the restore point of {local(point.at)}: bkp find looks in all"
            )
        needed = []
        for run in runs:
            folder = station.place.chain(run.chain)
            parts = parts_with(run, wanted.path)
            volumes = [each for each in run.volumes if each.part in parts]
            if wanted.path is not None:
                volumes = [each for each in volumes if each.role is not Role.VOLUME]
                volumes += lists.volumes(run, wanted.path)
            volumes = [each for each in volumes if each.role is not Role.SIGNATURES]  # a restore does without
            needed += [(f"{folder}/{each.name}", each.size_bytes) for each in volumes]
    folder = station.place.chain(point.manifest.chain)
    there = files_of_chain(station.target, station.place, point.manifest.chain)
    return Forecast(
        at=point.at,
        to=wanted.final,
        files=sum(1 for entry in coming if entry.kind != "folder"),
        bytes=sum(0 if entry.content is None else entry.content.most_bytes for entry in coming),
        fetched=tuple(needed),
        missing=tuple(name for name, _ in needed if name.removeprefix(f"{folder}/") not in there),
        replaced=_replaced(coming, top, wanted.final),
        free_bytes=free_bytes(wanted.final),
    )


def _replaced(coming: Sequence[Entry], top: str, final: Path) -> int:
    """Return how many of the files that come are at their place already."""
    found = 0
    try:
        for entry in coming:
            below = entry.path[len(top) :].lstrip("/")
            found += entry.kind != "folder" and os.path.lexists(final / below if below else final)
    except OSError as error:
        raise DestinationInUse(f"{final} cannot be looked into: {error.strerror}") from error
    return found
