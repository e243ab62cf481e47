"""Who is heard, by which way, and whether a source's silence is its own: the collector's judgement behind `nodata`.

A source is silent when an upstream it may use has been up and fresh for longer than the failover grace, that upstream
holds nothing old any more, every number the source announced has ended, and still nothing comes. Otherwise nobody
knows: its proxy may be dead, or its records may be on their way. Live records overtake a backlog, so the newest number
alone says nothing while numbers below it are open and somebody who carries the source still holds something old; when
nobody does, they are gone, and do not keep silence from being noticed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from core.security.poller import poller_source
from core.wire.messages import Goodbye, Hello, Presence, SourceHeartbeat
from server.intake.clones import CloneWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from core.runtime.clock import Clock
    from core.security.authority import Peer
    from core.wire.messages import PresenceRow, SourceMessage
    from server.intake.directory import Directory
    from server.intake.ledger import Ledger

FRESH_SECONDS: Final = 7.0
DEFAULT_GRACE_SECONDS: Final = 30.0
OLD_US: Final = 10 * 1_000_000
"""An upstream whose oldest held record is younger than this is not behind."""
NO_SOURCE: Final = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """A link into this server, an agent's own or a proxy's. Seconds are the clock's monotonic ones."""

    peer: Peer
    software: str
    since_seconds: float
    heard_seconds: float
    boot: int = 0
    number: int = 0
    held_records: int = 0
    held_bytes: int = 0
    oldest_at_us: int = 0
    skew_us: int = 0

    def is_fresh(self, now_seconds: float) -> bool:
        """Tell whether it was heard lately."""
        return now_seconds - self.heard_seconds <= FRESH_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A source as a proxy last described it."""

    row: PresenceRow
    proxy: bytes
    seen_seconds: float


class PresenceBook:
    """What every link and every proxy says of itself, as of the last message. Nothing in it outlives the process."""

    def __init__(self, clock: Clock, grace_seconds: float = DEFAULT_GRACE_SECONDS) -> None:
        self.clones = CloneWatch()
        self._clock = clock
        self._grace_seconds = grace_seconds
        self._began_seconds = clock.monotonic()
        self._upstreams: dict[bytes, Upstream] = {}
        self._sightings: dict[bytes, dict[bytes, Sighting]] = {}
        self._item_sources: NDArray[np.int32] = np.zeros(1024, np.int32)

    def begin_anew(self) -> None:
        """Judge nobody for the grace from now on: this server has just become active, or could take nobody in."""
        self._began_seconds = self._clock.monotonic()

    @property
    def upstreams(self) -> Mapping[bytes, Upstream]:
        """Every link heard since the start, by key."""
        return self._upstreams

    def sightings(self, source: bytes) -> list[Sighting]:
        """Return what proxies said of a source last, the freshest first."""
        seen = self._sightings.get(source, {}).values()
        return sorted(seen, key=lambda sighting: sighting.seen_seconds, reverse=True)

    def heard(self, peer: Peer, message: SourceMessage) -> None:
        """Take note of a message of a welcomed link."""
        now = self._clock.monotonic()
        if isinstance(message, Hello):
            self._upstreams[peer.key] = Upstream(
                peer=peer, software=message.software, since_seconds=now, heard_seconds=now
            )
            return
        upstream = self._upstreams.get(peer.key)
        if upstream is None:
            return
        if isinstance(message, Goodbye):
            del self._upstreams[peer.key]
        elif isinstance(message, SourceHeartbeat):
            was_fresh = upstream.is_fresh(now)
            self._upstreams[peer.key] = replace(
                upstream,
                since_seconds=upstream.since_seconds if was_fresh else now,
                heard_seconds=now,
                boot=message.boot,
                number=message.number,
                held_records=message.held_records,
                held_bytes=message.held_bytes,
                oldest_at_us=message.oldest_at,
                skew_us=message.clock - self._clock.now_us(),
            )
        elif isinstance(message, Presence):
            self._note_presence(peer.key, message, now)

    def learn_sources(self, items: NDArray[np.int32], source_id: int) -> None:
        """Remember that `items` come from `source_id`; an item several sources sample is the last one's."""
        if not len(items):
            return
        highest = int(items.max())
        if highest >= len(self._item_sources):
            grown = np.zeros(2 * (highest + 1), np.int32)
            grown[: len(self._item_sources)] = self._item_sources
            self._item_sources = grown
        self._item_sources[items] = source_id

    def recall_sources(self, items: NDArray[np.int32], source_id: int) -> None:
        """Remember the same as the store tells it, of items of which nothing was heard yet."""
        is_known = items < len(self._item_sources)
        is_known[is_known] = self._item_sources[items[is_known]] != NO_SOURCE
        self.learn_sources(items[~is_known], source_id)

    def judge(self, directory: Directory, ledger: Ledger) -> Callable[[NDArray[np.int32]], NDArray[np.bool_]]:
        """Return the judge of this moment: given item ids, is each one's silence its own?"""
        by_id = {source.id: uuid for uuid, source in directory.sources.items()}
        verdicts: dict[int, bool] = {}

        def judge_items(items: NDArray[np.int32]) -> NDArray[np.bool_]:
            known = items < len(self._item_sources)
            sources = np.where(known, self._item_sources[np.where(known, items, 0)], NO_SOURCE)
            unique, places = np.unique(sources, return_inverse=True)
            for source_id in unique.tolist():
                if source_id not in verdicts:
                    uuid = by_id.get(source_id)
                    verdicts[source_id] = uuid is not None and self._is_judgeable(uuid, source_id, directory, ledger)
            return np.array([verdicts[source_id] for source_id in unique.tolist()], np.bool_)[places]

        return judge_items

    def _is_judgeable(self, source: bytes, source_id: int, directory: Directory, ledger: Ledger) -> bool:
        now = self._clock.monotonic()
        if now - self._began_seconds <= self._grace_seconds:
            return False
        if (poller := directory.pollers.get(source)) is not None:
            # What a proxy polls comes through that very proxy, or not at all.
            way = self._upstreams.get(poller)
            return (
                way is not None
                and self._is_steady(way, now)
                and not self._has_announced_more(source, source_id, ledger)
            )
        groups = {tenure.group_id for tenure in directory.tenures.get(source_id, ()) if tenure.end_us is None}
        proxies = [way for key, way in self._upstreams.items() if directory.groups.get(key) in groups]
        # Without a proxy group the source links to this server itself, which has been up for longer than the grace.
        has_steady_way = not groups or any(self._is_steady(way, now) for way in proxies)
        return has_steady_way and not self._has_announced_more(source, source_id, ledger)

    def _is_steady(self, way: Upstream, now: float) -> bool:
        return way.is_fresh(now) and now - way.since_seconds > self._grace_seconds and not self.is_behind(way)

    def is_behind(self, way: Upstream) -> bool:
        """Tell whether a link still holds something old, by its own clock."""
        return way.oldest_at_us != 0 and self._clock.now_us() + way.skew_us - way.oldest_at_us > OLD_US

    def _has_announced_more(self, source: bytes, source_id: int, ledger: Ledger) -> bool:
        """Tell whether a number it announced, to us or to a proxy, has not ended yet and may still come."""
        announced: dict[int, int] = {}
        carriers: list[Upstream] = []
        for sighting in self.sightings(source):
            announced[sighting.row.boot] = max(sighting.row.number, announced.get(sighting.row.boot, 0))
            if (proxy := self._upstreams.get(sighting.proxy)) is not None:
                carriers.append(proxy)
        for upstream in self._upstreams.values():
            if (upstream.peer.source or poller_source(upstream.peer.key).bytes) == source:
                announced[upstream.boot] = max(upstream.number, announced.get(upstream.boot, 0))
                carriers.append(upstream)
        now = self._clock.monotonic()
        has_backlog = any(way.is_fresh(now) and self.is_behind(way) for way in carriers)
        for boot, number in announced.items():
            account = ledger.account((source_id, boot))
            if boot and (number > account.highest or (has_backlog and account.open)):
                return True
        return False

    def _note_presence(self, proxy: bytes, message: Presence, now: float) -> None:
        if message.is_first:
            for source, sightings in list(self._sightings.items()):
                known = sightings.get(proxy)
                if known is not None and now - known.seen_seconds > 10 * FRESH_SECONDS:
                    del sightings[proxy]
                if not sightings:  # a proxy gone mad may name ever other sources
                    del self._sightings[source]
        for row in message.links:
            sighting = Sighting(row=row, proxy=proxy, seen_seconds=now)
            self._sightings.setdefault(row.source, {})[proxy] = sighting
            self.clones.note(row.key, proxy, row.session, row.heard_at, now)
