"""As of when a pruner judges. Its clock may be wrong, and by a clock that is ahead holds and waiting times end early.

So time goes on for it only as far as the hosts witness it: to the moment when the newest restore point was there. Where
nothing is saved any more, nothing more goes because of its age, unless a person vouches for the clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backup.spelling import shown
from backup.when import local

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from backup.model import RestorePoint
    from backup.notes.holds import Hold
    from backup.pruning.strays import Stray


def witnessed(now: datetime, points: Iterable[RestorePoint]) -> datetime:
    """Return when the newest restore point that is not of the future was finished; `now` at most, and without any."""
    finished = (max(point.at, point.manifest.finished_at) for point in points if point.at <= now)
    return max((min(now, at) for at in finished), default=now)


def witnessed_by_strays(now: datetime, as_of: datetime, strays: Iterable[Stray]) -> datetime:
    """Return as of when files of no restore point are judged: when the last of them came, `as_of` at least.

    Runs that fail fill a target, too, and no restore point may ever come again before what they left is gone. Nobody
    signed these instants, so nothing else goes by them.
    """
    came = (at for each in strays for at in (each.at, each.changed_at) if at is not None and at <= now)
    return max((as_of, *came))


def said_unwitnessed(hold: Hold) -> str:
    """Return what a person has to know of a hold that has ended by this machine's clock alone."""
    end = "" if hold.until is None else f" since {local(hold.until)}"
    return (
        f"hold {shown(hold.name)} has ended{end} by this machine's clock, but holds on, as nothing was saved after"
        " that: if the clock is right, bkp hold remove lifts it"
    )
