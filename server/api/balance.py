"""Which proxy of a group serves which source, how much each sends, and why it lives there."""

from datetime import datetime
from typing import Literal

from server.api.endpoint import Answer, Call, Role, endpoint
from server.api.scope import require_unrestricted
from server.balancing.overview import GroupOverview, read_overview


class PlacedSource(Answer):
    """A source and its home, the proxy its agent is told to prefer.

    `heard`: where it was linked at the last look, null: nowhere. `kind`: it *came* by its own list, *followed* when its
    proxy failed, *moved* to even out, or *stayed* where it was when it could not be moved. `moves` counts moves after
    which it did not stay for a day; it rests twice as long after each.
    """

    source: str
    home: str
    heard: str | None
    bytes_per_second: float
    kind: Literal["came", "followed", "stayed", "moved"]
    reason: str
    since: datetime
    moved_at: datetime | None
    moves: int


class ServingProxy(Answer):
    """A proxy, how many sources it serves and what they send; `part`: of all that the group's sources send."""

    name: str
    source_count: int
    bytes_per_second: float
    part: float


class BalancedGroup(Answer):
    """A proxy group in which sources have homes."""

    group: str
    proxies: list[ServingProxy]
    sources: list[PlacedSource]


class Balance(Answer):
    """Every such group."""

    groups: list[BalancedGroup]


@endpoint("GET", "/balance", role=Role.OPERATOR)
async def show_balance(call: Call) -> Balance:
    """Show which proxy serves which source and why: as of the last look, at most a minute ago."""
    require_unrestricted(call)
    async with call.services.database.connection() as connection:
        return Balance(groups=[_view(each) for each in await read_overview(connection)])


def _view(overview: GroupOverview) -> BalancedGroup:
    return BalancedGroup(
        group=overview.group,
        proxies=[
            ServingProxy(
                name=each.name,
                source_count=each.source_count,
                bytes_per_second=each.bytes_per_second,
                part=each.part,
            )
            for each in overview.proxies
        ],
        sources=[
            PlacedSource(
                source=each.source,
                home=each.home,
                heard=each.heard,
                bytes_per_second=each.bytes_per_second,
                kind=each.kind,
                reason=each.reason,
                since=each.since,
                moved_at=each.moved_at,
                moves=each.moves,
            )
            for each in overview.sources
        ],
    )


ENDPOINTS = (show_balance,)
