"""Which restore point somebody means by a time: pure. What fits several is refused, naming them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from backup.errors import NoRestorePoint, PointAmbiguous
from backup.model import instant_name
from backup.when import local

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from backup.model import RestorePoint
    from backup.when import When

_MOST_NAMED: Final = 4


def choose_point(whole: Sequence[RestorePoint], when: When) -> RestorePoint:
    """Return the newest of the points (oldest first, all of which can be restored) that is not later than `when`.

    A time to the minute means the point of that minute, if there is one. Raises PointAmbiguous when there are several,
    or when the clock showed that time twice and it makes a difference; NoRestorePoint when all are later.
    """
    found = [_choose(whole, when, at) for at in (when.at, when.also) if at is not None]
    different = {point.manifest.name: point for point in found if point is not None}
    if len(different) > 1:
        raise PointAmbiguous(
            f"{when.said!r} was twice, before and after the clocks went back: {_named(list(different.values()))}"
        )
    if not different:
        raise NoRestorePoint(
            f"there is no restore point at or before {local(when.at)}; the nearest: {_named(whole[:_MOST_NAMED])}"
        )
    return next(iter(different.values()))


def _choose(whole: Sequence[RestorePoint], when: When, at: datetime) -> RestorePoint | None:
    if when.minute:
        within = [point for point in whole if at <= point.at < at + timedelta(minutes=1)]
        if len(within) > 1:
            raise PointAmbiguous(f"{when.said!r} fits {len(within)} restore points: {_named(within)}")
        if within:
            return within[0]
    return max((point for point in whole if point.at <= at), key=lambda point: point.at, default=None)


def _named(points: Sequence[RestorePoint]) -> str:
    said = [f"{local(point.at)} (--at {instant_name(point.at)})" for point in points[-_MOST_NAMED:]]
    return "; ".join(said)
