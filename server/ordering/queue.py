"""Reads the queue before the limits, and gives places: an order for each, in the reign's own transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from server.ordering.places import give_places, line_up, may_have_place, read_claim
from server.store.backup_orders import read_open_orders
from server.store.backup_places import (
    forget_old_places,
    give_place,
    read_claim_items,
    read_claim_texts,
    read_silence,
    read_spent,
    read_turns,
)
from server.store.escalations import read_now

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from core.runtime.clock import Clock
    from server.inventory.effective import Inventory
    from server.ordering.places import Claim
    from server.store.backup_orders import BackupOrder
    from server.store.database import Connection

ITEMS_SECONDS: Final = 15.0
"""How soon a set that never claimed a place before is heard."""
FORGET_SECONDS: Final = 3600.0
EXPIRES: Final = timedelta(minutes=10)
"""How long a place is kept for a host that does not begin."""
BY: Final = "the schedule"


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """The runs that wait for a place, who comes first first; the orders that are open; who is silent for how long."""

    now: datetime
    line: list[Claim]
    ready: frozenset[Claim]
    open_orders: list[BackupOrder]
    silence: Mapping[str, float]


async def read_claims(connection: Connection, items: Mapping[int, tuple[str, str]]) -> list[Claim]:
    """Return what these items claim now."""
    found = await read_claim_texts(connection, items)
    claims = (read_claim(*items[item], text) for item, text in found.items())
    return [claim for claim in claims if claim is not None]


async def read_queue(connection: Connection, claims: list[Claim]) -> Queue:
    """Return the queue of those that claim, but for sets that have an open order and runs that were ordered before."""
    now = await read_now(connection)
    open_orders = await read_open_orders(connection)
    served = {(order.host, order.set) for order in open_orders}
    # A claim that can get nothing keeps no place free: it may be out of date, or a host's that claims it for ever.
    spent = await read_spent(connection, [(claim.host, claim.set, claim.due_at) for claim in claims])
    claims = [
        claim
        for claim in claims
        if (claim.host, claim.set) not in served and (claim.host, claim.set, claim.due_at) not in spent
    ]
    hosts = {claim.host for claim in claims}
    silence = await read_silence(connection, hosts | {order.host for order in open_orders})
    turns = await read_turns(connection, hosts)
    by_set = {(turn.host, turn.set): turn for turn in turns}
    return Queue(
        now=now,
        line=line_up(claims, turns, now),
        ready=frozenset(
            claim for claim in claims if may_have_place(claim, by_set.get((claim.host, claim.set)), silence, now)
        ),
        open_orders=open_orders,
        silence=silence,
    )


class QueueKeeper:
    """One reign's; what it remembers is which items claim."""

    def __init__(self, inventory: Callable[[], Inventory], clock: Clock) -> None:
        self._inventory = inventory
        self._clock = clock
        self._items: dict[int, tuple[str, str]] = {}
        self._items_of: object = None
        self._next_items = 0.0
        self._next_forgetting = 0.0

    async def read_claims(self, connection: Connection) -> list[Claim]:
        """Return what hosts under limits claim now. Without limits nothing is asked."""
        limits = self._inventory().limits_of
        if not limits:
            self._items = {}
        elif self._items_of is not limits or self._clock.monotonic() >= self._next_items:
            self._items = await read_claim_items(connection, limits)
            seconds = ITEMS_SECONDS if self._items else 0.0
            self._items_of, self._next_items = limits, self._clock.monotonic() + seconds
        return await read_claims(connection, self._items)

    async def give(self, transaction: Connection, claims: list[Claim]) -> None:
        """Order the runs that get a place, in a transaction that holds the lease's epoch."""
        if self._clock.monotonic() >= self._next_forgetting:
            await forget_old_places(transaction)
            self._next_forgetting = self._clock.monotonic() + FORGET_SECONDS
        queue = await read_queue(transaction, claims)
        ready = [claim for claim in queue.line if claim in queue.ready]
        for claim, limits in give_places(
            ready, self._inventory().limits_of, queue.open_orders, queue.silence, queue.now
        ):
            await give_place(
                transaction, host=claim.host, name=claim.set, due_at=claim.due_at, limits=limits, by=BY,
                expires_at=queue.now + EXPIRES,
            )  # fmt: skip
