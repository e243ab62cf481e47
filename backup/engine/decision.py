"""Whether a run is a full or an incremental, and why: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from backup.model import Kind, RestorePoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to make, and the reason a person reads. base: the point an incremental goes on from; None for a full."""

    kind: Kind
    reason: str
    base: RestorePoint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """When a chain ends."""

    full_after_links: int
    full_after: timedelta


def decide(
    newest: RestorePoint | None, policy: Policy, now: datetime, *, is_full_asked: bool, doubt: str | None
) -> Decision:
    """Choose between full and incremental. `doubt`: why the newest chain cannot be gone on from (lost cache, damage)."""
    raise NotImplementedError
