"""Which chains of a set stay at the target and which go, each with its reason: pure.

Invariants, whatever the rules ask:
- a chain stays or goes whole;
- the newest chain that can be restored stays; while none can, nothing goes;
- the newest of those in which no verification found damage stays, too;
- a chain that is held, in use or in doubt stays. Doubt: a manifest that may be its own cannot be read or verified;
- a rule that wants a restore point wants its chain, so that deleting what goes and judging again lets nothing more go;
- without any rule everything stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Final

from backup.model import instant_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime, timedelta

_MOST_LABELS: Final = 3
_OF_THE_FUTURE: Final = "its newest restore point lies in the future: is that host's clock right?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What to keep; each rule keeps on its own, None keeps nothing.

    within: every restore point of so long before the newest that can be restored: that time goes by without any lets
    nothing go, be it that a host is silent or that the pruner's clock is ahead. chains, points: the newest so many.
    daily … yearly: the newest restore point of each of the newest so many days, ISO weeks, months, years (UTC) that
    have one.
    """

    within: timedelta | None = None
    chains: int | None = None
    points: int | None = None
    daily: int | None = None
    weekly: int | None = None
    monthly: int | None = None
    yearly: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is no rule: then nobody said what may go."""
        return self.within is None and not any(count is not None for _, count, _ in _counting(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainPoint:
    """A restore point as retention sees it: its instant, when it came to be, why it cannot be restored (or None)."""

    at: datetime
    known_at: datetime
    broken: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A full and its incrementals. points: oldest first, at least one.

    doubts, holds, uses: why it must stay, in words; empty when nothing speaks for it. damage: what a verification
    found; it makes others stay, and lets nothing go: anybody who may write at the target can say so.
    """

    name: str
    points: tuple[ChainPoint, ...]
    size_bytes: int = 0
    doubts: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    damage: str | None = None

    @property
    def newest(self) -> datetime:
        """The instant of its newest point."""
        return max(point.at for point in self.points)

    @property
    def restorable(self) -> list[datetime]:
        """The instants that can be restored, oldest first."""
        return [point.at for point in self.points if point.broken is None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a chain goes, and the reason a person reads."""

    chain: Chain
    goes: bool
    reason: str


def judge_chains(chains: Sequence[Chain], rules: Rules, grace: timedelta, now: datetime) -> list[Verdict]:
    """Judge each chain, newest first, and say why.

    grace: a chain goes only when no rule wanted it so long ago either, by the restore points there were then, and its
    newest point was known then: whoever began to read it while it counted has had that time. Points later than `now`
    (a host's clock is wrong, or it lies) fill no rule's place, and their chain stays.
    """
    wanted = _wanted(chains, rules, now)
    then = now - grace
    wanted_then = _wanted(_as_known(chains, then), rules, then)
    safest = _safest(chains, now)
    verdicts: list[Verdict] = []
    for chain in sorted(chains, key=lambda each: (each.newest, each.name), reverse=True):
        stays = (
            _first("in doubt", chain.doubts)
            or _first("held", chain.holds)
            or _first("in use", chain.uses)
            or ("there is no rule that lets anything go" if rules.is_empty else None)
            or ("nothing of this set can be restored, so nothing goes" if not safest else None)
            or ("the newest that can be restored" if chain.name in safest else None)
            or (_OF_THE_FUTURE if chain.newest > now else None)
            or _first("wanted", wanted.get(chain.name, ()))
            or (f"no rule wants it any more, but since less than {spell(grace)}" if chain.name in wanted_then else None)
            or (f"no rule wants it, but it is younger than {spell(grace)}" if _known_at(chain) > then else None)
        )  # fmt: skip
        age = spell(now - chain.newest)
        verdicts.append(
            Verdict(chain=chain, goes=stays is None, reason=stays or f"no rule wants it; its newest point is {age} old")
        )
    return verdicts


def wanted_chains(chains: Iterable[Chain], rules: Rules, now: datetime) -> set[str]:
    """Return the names of the chains that a rule wants."""
    return set(_wanted([*chains], rules, now))


def _known_at(chain: Chain) -> datetime:
    return max(point.known_at for point in chain.points)


def _first(word: str, reasons: Sequence[str]) -> str | None:
    """Return the first few reasons behind a word; None when there is none."""
    if not reasons:
        return None
    more = f" and {len(reasons) - _MOST_LABELS} more" if len(reasons) > _MOST_LABELS else ""
    return f"{word}: {', '.join(reasons[:_MOST_LABELS])}{more}"


def _safest(chains: Iterable[Chain], now: datetime) -> set[str]:
    """Return the newest chain that can be restored; also the newest of those that are not of the future or damaged."""
    found: set[str] = set()
    known = [chain for chain in chains if chain.restorable]
    whole = [(max(chain.restorable), chain.name) for chain in known]
    sound = [(max(chain.restorable), chain.name) for chain in known if chain.damage is None]
    for candidates in (
        whole,
        [each for each in whole if each[0] <= now],
        [each for each in sound if each[0] <= now],
    ):
        if candidates:
            found.add(max(candidates)[1])
    return found


def _as_known(chains: Iterable[Chain], then: datetime) -> list[Chain]:
    """Return the chains with the points there were at an instant."""
    found = []
    for chain in chains:
        points = tuple(point for point in chain.points if point.known_at <= then)
        if points:
            found.append(Chain(name=chain.name, points=points))
    return found


def _wanted(chains: Iterable[Chain], rules: Rules, now: datetime) -> Mapping[str, list[str]]:
    """Return by chain which rules want it, in words; a chain that none wants is left out."""
    points = sorted(
        ((point, chain.name) for chain in chains for point in chain.points if point.at <= now),
        key=lambda each: each[0].at,
        reverse=True,
    )
    found: dict[str, list[str]] = {}
    if rules.within is not None:
        newest = next((point.at for point, _ in points if point.broken is None), now)
        for point, chain in points:
            if newest - point.at <= rules.within and chain not in found:
                found[chain] = [f"within {spell(rules.within)} of the newest"]
    for name, count, key in _counting(rules):
        for label, chain in _kept(points, key, count or 0):
            found.setdefault(chain, []).append(f"{name} {label}")
    return found


def _counting(rules: Rules) -> tuple[tuple[str, int | None, Callable[[datetime, str], str]], ...]:
    """Return the rules that count: name, how many, and what they count (of a point's instant and chain)."""
    return (
        ("chain", rules.chains, lambda _, chain: chain),
        ("point", rules.points, lambda at, _: instant_name(at)),
        ("daily", rules.daily, lambda at, _: at.astimezone(UTC).strftime("%Y-%m-%d")),
        ("weekly", rules.weekly, lambda at, _: at.astimezone(UTC).strftime("%G-W%V")),
        ("monthly", rules.monthly, lambda at, _: at.astimezone(UTC).strftime("%Y-%m")),
        ("yearly", rules.yearly, lambda at, _: at.astimezone(UTC).strftime("%Y")),
    )


def _kept(
    points: Sequence[tuple[ChainPoint, str]], key: Callable[[datetime, str], str], count: int
) -> list[tuple[str, str]]:
    """Return label and chain of what a counting rule keeps of points, newest first.

    Of each day (or what else is counted) the newest point that can be restored. A day that has only damaged ones keeps
    the newest of these and is not counted: damage takes nothing's place, and is no reason to delete.
    """
    groups: dict[str, list[tuple[ChainPoint, str]]] = {}
    for point, chain in points:
        groups.setdefault(key(point.at, chain), []).append((point, chain))
    kept: list[tuple[str, str]] = []
    for label, group in groups.items():
        if count == 0:
            break
        whole = [chain for point, chain in group if point.broken is None]
        kept.append((label, whole[0] if whole else group[0][1]))
        count -= bool(whole)
    return kept


def spell(duration: timedelta) -> str:
    """Return a duration for people: "36 hours", "3 days"."""
    seconds = max(0.0, duration.total_seconds())
    for unit, step in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * step:
            return f"{seconds / step:.0f} {unit}"
    return f"{seconds:.0f} seconds"
