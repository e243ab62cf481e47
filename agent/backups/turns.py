"""Which runs begin now, which claim a place under a limit, and which wait for this host's others; pure."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from agent.backups.places import Claim
    from backup.settings.backup_set import SetSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A run to start under the id (set, due_at). is_unplaced: no server gave it its place in time."""

    chosen: SetSettings
    due_at: datetime
    reason: str
    is_ordered: bool = False
    is_unplaced: bool = False


@dataclass(slots=True, kw_only=True)
class Running:
    """A run under way; `stop` ends it, `phase` is what it does now."""

    due: Due
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    phase: str = ""
    task: asyncio.Task[None] | None = None


class Turns(NamedTuple):
    """What begins, the sets that claim a place, and those that wait until others of this host have ended."""

    starting: list[Due]
    claiming: dict[str, Claim]
    waiting: list[str]


def take_turns(due: Iterable[Due], claims: dict[str, Claim], room: int) -> Turns:
    """Share this host's room: what may begin comes first, and a place is claimed only where there is room for it.

    What is ordered comes before what is due, the oldest first. So a place that is given is never one too many here,
    and what needs none does not wait behind what does.
    """
    due = sorted(due, key=lambda each: (not each.is_ordered, each.due_at))
    starting, rest = due[: max(0, room)], due[max(0, room) :]
    oldest = sorted(claims, key=lambda name: (claims[name].since, name))
    left = max(0, room - len(starting))
    return Turns(
        starting,
        {name: claims[name] for name in oldest[:left]},
        [*(each.chosen.name for each in rest), *oldest[left:]],
    )
