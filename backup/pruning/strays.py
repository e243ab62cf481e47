"""What becomes of files at a target that no manifest names, left by runs that did not end well: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from backup.retention import spell

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime, timedelta

    from backup.retention import Chain


@dataclass(frozen=True, slots=True, kw_only=True)
class Stray:
    """Files of one run that no manifest names: a run that was killed, or one that is under way.

    files: names and bytes. at: the run's instant by their names, None when they are not duplicity's. changed_at: when
    the target got the last of them, by its own clock, where it tells. refused: why that run's manifest does not count.
    """

    chain: str
    at: datetime | None
    changed_at: datetime | None
    files: Mapping[str, int]
    refused: str | None = None

    @property
    def size_bytes(self) -> int:
        """What is free when they are gone."""
        return sum(self.files.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class StrayVerdict:
    """Whether the files of a run that no manifest names go, and why."""

    stray: Stray
    goes: bool
    reason: str


def judge_strays(
    strays: Iterable[Stray], chains: Sequence[Chain], after: timedelta, now: datetime
) -> list[StrayVerdict]:
    """Judge files that no manifest names; they go only when the last of their run came more than `after` ago.

    `after` has to be longer than any run may take. They stay with a chain that is held, in use, in doubt or damaged
    (they may be what its missing manifest named), while nothing of the set can be restored (the manifests may be what
    is missing), and when a manifest of that run is there that cannot be read.
    """
    by_name = {chain.name: chain for chain in chains}
    is_any_whole = any(chain.restorable for chain in chains)
    verdicts = []
    for stray in strays:
        chain = by_name.get(stray.chain)
        known = [at for at in (stray.at, stray.changed_at) if at is not None]
        age = now - max(known) if known else None
        stays = (
            (f"a manifest of this run cannot be verified: {stray.refused}" if stray.refused else None)
            or ("whose they are is not known" if age is None else None)
            or ("nothing of this set can be restored, so nothing goes" if not is_any_whole else None)
            or (None if chain is None else _stays_with(chain))
            or (None if age is None or age > after else f"a run may be under way: they came {spell(age)} ago")
        )
        said = "" if age is None else f"no manifest names them for {spell(age)}: left by a run that did not end well"
        verdicts.append(StrayVerdict(stray=stray, goes=stays is None, reason=stays or said))
    return verdicts


def _stays_with(chain: Chain) -> str | None:
    for word, reasons in (("in doubt", chain.doubts), ("held", chain.holds), ("in use", chain.uses)):
        if reasons:
            return f"their chain is {word}: {reasons[0]}"
    is_damaged = chain.damage is not None or any(point.broken is not None for point in chain.points)
    return "their chain is damaged, and they may be what it lacks" if is_damaged else None
