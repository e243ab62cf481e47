"""What this server knows of itself and of every part it hears, for the health page and for doctors."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal

from core.runtime.logging import Log
from server.api.refusals import RefusalCount
from server.api.services import AgentFacts, PartHealth
from server.intake.screening import AHEAD_US
from server.store.instants import to_datetime

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from core.runtime.clock import Clock
    from core.runtime.counters import Counters
    from server.balancing.placements import Placements
    from server.intake.desk import Desk
    from server.intake.directory import Directory
    from server.intake.presence import PresenceBook, Upstream
    from server.lease.roll import Roll
    from server.picture import Picture
    from server.refusals import Refusals
    from server.store.servers import ServerView

log = Log("server")
_REFUSED = "link.refused."

SKEW_SECONDS: Final = 5.0
"""A clock further off than this is told; heartbeats under way make a link's skew uncertain by less."""
_TOLD_BY_PROXIES: Final = {
    "custody.is_full": "it takes nothing more, its disk or its spool is full: its log names folder and remedy",
    "custody.is_failing": "its disk fails, so it promises nothing of what it takes: its log names folder and remedy",
    "poll.is_failing": "what it polls is lost, its spool cannot take it: its log names folder and remedy",
}
REFUSED: Final = "values more than 10 minutes ahead are refused"


class Health:
    """The API's HealthSource over what the daemon's parts hold in memory."""

    def __init__(  # noqa: PLR0913 - what it looks at, all by name
        self,
        *,
        server: str,
        desk: Desk,
        presence: PresenceBook,
        picture: Picture,
        refusals: Refusals,
        counters: Counters,
        clock: Clock,
        placements: Placements,
        roll: Callable[[], Roll],
        skew_seconds: Callable[[], float],
    ) -> None:
        self._server = server
        self._desk = desk
        self._presence = presence
        self._picture = picture
        self._refusals = refusals
        self._counters = counters
        self._clock = clock
        self._placements = placements
        self._roll = roll
        self._skew_seconds = skew_seconds
        self._began = to_datetime(clock.now_us())

    @property
    def server(self) -> str:
        """The name of this server."""
        return self._server

    @property
    def role(self) -> Literal["active", "standby"]:
        """Whether this server holds the lease."""
        return "standby" if self._desk.duty is None else "active"

    @property
    def epoch(self) -> int:
        """The epoch it holds, or saw last."""
        if self._desk.duty is not None:
            return self._desk.duty.epoch
        return 0 if self._picture.lease is None else self._picture.lease.epoch

    def parts(self) -> Sequence[PartHealth]:
        """Return this server, then every link, then the sources proxies speak of."""
        directory = self._picture.directory
        faults = ["the database is away"] if self._picture.is_store_away else []
        faults += [note for note in (self._desk.doubt, self._roll().reach.note) if note]
        faults += _skew_notes(self._skew_seconds(), "the database's, which is used instead")
        own = PartHealth(
            kind="server",
            name=self._server,
            state="up",
            since=self._began,
            counters={**self._counters.snapshot(), "clock_skew_seconds": self._skew_seconds()},
            faults=faults,
        )
        links = [self._link(upstream) for upstream in self._presence.upstreams.values()]
        linked = {upstream.peer.source for upstream in self._presence.upstreams.values()}
        relayed = [
            self._relayed(source, directory)
            for source in directory.sources
            if source not in linked and self._presence.sightings(source)
        ]
        others = [self._other(server) for server in self._roll().servers if server.name != self._server]
        return [own, *others, *links, *relayed]

    def agent(self, host: str) -> AgentFacts | None:
        """Return what is heard of the agent on a host, by its own link or through a proxy."""
        directory = self._picture.directory
        for uuid, source in directory.sources.items():
            if source.name != host:
                continue
            for upstream in self._presence.upstreams.values():
                if upstream.peer.source == uuid:
                    return AgentFacts(
                        software=upstream.software,
                        upstream=f"server {self._server}",
                        clock_skew_seconds=upstream.skew_us / 1_000_000,
                        spool_bytes=upstream.held_bytes,
                    )
            for sighting in self._presence.sightings(uuid)[:1]:
                proxy = directory.peers.get(sighting.proxy)
                return AgentFacts(
                    software=sighting.row.software,
                    upstream=None if proxy is None else f"proxy {proxy.name}",
                    clock_skew_seconds=sighting.row.skew_us / 1_000_000,
                    spool_bytes=sighting.row.waiting_bytes,
                )
        return None

    def refusals(self) -> Sequence[RefusalCount]:
        """Return what links and intake refused here, then what the proxies' links did, as far as they told."""
        return [*self._refusals.counts(), *self._refused_by_proxies()]

    def _refused_by_proxies(self) -> Sequence[RefusalCount]:
        told: dict[str, dict[str, int]] = {}
        for upstream in self._presence.upstreams.values():
            for counter, value in self._desk.report(upstream.peer.key).items():
                if counter.startswith(_REFUSED) and value:
                    told.setdefault(counter.removeprefix(_REFUSED), {})[upstream.peer.name] = int(value)
        return [
            RefusalCount(
                kind=f"proxy.{kind}",
                count=sum(at.values()),
                last_at=None,
                last_detail="at " + ", ".join(f"{name}: {count}" for name, count in sorted(at.items())),
            )
            for kind, at in sorted(told.items())
        ]

    def _link(self, upstream: Upstream) -> PartHealth:
        now = self._clock.monotonic()
        fault = self._desk.fault(upstream.peer.key)
        report = self._desk.report(upstream.peer.key)
        faults = [f"configuration: {fault}"] if fault else []
        faults += [told for counter, told in _TOLD_BY_PROXIES.items() if report.get(counter)]
        skew = upstream.skew_us / 1_000_000
        faults += _skew_notes(skew, "this server's", REFUSED)
        counters: dict[str, float] = {
            "held_records": upstream.held_records,
            "held_bytes": upstream.held_bytes,
            "clock_skew_seconds": skew,
        }
        if (burden := self._placements.burdens.get(upstream.peer.key)) is not None:
            counters["balance.sources"] = burden.sources
            counters["balance.load_bytes_per_second"] = round(burden.bytes_per_second, 1)
            counters["balance.share"] = round(burden.share, 3)
        return PartHealth(
            kind=upstream.peer.role,
            name=upstream.peer.name,
            state="up" if upstream.is_fresh(now) else "silent",
            since=to_datetime(self._clock.now_us()) - timedelta(seconds=now - upstream.since_seconds),
            counters={**counters, **report},
            faults=faults,
        )

    def _other(self, server: ServerView) -> PartHealth:
        lease = self._picture.lease
        is_holder = lease is not None and lease.holder == server.name and not lease.is_released
        return PartHealth(
            kind="server",
            name=server.name,
            state="up" if server.is_there else "silent",
            since=None,
            counters={"link.links": server.links},
            notes=["the active one"] if is_holder else ["stands by"] if server.is_there else [],
        )

    def _relayed(self, source: bytes, directory: Directory) -> PartHealth:
        sightings = self._presence.sightings(source)
        newest = sightings[0]
        fresh = [each for each in sightings if self._clock.monotonic() - each.seen_seconds < 10]
        proxy, holder = directory.peers.get(newest.proxy), directory.peers.get(newest.row.key)
        is_shut_out = holder is not None and holder.revoked and not fresh
        notes = [] if proxy is None else [f"through proxy {proxy.name}"]
        if (placed := self._placements.by_source.get(source)) is not None:
            home = directory.peers.get(placed.home_key)
            at = "a proxy that is gone" if home is None else home.name
            notes.append(f"at home at {at} since {placed.since:%Y-%m-%d %H:%M:%S} UTC: {placed.reason}")
        if is_shut_out:
            notes = ["its key was revoked: nothing of it is taken any more, until it is enrolled anew"]
        faults = _skew_notes(newest.row.skew_us / 1_000_000, "its proxy's", REFUSED)
        if self._presence.clones.is_barred(newest.row.key):
            faults.append(
                "its key is alive in more than one place, the later one is shut out: enrol a copied machine anew"
            )
        return PartHealth(
            kind="agent",
            name=directory.sources[source].name,
            state="revoked" if is_shut_out else "up" if fresh else "silent",
            since=to_datetime(newest.row.connected_at),
            counters={
                "held_records": newest.row.waiting_records,
                "held_bytes": newest.row.waiting_bytes,
                "clock_skew_seconds": newest.row.skew_us / 1_000_000,
            },
            notes=notes,
            faults=faults,
        )


def _skew_notes(seconds: float, whose: str, consequence: str = "") -> list[str]:
    """Say that a clock is wrong, and what comes of it when it is far ahead."""
    if abs(seconds) <= SKEW_SECONDS:
        return []
    way = "ahead of" if seconds > 0 else "behind"
    note = f"its clock is {timedelta(seconds=round(abs(seconds)))} {way} {whose}: have it follow a time server"
    return [f"{note}; {consequence}" if consequence and seconds * 1_000_000 > AHEAD_US else note]
