"""Watches who serves whom, decides, writes it down, and has the agents told: the shell around plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from core.runtime.logging import Log
from core.security.poller import poller_source
from server.balancing.placements import Burden, group_of, members_of
from server.balancing.plan import Place, Proxy, decide, loads_of
from server.balancing.rates import Rates
from server.intake.presence import FRESH_SECONDS
from server.store.errors import StoreAway
from server.store.instants import to_datetime
from server.store.placements import NewHome, note_loads, place_sources, read_placements

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from core.runtime.clock import Clock
    from core.runtime.counters import Counters
    from server.balancing.placements import Placements
    from server.balancing.plan import Move, Standing, Terms
    from server.intake.desk import Desk
    from server.intake.presence import PresenceBook
    from server.intake.reception import Reception
    from server.picture import Picture
    from server.store.transaction import Writer

log = Log("balancing")

LINK_BYTES_PER_SECOND: Final = 100.0
"""What a link costs by itself, heartbeats and reports of it: sources that send hardly anything are spread by number."""
LOOKS_A_PAUSE: Final = 12
WINDOW_PAUSES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerParts:
    """What a balancer looks at, and what it fills."""

    writer: Writer
    picture: Picture
    presence: PresenceBook
    reception: Reception
    desk: Desk
    placements: Placements
    clock: Clock
    counters: Counters
    terms: Terms


class Balancer:
    """One reign's balancing. What outlives it is in the store: homes, their reasons, the loads of a minute ago."""

    def __init__(self, parts: BalancerParts) -> None:
        self._parts = parts
        self._terms = parts.terms
        self._rates = Rates(WINDOW_PAUSES * parts.terms.every_seconds)
        self._began = self._looked_at = self._noted_at = parts.clock.monotonic()
        self._heard_at: dict[bytes, float] = {}
        self._apart_since: dict[bytes, float] = {}
        self._barred: dict[tuple[bytes, bytes], float] = {}
        self._is_failing = False

    async def recall(self) -> None:
        """Begin where the last reign left it; to be done before links are welcomed. Raises StoreAway."""
        parts = self._parts
        async with parts.writer.database.connection() as connection:
            found = await read_placements(connection)
        directory = parts.picture.directory
        uuids = {source.id: uuid for uuid, source in directory.sources.items()}
        for each in found:
            if (uuid := uuids.get(each.source_id)) is not None:
                self._rates.recall(uuid, each.bytes_per_second)
        parts.placements.replace(found, directory)

    async def run(self) -> NoReturn:
        """Look twelve times a pause until cancelled. Raises Fenced."""
        while True:
            try:
                await self.look()
            except StoreAway as error:
                if not self._is_failing:
                    log.warning("balancing waits for the database", error=error)
                self._is_failing = True
            else:
                self._is_failing = False
            await self._parts.clock.sleep(self._terms.every_seconds / LOOKS_A_PAUSE)

    async def look(self) -> None:
        """Look once, and carry out what is decided. Raises StoreAway, Fenced."""
        parts = self._parts
        now = parts.clock.monotonic()
        directory = parts.picture.directory
        groups: dict[int, list[bytes]] = {}
        for source in directory.sources:
            if (group := group_of(source, directory)) is not None:
                groups.setdefault(group, []).append(source)
        members = members_of(directory)
        standings = {key: self._standing(key, now) for keys in members.values() for key in keys}
        self._measure(standings, now)
        self._forget_others(directory.sources.keys(), standings.keys())
        parts.placements.look(directory)
        if not parts.placements.is_balancing:
            return
        burdens: dict[bytes, Burden] = {}
        moves: list[Move] = []
        places: list[Place] = []
        for group, keys in members.items():
            here = [self._place(source, standings, now) for source in groups.get(group, ())]
            if len(keys) < 2 and not any(place.home for place in here):
                continue  # nobody to choose among, and never was
            proxies = [self._proxy(key, standings[key]) for key in sorted(keys)]
            moves += self._decide(proxies, here, now)
            burdens |= _burdens(proxies, here)
            places += here
        parts.placements.burdens = burdens
        if moves:
            await self._carry_out(moves, {place.source: place for place in places}, now)
        if now - self._noted_at >= self._terms.every_seconds or moves:
            await self._note(places)
            self._noted_at = now

    def _forget_others(self, sources: Collection[bytes], proxies: Collection[bytes]) -> None:
        """Forget what was noted of sources and proxies there are no more."""
        self._parts.placements.forget_others(sources)
        for source in self._apart_since.keys() - sources:
            del self._apart_since[source]
        for key in self._heard_at.keys() - proxies:
            del self._heard_at[key]

    def _decide(self, proxies: Sequence[Proxy], places: Sequence[Place], now: float) -> list[Move]:
        # A server that has just begun has heard of nobody yet; and whoever fell silent shall first be known to.
        if now - self._began < self._terms.every_seconds:
            return [move for move in decide(proxies, places, self._terms, now) if move.kind == "came"]
        return decide(proxies, places, self._terms, now)

    def _standing(self, key: bytes, now: float) -> Standing:
        way = self._parts.presence.upstreams.get(key)
        if way is not None:
            self._heard_at[key] = way.heard_seconds
        if way is None or not way.is_fresh(now):
            silent_seconds = now - self._heard_at.setdefault(key, self._began)
            return "gone" if silent_seconds > max(FRESH_SECONDS, self._terms.every_seconds / 2) else "uncertain"
        has_stood = now - way.since_seconds >= self._terms.every_seconds
        is_full = bool(self._parts.desk.report(key).get("custody.is_full"))
        return "uncertain" if is_full or not has_stood or self._parts.presence.is_behind(way) else "steady"

    def _measure(self, standings: Mapping[bytes, Standing], now: float) -> None:
        """Fold what came since the last look; nothing is learnt of who is served by a proxy that is not steady."""
        parts = self._parts
        received = parts.reception.take_live_bytes()
        unsure: set[bytes] = set()
        for source in parts.picture.directory.sources:
            at = parts.picture.directory.pollers.get(source) or self._heard(source, standings, now)
            if not received or (at is not None and standings.get(at, "steady") != "steady"):
                unsure.add(source)
        self._rates.fold(received, now - self._looked_at, parts.picture.directory.sources.keys(), unsure)
        self._looked_at = now

    def _proxy(self, key: bytes, standing: Standing) -> Proxy:
        return Proxy(
            key=key,
            name=self._name(key),
            standing=standing,
            own_load=self._rates.of(poller_source(key).bytes),
        )

    def _place(self, source: bytes, standings: Mapping[bytes, Standing], now: float) -> Place:
        known = self._parts.placements.by_source.get(source)
        home = None if known is None else known.home_key
        heard = self._heard(source, standings, now)
        if heard is None or heard == home:
            self._apart_since.pop(source, None)
        else:
            self._apart_since.setdefault(source, now)
        inventory = self._parts.picture.inventory
        return Place(
            source=source,
            load=0.0 if heard is None else LINK_BYTES_PER_SECOND + self._rates.of(source),
            home=home,
            heard=heard,
            is_movable=self._parts.picture.directory.sources[source].name in inventory.hosts,
            since=0.0 if known is None else self._monotonic(known.since.timestamp(), now),
            apart_since=self._apart_since.get(source),
            moved_at=None
            if known is None or known.moved_at is None
            else self._monotonic(known.moved_at.timestamp(), now),
            moves=0 if known is None else known.moves,
            barred=frozenset(
                key for key in standings if self._barred.get((source, key), now) > now
            ),
        )  # fmt: skip

    def _heard(self, source: bytes, standings: Mapping[bytes, Standing], now: float) -> bytes | None:
        """Return at which proxy a source is linked: the one that said so last, within some seconds."""
        for sighting in self._parts.presence.sightings(source)[:1]:
            if sighting.proxy in standings and now - sighting.seen_seconds <= FRESH_SECONDS:
                return sighting.proxy
        return None

    def _monotonic(self, instant_seconds: float, now: float) -> float:
        """Return an instant of the wall clock as one of the monotonic clock."""
        return now - (self._parts.clock.now_us() / 1_000_000 - instant_seconds)

    async def _carry_out(self, moves: Sequence[Move], places: Mapping[bytes, Place], now: float) -> None:
        parts = self._parts
        directory = parts.picture.directory
        homes = [
            NewHome(
                source_id=directory.sources[move.source].id,
                home_key=move.to,
                kind=move.kind,
                reason=move.reason,
                moves=move.moves,
            )
            for move in moves
        ]
        async with parts.writer.transaction() as connection:
            placed = await place_sources(connection, homes, to_datetime(parts.clock.now_us()))
        parts.placements.replace(placed, directory)
        for move in moves:
            before = places[move.source].home
            if move.kind == "stayed" and before is not None:
                self._barred[move.source, before] = now + self._terms.barred_seconds
            parts.counters.add(f"balance.{move.kind}")
            log.info(
                "A source has another home" if before is not None else "A source has a home",
                source=directory.sources[move.source].name,
                proxy=self._name(move.to),
                before=None if before is None else self._name(before),
                kind=move.kind,
                reason=move.reason,
            )
        self._barred = {pair: until for pair, until in self._barred.items() if until > now}

    async def _note(self, places: Sequence[Place]) -> None:
        directory = self._parts.picture.directory
        loads = [
            (directory.sources[place.source].id, place.heard, self._rates.of(place.source))
            for place in places
            if place.source in directory.sources
        ]
        if loads:
            async with self._parts.writer.transaction() as connection:
                await note_loads(connection, sorted(loads, key=lambda row: row[0]))

    def _name(self, key: bytes) -> str:
        peer = self._parts.picture.directory.peers.get(key)
        return key.hex() if peer is None else peer.name


def _burdens(proxies: Sequence[Proxy], places: Sequence[Place]) -> dict[bytes, Burden]:
    loads = loads_of(proxies, places)
    mean = sum(loads.values()) / len(loads) if loads else 0.0
    return {
        proxy.key: Burden(
            sources=sum(place.heard == proxy.key for place in places),
            bytes_per_second=loads.get(proxy.key, 0.0),
            share=loads.get(proxy.key, 0.0) / mean if mean else 0.0,
        )
        for proxy in proxies
    }
