"""Which proxy polls which host: exactly one of the host's group, the same one as long as it is up."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from core.security.poller import polled_host

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from core.runtime.clock import Clock
    from server.intake.directory import Directory
    from server.intake.presence import PresenceBook, Upstream
    from server.inventory.effective import Inventory

JOIN_SECONDS: Final = 15.0
"""A proxy takes part when its link has stood for so long: one that comes and goes takes no hosts from the others."""
LEAVE_SECONDS: Final = 30.0
"""A proxy that was not heard for so long takes part no more; one that is started anew keeps its hosts."""


def choose_poller(host: str, proxies: Iterable[bytes]) -> bytes | None:
    """Return which of the proxies (by key) polls `host`; None when there is none.

    Rendezvous hashing: a proxy that goes gives its hosts to all others alike, and one that comes takes only its share.
    """
    return max(proxies, key=lambda key: hashlib.sha256(key + host.encode()).digest(), default=None)


def next_electorate(
    present: Collection[bytes],
    groups: Mapping[bytes, int],
    heard: Mapping[bytes, float],
    links: Mapping[bytes, Upstream],
    now: float,
) -> frozenset[bytes]:
    """Return which proxies take part from now on, of those that may speak (`groups`: their group by key).

    `heard` says when each was heard last, in monotonic seconds. A proxy stays until it was silent for LEAVE_SECONDS,
    and comes when its link has stood for JOIN_SECONDS, or at once when its group would be without any.
    """
    staying = {key for key in present if key in groups and now - heard.get(key, -LEAVE_SECONDS) <= LEAVE_SECONDS}
    covered = {groups[key] for key in staying}
    coming = {
        key
        for key, way in links.items()
        if key in groups
        and way.is_fresh(now)
        and (now - way.since_seconds >= JOIN_SECONDS or groups[key] not in covered)
    }
    return frozenset(staying | coming)


def share_hosts(inventory: Inventory, directory: Directory, proxies: Collection[bytes]) -> dict[bytes, list[str]]:
    """Return the hosts each of the proxies polls."""
    by_group: dict[int, list[bytes]] = {}
    for key in proxies:
        by_group.setdefault(directory.groups[key], []).append(key)
    shares: dict[bytes, list[str]] = {}
    for name, host in inventory.hosts.items():
        if host.polling is not None:
            group = directory.group_names.get(host.polling.proxy_group, -1)
            if (chosen := choose_poller(name, by_group.get(group, ()))) is not None:
                shares.setdefault(chosen, []).append(name)
    return shares


class PollShares:
    """Tells each proxy's share, from what is heard of the proxies.

    A server that has just begun has heard nobody yet: for LEAVE_SECONDS it counts every proxy that may speak, so that
    hosts do not wander when servers change.
    """

    def __init__(
        self,
        presence: PresenceBook,
        directory: Callable[[], Directory],
        inventory: Callable[[], Inventory],
        clock: Clock,
    ) -> None:
        self._presence = presence
        self._directory = directory
        self._inventory = inventory
        self._clock = clock
        self._began = clock.monotonic()
        self._heard: dict[bytes, float] = {}
        self._electorate: frozenset[bytes] = frozenset()
        self._drawn: tuple[object, ...] = ()
        self._shares: dict[bytes, list[str]] = {}

    def documents(self, proxy: bytes) -> dict[bytes, dict[str, Any]]:
        """Return what the proxy with this key is to poll: each host's document by its id."""
        inventory, directory = self._inventory(), self._directory()
        self._look(inventory, directory)
        documents = {}
        for host in self._shares.get(proxy, ()):
            if (document := inventory.polling_document(host)) is not None:
                documents[polled_host(host)] = document
        return documents

    def _look(self, inventory: Inventory, directory: Directory) -> None:
        now = self._clock.monotonic()
        groups = {
            key: group
            for key, group in directory.groups.items()
            if (peer := directory.peers.get(key)) is not None and not peer.revoked
        }
        links = {key: way for key, way in self._presence.upstreams.items() if key in groups}
        for key, way in links.items():
            self._heard[key] = way.heard_seconds
        if now - self._began <= LEAVE_SECONDS:
            self._electorate = frozenset(groups)
            self._heard |= {key: now for key in groups if key not in self._heard}
        else:
            self._electorate = next_electorate(self._electorate, groups, self._heard, links, now)
        drawn = (inventory.revision, self._electorate, tuple(groups.items()), tuple(directory.group_names.items()))
        if drawn != self._drawn:
            self._shares = share_hosts(inventory, directory, self._electorate)
            self._drawn = drawn
