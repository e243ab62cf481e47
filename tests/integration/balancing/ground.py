"""An active server's balancer over a real database; proxies and their reports are said by hand, time is advanced."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from core.model.record import Origin, pack_values
from core.runtime.clock import ManualClock
from core.runtime.counters import Counters
from core.security.authority import Peer
from core.wire.messages import CountersReport, Hello, Presence, PresenceRow, SourceHeartbeat
from server.balancing.balancer import Balancer, BalancerParts
from server.balancing.placements import Placements
from server.balancing.plan import Terms
from server.intake.desk import Desk
from server.intake.presence import PresenceBook
from server.intake.reception import Reception
from server.inventory.apply import define_host
from server.picture import Picture
from server.store.inventory import ensure_hosts
from server.store.peers import PeerKey, add_key, assign_source, ensure_group, ensure_source

if TYPE_CHECKING:
    from server.store.database import Database
    from server.store.transaction import Writer

PROXIES = {"a": b"a" * 32, "b": b"b" * 32}
TERMS = Terms(every_seconds=60.0)


def uuid_of(name: str) -> UUID:
    return UUID(int=int(name.removeprefix("s")) + 1)


@dataclass
class Ground:
    """`linked`: at which proxy each source is linked; `rates`: how many records of 100 values each sends in five s."""

    database: Database
    writer: Writer
    linked: dict[str, str]
    rates: dict[str, int]
    clock: ManualClock = field(default_factory=ManualClock)
    up: set[str] = field(default_factory=lambda: set(PROXIES))
    full: set[str] = field(default_factory=set)
    behind: set[str] = field(default_factory=set)
    number: int = 0

    async def settle(self) -> None:
        """Let everybody in."""
        async with self.database.connection() as connection, connection.transaction():
            group = await ensure_group(connection, "default")
            for name, key in PROXIES.items():
                await add_key(connection, _key(key, name, group))
            hosts = await ensure_hosts(connection, set(self.linked))
            for name in self.linked:
                source = await ensure_source(connection, uuid_of(name), name, hosts[name])
                await assign_source(connection, source.id, group)
        for name in self.linked:
            await define_host(self.database, name, [], by="test")
        self.begin()

    def begin(self) -> None:
        """Begin a reign: everything in memory is new."""
        self.picture = Picture(self.database, self.clock)
        self.presence = PresenceBook(self.clock)
        self.counters = Counters()
        self.reception = Reception(self.clock, self.counters)
        self.placements = Placements()
        self.desk = Desk(
            reception=self.reception, presence=self.presence, directory=lambda: self.picture.directory,
            active_endpoint=lambda: "", clock=self.clock,
        )  # fmt: skip
        self.balancer = Balancer(
            BalancerParts(
                writer=self.writer, picture=self.picture, presence=self.presence, reception=self.reception,
                desk=self.desk, placements=self.placements, clock=self.clock, counters=self.counters, terms=TERMS,
            )
        )  # fmt: skip
        self.heard_before: set[str] = set()

    async def pass_time(self, seconds: float, *, obeys: bool = True) -> None:
        """Live in steps of five seconds; sources go where their documents send them, if they obey."""
        await self.picture.look()
        for _ in range(round(seconds / 5)):
            for proxy in sorted(self.up):
                await self._report(proxy)
            for name, count in self.rates.items():
                if self.linked[name] in self.up:
                    await self._send(name, count)
            await self.clock.advance(5)
            await self.balancer.look()
            if obeys:
                self._obey()

    def order(self, name: str) -> list[str]:
        """The order of the source's document."""
        return list(self.placements.amended(uuid_of(name).bytes, {}).get("upstreams", {}).get("keys", []))

    async def _report(self, proxy: str) -> None:
        peer = Peer(key=PROXIES[proxy], role="proxy", name=proxy)
        if proxy not in self.heard_before:
            self.heard_before.add(proxy)
            self.presence.heard(peer, _HELLO)
        beat = SourceHeartbeat(
            session=1, frame=0, boot=0, number=0, clock=self.clock.now_us(), held_records=0, held_bytes=0,
            oldest_at=self.clock.now_us() - 60_000_000 if proxy in self.behind else 0, epoch=1,
        )  # fmt: skip
        self.presence.heard(peer, beat)
        await self.desk.heard(peer, CountersReport(values={"custody.is_full": float(proxy in self.full)}))
        rows = tuple(
            PresenceRow(uuid_of(name).bytes, b"k" * 32, 4, 0, self.clock.now_us(), 5, 1, 0, 0, 0, "x")
            for name, at in self.linked.items()
            if at == proxy
        )
        self.presence.heard(peer, Presence(is_first=True, links=rows))

    async def _send(self, name: str, count: int) -> None:
        for _ in range(count):
            self.number += 1
            items, instants = array("I", range(1, 101)), [self.clock.now_us()] * 100
            made = pack_values(Origin(uuid_of(name), 1), self.number, 1, items, instants, array("d", [0.0]) * 100)
            await self.reception.put(PROXIES[self.linked[name]], made)
        if count:
            await self.reception.gather(1 << 20, 0.0, 1.0)

    def _obey(self) -> None:
        for name in self.linked:
            placed = self.placements.by_source.get(uuid_of(name).bytes)
            for proxy, key in PROXIES.items():
                if placed is not None and placed.home_key == key and proxy in self.up:
                    self.linked[name] = proxy


_HELLO = Hello(
    protocol=1, role="proxy", name="p", source=None, session=1, boots=(), configuration=0, epoch=0, software="x"
)


def _key(key: bytes, name: str, group: int) -> PeerKey:
    return PeerKey(key=key, role="proxy", name=name, source_id=None, source_uuid=None, group_id=group, revoked_at=None)
