"""Sees orders through: gives places, claims orders under the reign's epoch, has them told, keeps hosts' answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from core.runtime.logging import Log
from server.ordering.orders import read_answer
from server.ordering.queue import QueueKeeper
from server.store.backup_orders import (
    answer_order,
    claim_orders,
    expire_orders,
    read_answer_items,
    read_open_orders,
)
from server.store.errors import StoreAway
from server.store.latest import read_latest_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from core.runtime.clock import Clock
    from server.inventory.effective import Inventory
    from server.ordering.orders import Answered, RunOrders
    from server.store.backup_orders import BackupOrder
    from server.store.database import Connection
    from server.store.transaction import Writer

log = Log("orders")

LOOK_SECONDS: Final = 1.0


class OrderKeeper:
    """One reign's. `orders` is what agents are told; it is filled only with what this epoch has claimed."""

    def __init__(self, writer: Writer, orders: RunOrders, inventory: Callable[[], Inventory], clock: Clock) -> None:
        self._writer = writer
        self._queue = QueueKeeper(inventory, clock)
        self._orders = orders
        self._clock = clock
        self._is_failing = False

    async def run(self) -> NoReturn:
        """Look every second until cancelled. Raises Fenced."""
        try:
            while True:
                try:
                    await self.look()
                except StoreAway as error:
                    if not self._is_failing:
                        log.warning("orders of backups wait for the database", error=error)
                    self._is_failing = True
                else:
                    self._is_failing = False
                await self._clock.sleep(LOOK_SECONDS)
        finally:
            self._orders.replace(())

    async def look(self) -> None:
        """Look once. Raises StoreAway, Fenced."""
        async with self._writer.database.connection() as connection:
            found = await read_open_orders(connection)
            answers = await _read_answers(connection, found)
            claims = await self._queue.read_claims(connection)
        if found or claims:
            async with self._writer.transaction() as transaction:
                for order in found:
                    answer = answers.get(order.id)
                    if answer is not None and answer.state != order.state:
                        await answer_order(transaction, order, answer.state, answer.note)
                await expire_orders(transaction)
                await self._queue.give(transaction, claims)
                for order in await claim_orders(transaction, self._writer.epoch):
                    log.info(
                        "a run of a backup is ordered", host=order.host, set=order.set, due_at=order.due_at,
                        by=order.ordered_by, limits=",".join(order.limits), epoch=self._writer.epoch,
                    )  # fmt: skip
                found = await read_open_orders(transaction)
        # Only after COMMIT: what was not claimed for certain is not told.
        self._orders.replace(order for order in found if order.claimed_epoch == self._writer.epoch)


async def _read_answers(connection: Connection, orders: Sequence[BackupOrder]) -> dict[int, Answered]:
    """Return what hosts said of these orders, by their ids."""
    if not orders:
        return {}
    items = await read_answer_items(connection, {order.host for order in orders})
    wanted = {order.id: items[order.host, order.set] for order in orders if (order.host, order.set) in items}
    latest = await read_latest_texts(connection, list(wanted.values()))
    found: dict[int, Answered] = {}
    for order in orders:
        said = latest.get(wanted.get(order.id, -1))
        answer = read_answer(said.value) if said is not None and isinstance(said.value, str) else None
        if answer is not None and answer.due_at == order.due_at:
            found[order.id] = answer
    return found
