"""Decides which sources of a proxy group change their home, each with its reason; pure.

A source's *home* is the proxy its agent is told to prefer. Invariants, whatever the loads do:

- A proxy that is not steady is given nothing.
- Homes follow facts first: who went elsewhere because its proxy fell silent lives there, and does not go back in a
  crowd.
- Evening out moves at most a share of the group's sources at once, waits `every_seconds` after that, and moves only
  what leaves the receiver clearly below the giver. So with constant loads every move lowers the sum of the squared
  loads by a least amount: moving ends, and then nothing moves.
- A source that was moved rests, twice as long after each further move, until it has stayed for a day: however noisy
  the loads are, it moves at most nine times within `forget_seconds`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Standing = Literal["steady", "uncertain", "gone"]
Kind = Literal["came", "followed", "stayed", "moved"]

TOLERANCE: Final = 0.25
"""Nothing is evened out while no proxy carries more than this beyond an even share."""
TARGET: Final = 0.10
"""Once evening out has begun it goes on until no proxy carries more than this beyond an even share."""
MARGIN: Final = 0.10
"""How far below the giver, in even shares, the receiver of a move has to stay."""
MOST_DOUBLINGS: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How fast it goes; all else follows from `every_seconds`, the pause between two rounds of evening out."""

    every_seconds: float = 60.0
    share: float = 0.10
    """The part of a group's sources that a round may move; one at least."""

    @property
    def settle_seconds(self) -> float:
        """How long a source may take to be heard at its home; an agent needs up to two looks at its upstreams."""
        return max(30.0, 2 * self.every_seconds)

    @property
    def rest_seconds(self) -> float:
        """How long a source stays after its first move."""
        return 10 * self.every_seconds

    @property
    def forget_seconds(self) -> float:
        """How long a source has to stay until its moves are forgotten: longer than the longest rest."""
        return 1440 * self.every_seconds

    @property
    def barred_seconds(self) -> float:
        """How long a source is not sent again to a proxy at which it did not stay."""
        return 60 * self.every_seconds

    @property
    def chain_seconds(self) -> float:
        """How long after a move evening out still goes on to the target."""
        return 3 * self.every_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """A proxy of the group. `own_load` is what its poller sends, which no decision can move."""

    key: bytes
    name: str
    standing: Standing
    own_load: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a source lives (`home`) and where it is heard; instants are seconds of one clock.

    `since`: the home's; `apart_since`: since when it has been heard elsewhere than at home; `moved_at`, `moves`: of
    evening out, `moves` counting those after which it did not stay for `forget_seconds`.
    """

    source: bytes
    load: float
    home: bytes | None = None
    heard: bytes | None = None
    is_movable: bool = True
    since: float = 0.0
    apart_since: float | None = None
    moved_at: float | None = None
    moves: int = 0
    barred: frozenset[bytes] = frozenset()

    def rest_until(self, terms: Terms) -> float:
        """Return until when it is not moved again."""
        if self.moved_at is None:
            return -math.inf
        return self.moved_at + terms.rest_seconds * (1 << min(max(self.moves, 1) - 1, MOST_DOUBLINGS))

    def moves_after(self, terms: Terms, now: float) -> int:
        """Return the count of moves with one of now; it begins anew after a stay of `forget_seconds`."""
        return 1 if self.moved_at is None or now - self.moved_at > terms.forget_seconds else self.moves + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A source's new home and why. `moves` is the source's count after it."""

    source: bytes
    to: bytes
    kind: Kind
    reason: str
    moves: int = 0


def decide(proxies: Sequence[Proxy], places: Sequence[Place], terms: Terms, now: float) -> list[Move]:
    """Return the homes that change now: what happened is followed first, and evened out when it has come to rest."""
    return follow(proxies, places, terms, now) or even_out(proxies, places, terms, now)


def follow(proxies: Sequence[Proxy], places: Iterable[Place], terms: Terms, now: float) -> list[Move]:
    """Return the homes that change because the sources are elsewhere already."""
    known = {proxy.key: proxy for proxy in proxies}
    moves = []
    for place in places:
        if place.heard is None or place.heard == place.home or place.heard not in known:
            continue
        home = None if place.home is None else known.get(place.home)
        apart_since = max(place.since, place.since if place.apart_since is None else place.apart_since)
        kind: Kind
        if place.home is None:
            kind, reason = "came", "it came here by its own list"
        elif home is None or home.standing == "gone":
            what = "its proxy serves this group no more" if home is None else f"{home.name} fell silent"
            kind, reason = "followed", f"{what} and it went on here"
        elif now - apart_since > terms.settle_seconds:
            kind, reason = "stayed", f"it was not heard at {home.name} within {terms.settle_seconds:.0f} s"
        else:
            continue
        moves.append(Move(source=place.source, to=place.heard, kind=kind, reason=reason, moves=place.moves))
    return moves


def even_out(proxies: Sequence[Proxy], places: Sequence[Place], terms: Terms, now: float) -> list[Move]:
    """Return the moves of one round, none while the last round settles or no proxy carries too much."""
    loads = loads_of(proxies, places)
    last_move = max((place.moved_at for place in places if place.moved_at is not None), default=-math.inf)
    under_way = sum(is_under_way(place, terms, now) for place in places)
    few = max(1, math.ceil(terms.share * sum(place.is_movable for place in places))) - under_way
    if len(loads) < 2 or few <= 0 or now - last_move < terms.every_seconds:
        return []
    limit = TARGET if now - last_move < terms.chain_seconds else TOLERANCE
    names = {proxy.key: proxy.name for proxy in proxies}
    seated = {place.source: place for place in places}
    mean = sum(loads.values()) / len(loads)
    moves: list[Move] = []
    while len(moves) < few and (found := _best(loads, seated.values(), mean * (1 + limit), mean * MARGIN, terms, now)):
        place, giver, taker = found
        reason = (
            f"{names[giver]} carried {loads[giver] / mean:.2f} of an even share,"
            f" {names[taker]} {loads[taker] / mean:.2f}"
        )
        moves.append(
            Move(source=place.source, to=taker, kind="moved", reason=reason, moves=place.moves_after(terms, now))
        )
        loads[giver] -= place.load
        loads[taker] += place.load
        seated[place.source] = replace(place, home=taker)
        limit = TARGET
    return moves


def loads_of(proxies: Iterable[Proxy], places: Iterable[Place]) -> dict[bytes, float]:
    """Return what each steady proxy carries: of the sources at home there, and of guests whose home is not steady."""
    loads = {proxy.key: proxy.own_load for proxy in proxies if proxy.standing == "steady"}
    for place in places:
        at = place.home if place.home in loads else place.heard
        if at is not None and at in loads:
            loads[at] += place.load
    return loads


def is_under_way(place: Place, terms: Terms, now: float) -> bool:
    """Tell whether a source has been sent to its home and is not heard there yet."""
    return place.home is not None and place.home != place.heard and now - place.since <= terms.settle_seconds


def _best(
    loads: dict[bytes, float], places: Iterable[Place], limit: float, margin: float, terms: Terms, now: float
) -> tuple[Place, bytes, bytes] | None:
    """Return the move that evens out most, from the fullest proxy above the limit to the emptiest it can go to."""
    resting = [place for place in places if place.home == place.heard and place.is_movable]
    for giver in sorted(loads, key=lambda key: (-loads[key], key)):
        if loads[giver] <= limit:
            return None
        movable = [place for place in resting if place.home == giver and place.rest_until(terms) <= now]
        for taker in sorted(loads, key=lambda key: (loads[key], key)):
            gap = loads[giver] - loads[taker]
            fitting = [p for p in movable if 0.0 < p.load <= gap - margin and taker not in p.barred]
            if fitting:
                return min(fitting, key=lambda p: (abs(p.load - gap / 2), p.source)), giver, taker
    return None
