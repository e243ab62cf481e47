"""Hosts: how each is, in one line and in detail."""

from datetime import UTC, datetime
from typing import Literal

from server.api.endpoint import Answer, Asked, Call, Role, Word, endpoint
from server.api.errors import not_found
from server.api.scope import groups_of, visible_hosts
from server.store.latest import read_fresh
from server.store.overview import (
    HostRow,
    read_current_boot,
    read_host_rows,
    read_polled_hosts,
    read_seconds_since_heard,
    read_summary_items,
)

HostState = Literal["up", "silent", "unknown"]
SILENT_SECONDS = 60.0
POLLED_SILENT_SECONDS = 180.0  # what is polled is asked once a minute, and one answer may be lost

_SUMMARY = {"cpu.busy": "cpu_busy", "memory.used_percent": "memory_used_percent"}


class HostSummary(Answer):
    """The host by three figures in percent; the fullest filesystem counts. Null where nothing is known."""

    cpu_busy: float | None = None
    memory_used_percent: float | None = None
    disk_used_percent: float | None = None


class HostView(Answer):
    """A host; `problems` counts open ones by severity."""

    id: int
    name: str
    state: HostState
    templates: list[str]
    groups: list[str]
    problems: dict[str, int]
    items: int
    last_at: datetime | None
    summary: HostSummary


class HostList(Answer):
    """All hosts the visitor may see, by name."""

    hosts: list[HostView]


class AgentView(Answer):
    """What is known of a host's agent; null where nothing is."""

    boot: str | None = None
    software: str | None = None
    upstream: str | None = None
    clock_skew_seconds: float | None = None
    spool_bytes: int | None = None


class HostDetail(HostView):
    """A host with its agent."""

    agent: AgentView | None


class HostPath(Asked):
    """A host by name."""

    name: Word


@endpoint("GET", "/hosts", role=Role.VIEWER)
async def list_hosts(call: Call) -> HostList:
    """List all hosts with their state."""
    return HostList(hosts=await _view(call, None))


@endpoint("GET", "/hosts/{name}", role=Role.VIEWER)
async def show_host(call: Call, path: HostPath) -> HostDetail:
    """Show one host and its agent."""
    views = await _view(call, path.name)
    if not views:
        raise not_found("host", path.name)
    view = views[0]
    async with call.services.database.connection() as connection:
        boot = await read_current_boot(connection, view.id)
    facts = call.services.health.agent(view.name)
    agent = None
    if boot is not None or facts is not None:
        agent = AgentView(
            # A boot has 63 bits, more than a number in JavaScript holds.
            boot=None if boot is None else f"{boot:016x}",
            software=None if facts is None else facts.software,
            upstream=None if facts is None else facts.upstream,
            clock_skew_seconds=None if facts is None else facts.clock_skew_seconds,
            spool_bytes=None if facts is None else facts.spool_bytes,
        )
    return HostDetail(**view.model_dump(), agent=agent)


def judge_state(
    last_at: datetime | None, heard_seconds_ago: float | None, now: datetime, silent_seconds: float = SILENT_SECONDS
) -> HostState:
    """Judge from what is stored: up while values come; silent when others' come; else unknown.

    When nothing at all comes in, the pipe may be at fault, so a host is not called silent for that.
    """
    if last_at is None:
        return "unknown"
    if (now - last_at).total_seconds() <= silent_seconds:
        return "up"
    return "silent" if heard_seconds_ago is not None and heard_seconds_ago <= SILENT_SECONDS else "unknown"


async def _view(call: Call, name: str | None) -> list[HostView]:
    visible, groups = await visible_hosts(call), groups_of(call)
    async with call.services.database.connection() as connection:
        rows = await read_host_rows(connection, name=name, only=visible)
        heard_seconds_ago = await read_seconds_since_heard(connection)
        summary_items = await read_summary_items(connection, [row.id for row in rows])
    polled = await _look_at_polled(call, [row.id for row in rows if row.last_at is None])
    latest = await call.services.latest.of_numbers([item for item, _, _ in summary_items])
    figures: dict[int, dict[str, float]] = {}
    for item, host, key in summary_items:
        value = latest[item].value if item in latest else None
        if isinstance(value, float):
            name_of_figure = _SUMMARY.get(key, "disk_used_percent")
            known = figures.setdefault(host, {})
            known[name_of_figure] = max(value, known.get(name_of_figure, value))
    now = datetime.fromtimestamp(call.services.clock.now_us() / 1_000_000, tz=UTC)

    def state_of(row: HostRow) -> HostState:
        if row.id in polled:
            return judge_state(*polled[row.id], now, POLLED_SILENT_SECONDS)
        return judge_state(row.last_at, heard_seconds_ago, now)

    return [
        HostView(
            id=row.id,
            name=row.name,
            state=state_of(row),
            templates=row.templates,
            groups=[group for group in row.groups if groups is None or group in groups],
            problems=row.problems,
            items=row.items,
            last_at=polled[row.id][0] if row.id in polled else row.last_at,
            summary=HostSummary(**figures.get(row.id, {})),
        )
        for row in rows
    ]


async def _look_at_polled(call: Call, hosts: list[int]) -> dict[int, tuple[datetime | None, float | None]]:
    """Return of hosts without an agent when their newest value was, and how many seconds ago their proxy was heard."""
    async with call.services.database.connection() as connection:
        found = await read_polled_hosts(connection, hosts)
        fresh = await read_fresh(connection, [item for each in found for item in each.items])
    # Older values cost a search: the items declared last are enough to say when a host was seen.
    stale = [each for each in found if fresh.keys().isdisjoint(each.items)]
    newest = fresh | await call.services.latest.of_numbers([item for each in stale for item in each.items[:20]])
    polled: dict[int, tuple[datetime | None, float | None]] = {}
    for each in found:
        at_us = max((newest[item].at_us for item in each.items if item in newest), default=None)
        last_at = None if at_us is None else datetime.fromtimestamp(at_us / 1_000_000, tz=UTC)
        polled[each.host_id] = (last_at, each.heard_seconds_ago)
    return polled


ENDPOINTS = (list_hosts, show_host)
