"""Another copy of a set, for when the one that is read is lost, or turns out damaged, in the middle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from backup.errors import BackupDamaged, ObjectMissing, SignatureBad, TargetAway, TargetDiffers, TargetRefused
from backup.station.station import elsewhere, say
from backup.when import local

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from backup.errors import BackupError
    from backup.model import RestorePoint
    from backup.station.station import Station

DAMAGES: Final = (BackupDamaged, ObjectMissing, SignatureBad, TargetDiffers)
"""What says that a copy is not what was sent there."""
_ELSEWHERE: Final = (*DAMAGES, TargetAway, TargetRefused)
ResultT = TypeVar("ResultT")


def at_any_copy(
    station: Station, doing: str, attempt: Callable[[Station], ResultT], points: Sequence[RestorePoint] = ()
) -> ResultT:
    """Return what `attempt` does at the copy that `station` reads; when that one fails it, at the next, and say so.

    `attempt` begins anew each time: nothing of one copy is mixed with another's, and another copy must have the very
    same `points`. When all fail it, raises the first error's kind, saying what was wrong at each; anything that is not
    a copy's fault is raised at once.
    """
    try:
        return attempt(station)
    except _ELSEWHERE as error:
        if not station.others:
            raise
        first: BackupError = error
    told: list[str] = []
    failed, why = station.chosen.target, first
    for name in station.others:
        told.append(f"at target {failed!r}: {why}")
        say(f"target {failed!r} failed while {doing}: {why}")
        say(f"{doing} begins anew at target {name!r}")
        try:
            with elsewhere(station, name) as other:
                _demand_points(other, points)
                found = attempt(other)
        except _ELSEWHERE as error:
            failed, why = name, error
        else:
            say(f"{doing} is done: all of it came from target {name!r}")
            return found
    raise type(first)("; ".join((*told, f"at target {failed!r}: {why}"))) from first


def _demand_points(station: Station, points: Sequence[RestorePoint]) -> None:
    """Return when a copy has the very same points, whole. Raises ObjectMissing."""
    if not points:
        return
    whole = station.catalogue().whole
    there = [each.manifest for each in whole]
    for point in points:
        if point.manifest not in there:
            newest = f"; its newest is {local(whole[-1].at)}, which --at can ask for" if whole else ""
            raise ObjectMissing(f"there is no restore point of {local(point.at)}{newest}")
