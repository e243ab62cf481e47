"""Places under a server's limits: which sets need one, since when each waits, and when it begins without.

A limit is told in the host's document and remembered with it. A set that is due claims a place by an item; the server
gives it by ordering the very run. A server that does not answer holds nobody up for ever: a backup not made is worse
than a limit exceeded.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from core.runtime.window import Window

FIELD: Final = "backup_limits"
MOST_LIMITS: Final = 100
_LONGEST_WAIT_SECONDS: Final = 7 * 86_400.0
_WINDOW_SHARE: Final = 4
"""The last quarter of what was left of its window when it began to wait is the run's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Runs to one of `targets` (none: any) need a place; they wait for it so long."""

    name: str
    targets: frozenset[str]
    wait_at_most: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The run due at `due_at` waits: its set's turn came at `since`, it asks since `asked_at`, `begins_at` it goes on.

    `table` is its form in the agent's file.
    """

    due_at: datetime
    since: datetime
    asked_at: datetime
    begins_at: datetime
    targets: tuple[str, ...]

    @property
    def table(self) -> dict[str, Any]:
        """The claim as plain JSON values."""
        instants = {name: getattr(self, name).isoformat() for name in ("due_at", "since", "asked_at", "begins_at")}
        return {**instants, "targets": list(self.targets)}


def read_limits(body: Mapping[str, Any] | None) -> tuple[Limit, ...]:
    """Return the limits of a document; what is not understood limits nothing."""
    listed = None if body is None else body.get(FIELD)
    if not isinstance(listed, list):
        return ()
    found = (_read_limit(entry) for entry in listed[:MOST_LIMITS])
    return tuple(limit for limit in found if limit is not None)


def _read_limit(entry: Any) -> Limit | None:
    try:
        seconds = float(entry["wait_at_most_seconds"])
        targets = frozenset(str(target) for target in entry["targets"])
        name = str(entry["name"])
    except (KeyError, TypeError, ValueError):
        return None
    if not 0 <= seconds <= _LONGEST_WAIT_SECONDS:
        return None
    return Limit(name=name, targets=targets, wait_at_most=timedelta(seconds=seconds))


def limits_for(limits: Sequence[Limit], targets: Sequence[str]) -> list[Limit]:
    """Return the limits that a run to these targets needs a place of."""
    return [limit for limit in limits if not limit.targets or not limit.targets.isdisjoint(targets)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A set's schedule wants the run due at `due_at`; `base` is the due instant it is for, or is tried again for.

    since: the first due instant that was not made.
    """

    due_at: datetime
    base: datetime
    since: datetime
    targets: tuple[str, ...]
    wait_at_most: timedelta
    window: Window | None


class PlaceBook:
    """What waits for a place. A restart of the agent begins the waits anew, and the turns stay: `since` is kept."""

    def __init__(self) -> None:
        self._claims: dict[str, Claim] = {}

    def claim(self, name: str, wish: Wish, answered: datetime | None, now: datetime) -> Claim:
        """Return how the set waits. Its run keeps its id while the same due instant is meant, or a try for it.

        answered: when the run was due whose order was answered last, of this set.
        """
        known = self._claims.get(name)
        due_at, since, asked_at = wish.due_at.replace(microsecond=0), wish.since, now
        if known is not None:
            since, asked_at = min(known.since, since), min(known.asked_at, now)
            due_at = known.due_at if known.due_at >= wish.base else due_at
        if answered is not None and due_at <= answered:
            due_at = now.replace(microsecond=0)  # an id that was answered is not begun again
        begins_at = asked_at + wish.wait_at_most
        closes_at = None if wish.window is None else wish.window.closes_at(asked_at)
        if closes_at is not None:
            begins_at = min(begins_at, closes_at - (closes_at - asked_at) / _WINDOW_SHARE)
        self._claims[name] = Claim(
            due_at=due_at, since=min(since, due_at), asked_at=asked_at, begins_at=begins_at, targets=wish.targets
        )
        return self._claims[name]

    def claim_of(self, name: str) -> Claim | None:
        """Return how a set waits; None when it does not."""
        return self._claims.get(name)

    def keep(self, names: Collection[str]) -> None:
        """Forget the sets that wait no more."""
        self._claims = {name: claim for name, claim in self._claims.items() if name in names}

    def waits_for(self, name: str, due_at: datetime) -> bool:
        """Tell whether a set waits for this run, or for a later one in its stead."""
        return name in self._claims and due_at <= self._claims[name].due_at
