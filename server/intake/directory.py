"""Who may say what: the keys, sources and proxy assignments the server believes, as of the last look at the store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.security.authority import Peer
from core.security.poller import poller_source
from server.own.identity import OWN_KEY, OWN_SOURCE
from server.store.instants import to_us

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.store.peers import Assignment, PeerKey, Source


@dataclass(frozen=True, slots=True)
class Tenure:
    """A time during which a proxy group may relay a source: from `begin_us` on, before `end_us` (None: still)."""

    group_id: int
    begin_us: int
    end_us: int | None

    def covers(self, at_us: int) -> bool:
        """Tell whether an instant lies within."""
        return self.begin_us <= at_us and (self.end_us is None or at_us < self.end_us)


@dataclass(frozen=True, slots=True)
class Directory:
    """An unchanging picture of keys, sources and assignments; a newer one replaces it whole."""

    sources: Mapping[bytes, Source] = field(default_factory=dict)
    peers: Mapping[bytes, Peer] = field(default_factory=dict)
    groups: Mapping[bytes, int] = field(default_factory=dict)
    tenures: Mapping[int, Sequence[Tenure]] = field(default_factory=dict)
    group_names: Mapping[str, int] = field(default_factory=dict)
    pollers: Mapping[bytes, bytes] = field(default_factory=dict)
    """The keys of the proxies, by the source their poller speaks for."""

    def peer(self, key: bytes) -> Peer | None:
        """Return who speaks with this key, revoked or not; None when nobody ever did."""
        return self.peers.get(key)

    def objection(self, key: bytes, source: bytes, at_us: int) -> str | None:
        """Say why a record of `source` with samples of `at_us` may not come under `key`; None when it may."""
        if self._is_own(key, source):
            return None
        peer = self.peers.get(key)
        known = self.sources.get(source)
        if peer is None or peer.revoked:
            return "the key it came under is unknown or revoked"
        if known is None:
            return "its source is not enrolled"
        if peer.source == source:
            return None
        group = self.groups.get(key)
        if group is None:
            return "it speaks for another source"
        if any(tenure.group_id == group and tenure.covers(at_us) for tenure in self.tenures.get(known.id, ())):
            return None
        return "its source was not assigned to the proxy that relayed it"

    def may_relay(self, key: bytes, source: bytes, begin_us: int, end_us: int) -> bool:
        """Tell whether nothing speaks against records of `source` under `key` whose samples lie within these instants.

        False where `objection` has to be asked for each.
        """
        if self._is_own(key, source):
            return True
        peer = self.peers.get(key)
        known = self.sources.get(source)
        if peer is None or peer.revoked or known is None:
            return False
        group = self.groups.get(key)
        return peer.source == source or any(
            tenure.group_id == group and tenure.covers(begin_us) and tenure.covers(end_us)
            for tenure in self.tenures.get(known.id, ())
        )

    def _is_own(self, key: bytes, source: bytes) -> bool:
        """Tell whether the server itself says this, under a key that no link can have."""
        return key == OWN_KEY and source == OWN_SOURCE.bytes and source in self.sources

    def may_carry(self, source_id: int, group: str) -> bool:
        """Tell whether a source is relayed by the proxy group of this name now."""
        wanted = self.group_names.get(group)
        return any(tenure.group_id == wanted and tenure.end_us is None for tenure in self.tenures.get(source_id, ()))


def draw_directory(
    sources: Sequence[Source],
    keys: Sequence[PeerKey],
    assignments: Sequence[Assignment],
    group_names: Mapping[str, int] | None = None,
) -> Directory:
    """Make the picture.

    A source's first assignment counts from the beginning: it may have sampled before it was enrolled.
    """
    tenures: dict[int, list[Tenure]] = {}
    for row in assignments:
        known = tenures.setdefault(row.source_id, [])
        known.append(
            Tenure(
                group_id=row.group_id,
                begin_us=to_us(row.assigned_at) if known else 0,
                end_us=None if row.released_at is None else to_us(row.released_at),
            )
        )
    return Directory(
        sources={source.uuid.bytes: source for source in sources},
        peers={
            key.key: Peer(
                key=key.key,
                role=key.role,
                name=key.name,
                source=None if key.source_uuid is None else key.source_uuid.bytes,
                revoked=key.revoked_at is not None,
            )
            for key in keys
        },
        groups={key.key: key.group_id for key in keys if key.group_id is not None},
        tenures=tenures,
        group_names=group_names or {},
        pollers={poller_source(key.key).bytes: key.key for key in keys if key.role == "proxy"},
    )
