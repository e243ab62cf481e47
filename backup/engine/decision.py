"""Whether a run is a full or an incremental, and why: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from backup.model import Kind
from core.model.counting import counted

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from backup.model import RestorePoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to make, and the reason a person reads. base: the point an incremental goes on from; None for a full."""

    kind: Kind
    reason: str
    base: RestorePoint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """When a chain ends. A long chain restores slowly: 60 links took 1.6 times as long as one, and 5 MB more a link."""

    full_after_links: int
    full_after: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is known when a run begins.

    newest: the newest restore point there is. full_at: the instant of its chain's full.
    doubt: why its chain cannot be gone on from (lost cache, damage, other keys); None when it can.
    vanished: how many points this host knew and nobody has.
    """

    newest: RestorePoint | None
    full_at: datetime | None
    doubt: str | None
    is_full_asked: bool
    vanished: int = 0


def decide(situation: Situation, policy: Policy, now: datetime) -> Decision:
    """Choose between full and incremental. A full is always safe; an incremental only without any doubt."""
    newest = situation.newest
    if newest is None or situation.full_at is None:
        gone = f"the restore points there were have vanished: {situation.vanished}"
        return Decision(kind=Kind.FULL, reason=gone if situation.vanished else "the first of this set")
    if situation.is_full_asked:
        return Decision(kind=Kind.FULL, reason="a full was asked for")
    if newest.broken is not None:
        return Decision(kind=Kind.FULL, reason=f"the chain before is damaged: {newest.broken}")
    if situation.doubt is not None:
        return Decision(kind=Kind.FULL, reason=situation.doubt)
    if newest.manifest.position >= policy.full_after_links:
        return Decision(kind=Kind.FULL, reason=f"the chain has {counted(newest.manifest.position, 'incremental')}")
    age = now - situation.full_at
    if age >= policy.full_after:
        return Decision(kind=Kind.FULL, reason=f"the chain's full is {counted(age.days, 'day')} old")
    if now <= newest.at:
        return Decision(kind=Kind.FULL, reason="the clock went back: the newest restore point lies in the future")
    return Decision(kind=Kind.INCREMENTAL, reason=f"goes on from {newest.manifest.name[:16]}", base=newest)
