"""Whether every host is backed up, at a glance and host by host."""

from datetime import UTC, date, datetime, timedelta
from typing import Literal

from server.api.endpoint import Answer, Call, Role, endpoint
from server.api.scope import visible_hosts
from server.coverage.model import State, ThingState, ThingVerdict, Verdict, Waived
from server.coverage.reading import read_coverage
from server.coverage.thing import ThingKind
from server.inventory.effective import Inventory
from server.store.definitions import read_protection
from server.store.instants import to_datetime

_FROM_ELSEWHERE = "saved by a set of another host"


class WaiverView(Answer):
    """A waiver in force; `until` is the last day it counts (UTC). It is the definition `waiver` of this name."""

    name: str
    until: date
    reason: str


class ThingCoverage(Answer):
    """How a thing of a host stands: a database, a file system or a domain; `title` tells it apart on its host.

    unknown: a set saves the host, and does not say what of it.
    """

    kind: ThingKind
    name: str
    title: str
    state: ThingState
    reason: str
    by: str | None
    good_at: datetime | None
    waiver: WaiverView | None


class HostCoverage(Answer):
    """How a host stands. `by` is the set, HOST/SET, that saves it, or would if it were not too old.

    things: what it says it holds. unknown: database servers there that did not say what they hold.
    """

    host: str
    state: State
    reason: str
    by: str | None
    good_at: datetime | None
    waiver: WaiverView | None
    things: list[ThingCoverage]
    unknown: list[str]


class Coverage(Answer):
    """Every host, by name, and how many of each state. `new`: it has a day, or what it says itself, to be backed up."""

    counts: dict[Literal["covered", "waived", "new", "unprotected"], int]
    thing_counts: dict[Literal["covered", "waived", "unknown", "new", "unprotected"], int]
    hosts: list[HostCoverage]


@endpoint("GET", "/backups/coverage", role=Role.VIEWER, timeout_seconds=30.0)
async def show_coverage(call: Call) -> Coverage:
    """Say of every host and what it holds whether it is backed up, waived, new, or unprotected, and why."""
    visible = await visible_hosts(call)
    async with call.services.database.connection() as connection:
        inventory = Inventory.from_stored(0, await read_protection(connection))
        now = to_datetime(call.services.clock.now_us())
        verdicts = await read_coverage(connection, inventory, now, visible)
    counts: dict[Literal["covered", "waived", "new", "unprotected"], int] = {
        "covered": 0, "waived": 0, "new": 0, "unprotected": 0,
    }  # fmt: skip
    thing_counts: dict[Literal["covered", "waived", "unknown", "new", "unprotected"], int] = {
        "covered": 0, "waived": 0, "unknown": 0, "new": 0, "unprotected": 0,
    }  # fmt: skip
    for each in verdicts:
        counts[each.state] += 1
        for thing in each.things:
            thing_counts[thing.state] += 1
    return Coverage(counts=counts, thing_counts=thing_counts, hosts=[_view(each, visible) for each in verdicts])


def _view(verdict: Verdict, visible: frozenset[str] | None) -> HostCoverage:
    by, reason = _told(verdict, visible)
    return HostCoverage(
        host=verdict.host,
        state=verdict.state,
        reason=reason,
        by=by,
        good_at=verdict.good_at,
        waiver=_waiver(verdict.waiver),
        things=[_thing(each, visible) for each in verdict.things],
        unknown=list(verdict.unknown),
    )


def _thing(verdict: ThingVerdict, visible: frozenset[str] | None) -> ThingCoverage:
    by, reason = _told(verdict, visible)
    return ThingCoverage(
        kind=verdict.thing.kind,
        name=verdict.thing.name,
        title=verdict.thing.title,
        state=verdict.state,
        reason=reason,
        by=by,
        good_at=verdict.good_at,
        waiver=_waiver(verdict.waiver),
    )


def _told(verdict: Verdict | ThingVerdict, visible: frozenset[str] | None) -> tuple[str | None, str]:
    """Return the set and the reason as who sees only the `visible` hosts may know them."""
    by, reason = verdict.by, verdict.reason
    if by is not None and visible is not None and by.partition("/")[0] not in visible:
        return None, reason if verdict.state == "waived" else _FROM_ELSEWHERE
    return by, reason


def _waiver(waiver: Waived | None) -> WaiverView | None:
    if waiver is None:
        return None
    until = (waiver.ends_at.astimezone(UTC) - timedelta(days=1)).date()
    return WaiverView(name=waiver.name, until=until, reason=waiver.reason)


ENDPOINTS = (show_coverage,)
