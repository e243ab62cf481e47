"""The damage of a copy that is known: what a look at the copy adds to it, and which look tells that it is gone."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from backup.model import instant_name
from backup.settings.verification import STEPS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from backup.restoring.verify import Report

_MOST_NAMED: Final = 1000
_MOST_NAMES_BYTES: Final = 64 << 10  # of one copy: a state file of a dozen damaged copies can still be read whole
_MOST_WORDS_BYTES: Final = 2000
_AROUND_A_NAME: Final = 8  # indent, comma and newline in the state file


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownDamage:
    """What is wrong with a copy.

    found_at: when the first of it was found. depth: how deep a look has to go to see all of it. what: the first, in
    words. names: relative to the target's root, as many as have room; more: at least how many have none. lost: how
    many restore points it costs, at least; lost_at: their names, as many as have room; unlisted, unlisted_at: the same
    of those that come back, but whose lists of files are damaged. logs: how many archived logs, or gaps in them, cost
    moments between restore points.
    """

    found_at: str
    depth: str
    what: str
    names: tuple[str, ...] = ()
    more: int = 0
    lost: int = 0
    lost_at: tuple[str, ...] = ()
    unlisted: int = 0
    unlisted_at: tuple[str, ...] = ()
    logs: int = 0

    def table(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return asdict(self)

    def is_seen_at(self, step: str) -> bool:
        """Tell whether a look to this depth would have seen all of it: a sample reads what is named here."""
        needed = self.depth
        if needed in ("sampled", "read"):
            needed = "read" if self.more else "sampled"
        return needed not in STEPS or STEPS.index(step) >= STEPS.index(needed)


def read_damage_of(copy: Mapping[str, Any]) -> KnownDamage | None:
    """Return what is known of a copy, from its entry in the state; None when no damage is."""
    table = copy.get("damage")
    if not table:
        return None
    return KnownDamage(
        found_at=str(table.get("found_at", "")),
        depth=str(table.get("depth", STEPS[0])),
        what=str(table.get("what", "")),
        names=tuple(table.get("names", ())),
        more=int(table.get("more", 0)),
        lost=int(table.get("lost", 0)),
        lost_at=tuple(table.get("lost_at", ())),
        unlisted=int(table.get("unlisted", 0)),
        unlisted_at=tuple(table.get("unlisted_at", ())),
        logs=int(table.get("logs", 0)),
    )


def damage_after(copy: Mapping[str, Any], report: Report, step: str, now: str) -> KnownDamage | None:
    """Return what is known of a copy after a look at it, from its entry before; None when it is whole.

    Damage stays known until a look that would have seen it finds it gone, whatever else is found in between. A copy
    in which nothing lies any more shows nothing of what was wrong before.
    """
    known = read_damage_of(copy)
    points_before = int((copy.get("last") or {}).get("restore_points", 0))
    is_empty = not report.damages and not report.restorable and not report.hindrances
    is_seen = not is_empty and not report.hindrances and known is not None and known.is_seen_at(step)
    stays = None if is_seen else known
    found: KnownDamage | None = None
    if report.damages:
        found = _found(report, step, now)
    elif is_empty and (known is not None or copy.get("whole") or points_before):
        words = "there is no restore point any more"
        found = KnownDamage(found_at=now, depth=STEPS[0], what=words, lost=max(1, points_before))
    return found if stays is None else stays if found is None else _united(stays, found)


def bounded(text: str) -> str:
    """Return words as a state file has room for; what is left out is said."""
    content = text.encode(errors="replace")
    left = len(content) - _MOST_WORDS_BYTES
    return text if left <= 0 else f"{content[:_MOST_WORDS_BYTES].decode(errors='ignore')} … and {left} bytes more"


def _found(report: Report, step: str, now: str) -> KnownDamage:
    first = next((damage for damage in report.damages if damage.kills), report.damages[0])
    found = KnownDamage(
        found_at=now, depth=step, what=bounded(f"{first.name}: {first.what}"), lost=len(report.lost),
        lost_at=tuple(instant_name(at) for at in report.lost[-_MOST_NAMED:]), unlisted=len(report.unlisted),
        unlisted_at=tuple(instant_name(at) for at in report.unlisted[-_MOST_NAMED:]),
        logs=sum(1 for damage in report.damages if damage.moments is not None),
    )  # fmt: skip
    return _naming(found, [damage.name for damage in report.damages])


def _united(known: KnownDamage, found: KnownDamage) -> KnownDamage:
    lost_at = sorted({*known.lost_at, *found.lost_at})
    unlisted_at = sorted({*known.unlisted_at, *found.unlisted_at}.difference(lost_at))
    both = replace(
        known,
        what=known.what if known.lost or not found.lost else found.what,
        more=max(known.more, found.more),
        lost=max(known.lost, found.lost, len(lost_at)),
        lost_at=tuple(lost_at[-_MOST_NAMED:]),
        unlisted=max(known.unlisted, found.unlisted, len(unlisted_at)),
        unlisted_at=tuple(unlisted_at[-_MOST_NAMED:]),
        logs=max(known.logs, found.logs),
    )
    return _naming(both, [*known.names, *found.names])


def _naming(damage: KnownDamage, names: Iterable[str]) -> KnownDamage:
    """Return a damage with those of the names that have room, the first ones first."""
    every = list(dict.fromkeys(names))
    kept: list[str] = []
    room = _MOST_NAMES_BYTES
    for name in every[:_MOST_NAMED]:
        size = len(json.dumps(name)) + _AROUND_A_NAME
        if size <= room:
            kept.append(name)
            room -= size
    return replace(damage, names=tuple(kept), more=max(damage.more, len(every) - len(kept)))
