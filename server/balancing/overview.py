"""Who serves whom, for people: every group of several proxies, as the store tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.store.peers import read_groups, read_keys
from server.store.placements import read_placement_views

if TYPE_CHECKING:
    from server.store.database import Connection
    from server.store.placements import PlacementView


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingProxy:
    """A proxy, how many sources it serves and what they send; `part`: of all that the group's sources send."""

    name: str
    source_count: int
    bytes_per_second: float
    part: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupOverview:
    """A group, its proxies by name, its sources by home and load."""

    group: str
    proxies: tuple[ServingProxy, ...]
    sources: tuple[PlacementView, ...]


async def read_overview(connection: Connection) -> list[GroupOverview]:
    """Return every group in which sources have homes, by name; idle proxies too, revoked ones not."""
    views = await read_placement_views(connection)
    keys = await read_keys(connection)
    groups = await read_groups(connection)
    return [
        _overview(
            name,
            sorted(key.name for key in keys if key.group_id == group and key.revoked_at is None),
            [view for view in views if view.group_name == name],
        )
        for name, group in sorted(groups.items())
        if any(view.group_name == name for view in views)
    ]


def _overview(group: str, proxies: list[str], views: list[PlacementView]) -> GroupOverview:
    total = sum(view.bytes_per_second for view in views)
    served = {proxy: [view.bytes_per_second for view in views if view.heard == proxy] for proxy in proxies}
    return GroupOverview(
        group=group,
        proxies=tuple(
            ServingProxy(
                name=proxy,
                source_count=len(loads),
                bytes_per_second=sum(loads),
                part=sum(loads) / total if total else 0.0,
            )
            for proxy, loads in served.items()
        ),
        sources=tuple(views),
    )
