"""A group of proxies in miniature: sources go where they are sent, and to another proxy when theirs is gone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from server.balancing.orders import order_proxies
from server.balancing.plan import Place, Proxy, Terms, decide, loads_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from server.balancing.plan import Move, Standing

TERMS = Terms()
PAUSE = TERMS.every_seconds / 2


@dataclass
class World:
    """`places` as the decision sees them; `noise(source, load)` is what is measured instead of the true load."""

    proxies: list[Proxy]
    places: list[Place]
    noise: Callable[[bytes, float], float] = lambda _, load: load
    now: float = 100_000.0
    moves: list[Move] = field(default_factory=list)

    def pass_time(self, seconds: float) -> None:
        """Decide every `PAUSE`; who was sent somewhere is heard there before the next decision."""
        for _ in range(round(seconds / PAUSE)):
            self.now += PAUSE
            seen = [replace(place, load=self.noise(place.source, place.load)) for place in self.places]
            for move in decide(self.proxies, seen, TERMS, self.now):
                self.moves.append(move)
                self._carry_out(move)
            self._let_sources_go_home()

    def moved(self, kind: str) -> int:
        return sum(move.kind == kind for move in self.moves)

    def let(self, key: bytes, standing: Standing) -> None:
        """Change how a proxy stands; the sources of one that is gone go on by their own lists at once."""
        self.proxies = [replace(p, standing=standing) if p.key == key else p for p in self.proxies]
        if standing == "gone":
            self.places = [self._failed_over(place) if place.heard == key else place for place in self.places]

    def imbalance(self) -> float:
        """The fullest proxy's load in even shares."""
        loads = loads_of(self.proxies, self.places)
        return max(loads.values()) * len(loads) / sum(loads.values())

    def sources_at(self, key: bytes) -> int:
        return sum(place.heard == key for place in self.places)

    def _carry_out(self, move: Move) -> None:
        at = next(n for n, place in enumerate(self.places) if place.source == move.source)
        place = replace(self.places[at], home=move.to, since=self.now, moves=move.moves)
        self.places[at] = replace(place, moved_at=self.now) if move.kind == "moved" else place

    def _let_sources_go_home(self) -> None:
        up = {proxy.key for proxy in self.proxies if proxy.standing != "gone"}
        self.places = [replace(place, heard=place.home) if place.home in up else place for place in self.places]

    def _failed_over(self, place: Place) -> Place:
        up = [proxy.key for proxy in self.proxies if proxy.standing != "gone"]
        order = order_proxies(place.source, place.home or b"", [proxy.key for proxy in self.proxies])
        return replace(place, heard=next(key for key in order if key in up))


def world(loads: Sequence[float], proxies: int, at: Sequence[int]) -> World:
    """A world of steady proxies; source n is heard at proxy `at[n % len(at)]` and has no home yet."""
    keys = [bytes([n + 1]) * 32 for n in range(proxies)]
    return World(
        proxies=[Proxy(key=key, name=f"proxy{n + 1}", standing="steady") for n, key in enumerate(keys)],
        places=[
            Place(source=n.to_bytes(16, "big"), load=load, heard=keys[at[n % len(at)] % proxies])
            for n, load in enumerate(loads)
        ],
    )
