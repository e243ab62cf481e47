"""What a server has whether it reigns or not, and what each of its reigns works with."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from server.balancing.placements import Placements
from server.evaluation.refresh import Expressions
from server.ordering.orders import RunOrders

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from core.runtime.clock import Clock
    from core.runtime.counters import Counters
    from core.wire.collector import Collector
    from server.api.services import PartHealth
    from server.feed.publisher import FeedPublisher
    from server.intake.desk import Desk
    from server.intake.presence import PresenceBook
    from server.intake.reception import Reception
    from server.inventory.keep import Retention
    from server.picture import Picture
    from server.refusals import Refusals
    from server.store.database import DatabaseOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Realm:
    """What outlives a reign: links, queue, pictures."""

    options: DatabaseOptions
    collector: Collector
    desk: Desk
    reception: Reception
    presence: PresenceBook
    picture: Picture
    refusals: Refusals
    clock: Clock
    counters: Counters
    retention: Retention
    secrets: Path
    page_url: str | None = None
    """How people reach the page, for the links in notices; None: they have none."""
    takeover_after: timedelta = timedelta(seconds=3)
    feed: FeedPublisher | None = None
    placements: Placements = field(default_factory=Placements)
    run_orders: RunOrders = field(default_factory=RunOrders)
    balance_every: timedelta = timedelta(seconds=60)
    parts: Callable[[], Sequence[PartHealth]] = lambda: ()
    """How every part is, this server among them."""
    expressions: Expressions = field(default_factory=Expressions)
    """Triggers' expressions as they were compiled, by a standby beforehand."""
    clock_skew_seconds: Callable[[], float] = lambda: 0.0
