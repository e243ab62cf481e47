"""How Watchkeep itself is: its parts, what was refused, the store by figures."""

from datetime import datetime
from typing import Literal

from server.api.endpoint import Answer, Call, Role, endpoint
from server.api.scope import require_unrestricted
from server.api.services import PartHealth
from server.store.errors import StoreAway


class PartView(Answer):
    """One part: a server, a proxy, an agent, the database."""

    kind: str
    name: str
    state: str
    since: datetime | None
    counters: dict[str, float]
    notes: list[str]


class RefusalView(Answer):
    """How often something was refused since the start, and the latest."""

    kind: str
    count: int
    last_at: datetime | None
    last_detail: str | None


class StoreView(Answer):
    """The store; figures are null while the database is away."""

    size_bytes: int | None = None
    values_per_second: float | None = None
    oldest_at: datetime | None = None
    database_version: str | None = None
    timescale: bool = False


class Health(Answer):
    """Watchkeep's own health, as this server sees it."""

    role: Literal["active", "standby"]
    epoch: int
    server: str
    parts: list[PartView]
    refusals: list[RefusalView]
    store: StoreView


@endpoint("GET", "/health", role=Role.OPERATOR)
async def show_health(call: Call) -> Health:
    """Show how Watchkeep's own parts are: to operators, since it names every agent, and who was refused from where."""
    require_unrestricted(call)
    source = call.services.health
    parts = list(source.parts())
    store = StoreView()
    try:
        facts = await call.services.facts.read()
    except StoreAway as error:
        parts.append(PartHealth(kind="database", name="database", state="silent", faults=[str(error)]))
    else:
        store = StoreView(
            size_bytes=facts.size_bytes,
            values_per_second=facts.values_per_second,
            oldest_at=facts.oldest_at,
            database_version=facts.database_version,
            timescale=facts.has_timescale,
        )
    return Health(
        role=source.role,
        epoch=source.epoch,
        server=source.server,
        parts=[
            PartView(
                kind=part.kind,
                name=part.name,
                state=part.state,
                since=part.since,
                counters=dict(part.counters),
                notes=[*part.faults, *part.notes],
            )
            for part in parts
        ],
        refusals=[
            RefusalView(kind=count.kind, count=count.count, last_at=count.last_at, last_detail=count.last_detail)
            for count in (*source.refusals(), *call.services.refusals.counts())
        ],
        store=store,
    )


ENDPOINTS = (show_health,)
