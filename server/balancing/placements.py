"""The homes in force: what sources' documents say of their upstreams, and what the health page says of homes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from server.balancing.orders import FIELD, order_proxies, write_order

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from server.intake.directory import Directory
    from server.store.placements import Placement


@dataclass(frozen=True, slots=True)
class Burden:
    """What a proxy carries: how many sources live there, the load of all it serves, and that in even shares."""

    sources: int
    bytes_per_second: float
    share: float


@dataclass(slots=True)
class Placements:
    """Filled by the active server's balancer and read by the parts that outlive a reign.

    `is_balancing` False: the homes are kept, and agents are told that their own order holds.
    """

    is_balancing: bool = True
    by_source: dict[bytes, Placement] = field(default_factory=dict)
    burdens: Mapping[bytes, Burden] = field(default_factory=dict)
    _orders: dict[bytes, dict[str, Any]] = field(default_factory=dict)
    _drawn_for: tuple[object, object] | None = None

    def amended(self, source: bytes, document: dict[str, Any]) -> dict[str, Any]:
        """Return the document of a source with the order of its upstreams; without a home it is said nothing."""
        order = self._orders.get(source)
        return document if order is None else document | {FIELD: order}

    def replace(self, placements: Iterable[Placement], directory: Directory) -> None:
        """Take these homes over, and those of other sources as they are."""
        uuids = {source.id: uuid for uuid, source in directory.sources.items()}
        changed = {uuids[each.source_id]: each for each in placements if each.source_id in uuids}
        self.by_source |= changed
        self._draw(changed, directory)

    def forget_others(self, sources: Collection[bytes]) -> None:
        """Forget the homes of sources there are no more."""
        for source in self.by_source.keys() - sources:
            del self.by_source[source]
            self._orders.pop(source, None)

    def look(self, directory: Directory) -> None:
        """Draw all orders anew when keys or assignments may have changed."""
        drawn_for = (members_of(directory), directory.tenures)
        if drawn_for != self._drawn_for:
            self._orders = {}
            self._draw(self.by_source, directory)
            self._drawn_for = drawn_for

    def _draw(self, placements: Mapping[bytes, Placement], directory: Directory) -> None:
        members = members_of(directory)
        for source, placement in placements.items():
            group = group_of(source, directory)
            if group is None or not (proxies := members.get(group)):
                continue
            keys = order_proxies(source, placement.home_key, proxies) if self.is_balancing else []
            self._orders[source] = write_order(placement.number, keys)


def members_of(directory: Directory) -> dict[int, list[bytes]]:
    """Return the proxies that may speak, by group."""
    members: dict[int, list[bytes]] = {}
    for key, group in directory.groups.items():
        if (peer := directory.peers.get(key)) is not None and not peer.revoked:
            members.setdefault(group, []).append(key)
    return members


def group_of(source: bytes, directory: Directory) -> int | None:
    """Return the proxy group that carries an agent's source now; None of others."""
    known = directory.sources.get(source)
    if known is None or known.host_id is None:
        return None
    for tenure in directory.tenures.get(known.id, ()):
        if tenure.end_us is None:
            return tenure.group_id
    return None
