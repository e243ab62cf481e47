"""Who gets a place under a limit; pure.

Invariants of `give_places`: never more runs than a limit's `at_once`, never more of one host than its `per_host`; a run
gets a place in all of its limits or in none. Who has waited longest comes first, but nobody counts as waiting since
before his host's last turn, or in the future: whatever a host claims, it cannot come before those who wait their first.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from server.inventory.limits import LimitDefinition
    from server.store.backup_orders import BackupOrder
    from server.store.backup_places import Turn

SILENT_AFTER: Final = timedelta(minutes=15)
"""A run whose host is not heard for so long gives its place back."""
LONGEST_PLACE: Final = timedelta(hours=12)
"""However long it goes on: a run gives its place back then."""
PRESENT_WITHIN: Final = timedelta(minutes=2)
"""Only a host heard within this time is given a place."""
REST: Final = timedelta(minutes=1)
"""A set gets no two places within this time: one that does not use them holds nobody up."""
AHEAD: Final = timedelta(minutes=10)
"""How far in the future a run may be due, for clocks that differ."""
LONGEST_AGO: Final = timedelta(days=400)
_MOST_TARGETS: Final = 20
_LONGEST: Final = 4000
_NEVER: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A host says that the run (set, due_at), to these targets, waits for a place since an instant."""

    host: str
    set: str
    due_at: datetime
    since: datetime
    targets: tuple[str, ...]


class Place(NamedTuple):
    """Let this run begin; it counts for these limits from now on."""

    claim: Claim
    limits: tuple[str, ...]


def read_claim(host: str, name: str, text: str) -> Claim | None:
    """Read the item backup.claim: "DUE SINCE TARGET,TARGET"; None when it claims nothing that is understood."""
    words = text[:_LONGEST].split(" ")
    try:
        due, since, targets = words
        due_at, since_at = (_read_instant(each) for each in (due, since))
    except (OverflowError, ValueError):
        return None
    named = tuple(targets.split(",")[:_MOST_TARGETS])
    return Claim(host=host, set=name, due_at=due_at.replace(microsecond=0), since=since_at, targets=named)


def limits_of(claim: Claim, limits: Mapping[str, Sequence[LimitDefinition]]) -> list[LimitDefinition]:
    """Return the limits a run counts for, of those of its host."""
    return [limit for limit in limits.get(claim.host, ()) if limit.is_for(claim.targets)]


def holds_place(order: BackupOrder, silence: Mapping[str, float], now: datetime) -> bool:
    """Tell whether an open order counts for its limits. `silence`: for how many seconds hosts have not been heard."""
    if order.state == "ordered":
        return True
    return (
        now - order.ordered_at < LONGEST_PLACE
        and silence.get(order.host, SILENT_AFTER.total_seconds()) < SILENT_AFTER.total_seconds()
    )


def line_up(claims: Iterable[Claim], turns: Iterable[Turn], now: datetime) -> list[Claim]:
    """Return the claims in the order in which they get places."""
    last: dict[str, datetime] = {}
    for turn in turns:
        last[turn.host] = max(turn.ended_at, last.get(turn.host, _NEVER))

    def key(claim: Claim) -> tuple[datetime, datetime, str, str]:
        waits_since = min(claim.since, now)
        return max(waits_since, last.get(claim.host, _NEVER)), waits_since, claim.host, claim.set

    return sorted(claims, key=key)


def give_places(
    line: Iterable[Claim],
    limits: Mapping[str, Sequence[LimitDefinition]],
    open_orders: Iterable[BackupOrder],
    silence: Mapping[str, float],
    now: datetime,
) -> list[Place]:
    """Return who gets a place now, of those who wait in line."""
    used: Counter[str] = Counter()
    of_host: Counter[tuple[str, str]] = Counter()
    for order in open_orders:
        # A host that never ends its runs gets no more of them, for all its places were given back.
        of_host.update((limit, order.host) for limit in order.limits)
        if holds_place(order, silence, now):
            used.update(order.limits)
    given: list[Place] = []
    for claim in line:
        wanted = limits_of(claim, limits)
        if not wanted or any(
            used[limit.name] >= limit.at_once or of_host[limit.name, claim.host] >= limit.per_host for limit in wanted
        ):
            continue
        names = tuple(limit.name for limit in wanted)
        used.update(names)
        of_host.update((name, claim.host) for name in names)
        given.append(Place(claim, names))
    return given


def may_have_place(claim: Claim, turn: Turn | None, silence: Mapping[str, float], now: datetime) -> bool:
    """Tell whether a claim is one that could be followed now: its host there, its run due, its set not just served."""
    return (
        now - LONGEST_AGO <= claim.due_at <= now + AHEAD
        and silence.get(claim.host, PRESENT_WITHIN.total_seconds()) < PRESENT_WITHIN.total_seconds()
        and (turn is None or now - turn.given_at >= REST)
    )


def _read_instant(text: str) -> datetime:
    """Return an aware instant in UTC. Raises ValueError, OverflowError."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("an instant without a zone")
    return found.astimezone(UTC)
