"""Keeps the watch equal to what is defined and what exists, and its windows filled from history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import numpy as np

from core.runtime.logging import Log
from server.evaluation.bindings import WatchedTrigger, items_by_host, wanted_instances
from server.store.history import read_undamaged
from server.store.instants import to_datetime, to_us
from server.store.inventory import read_births, read_hosts, read_items
from server.store.latest import FRESH_SECONDS, read_fresh, read_older
from server.store.problems import ensure_triggers
from triggers.compile import compile_expression
from triggers.evaluation import Columns
from triggers.expression import ExpressionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from server.evaluation.watch import Watch
    from server.inventory.effective import Inventory
    from server.store.database import Connection
    from server.store.latest import Latest
    from server.store.transaction import Writer
    from triggers.compile import Compiled

log = Log("evaluation")

REFILL_ITEMS: Final = 2000
"""Items whose windows are read from history at once."""


class Expressions:
    """Compiled expressions by their text: one for all the hosts of a template."""

    def __init__(self) -> None:
        self._compiled: dict[str, Compiled] = {}

    def compiled(self, text: str) -> Compiled:
        """Return the compiled expression. Raises ExpressionError."""
        if text not in self._compiled:
            self._compiled[text] = compile_expression(text)
        return self._compiled[text]


@dataclass(frozen=True, slots=True)
class Watched:
    """Every trigger of every defined host; `is_complete` unless this version did not understand one of them."""

    triggers: list[WatchedTrigger]
    is_complete: bool


def watched_triggers(inventory: Inventory, expressions: Expressions) -> Watched:
    """List what is to be watched; a trigger not understood is logged and left out."""
    watched: list[WatchedTrigger] = []
    is_complete = True
    for host in inventory.hosts:
        for trigger in inventory.triggers(host):
            try:
                compiled = expressions.compiled(trigger.expression)
            except ExpressionError as error:
                log.error("a trigger is not understood", template=trigger.template, trigger=trigger.name, error=error)
                is_complete = False
                continue
            watched.append(
                WatchedTrigger(host=host, template=trigger.template, definition=trigger.definition, compiled=compiled)
            )
    return Watched(watched, is_complete)


async def rebind(writer: Writer, watch: Watch, triggers: list[WatchedTrigger], now_us: int) -> None:
    """Bind the triggers to the items that exist, and fill the windows this needs. Raises StoreAway, Fenced."""
    async with writer.transaction() as connection:
        items = await read_items(connection)
        births = await read_births(connection, [item.id for item in items])
        host_ids = {host.name: host.id for host in await read_hosts(connection)}
        known = [trigger for trigger in triggers if trigger.host in host_ids]
        trigger_ids = await ensure_triggers(
            connection, sorted({(trigger.template, trigger.definition.name) for trigger in known})
        )
    wanted = wanted_instances(known, items_by_host(items), {item.id: item.unit for item in items})
    watch.rebind(wanted, trigger_ids, host_ids, now_us)
    watched = watch.items()
    since = {item: to_us(born) for item, born in births.items() if item in watched}
    watch.evaluator.watched_since(np.fromiter(since, np.int32), np.fromiter(since.values(), np.int64))
    async with writer.database.connection(timeout_seconds=60) as connection:
        await refill(connection, watch, since, now_us)


async def refill(connection: Connection, watch: Watch, since: Mapping[int, int], now_us: int) -> None:
    """Give the evaluator the stored samples its new windows look back on; `since`: when each item was first known, µs.

    Looking for an old value is dear, so nobody does for an item that is younger than what is found at once.
    """
    needs = watch.evaluator.needs()
    newest_only = needs.window_seconds <= 0
    fresh_from = now_us - FRESH_SECONDS * 1_000_000
    for items in _portions(needs.items[newest_only]):
        latest = await read_fresh(connection, items.tolist())
        older = [item for item in items.tolist() if item not in latest and since[item] < fresh_from]
        latest |= await read_older(connection, older)
        watch.evaluator.refill(_columns(latest))
        watch.evaluator.refilled(items)
    windowed = needs.items[~newest_only]
    seconds = float(needs.window_seconds.max(initial=0.0))
    begin = to_datetime(now_us) - timedelta(seconds=seconds)
    end = to_datetime(now_us) + timedelta(minutes=10)
    for items in _portions(windowed):
        samples = await read_undamaged(connection, items.tolist(), begin, end)
        watch.evaluator.refill(Columns(items=samples.items, instants=samples.at_us, values=samples.values))
        # What has nothing in its window was evaluated up to its newest sample all the same: older ones are late.
        silent = np.setdiff1d(items, samples.items).tolist()
        older = [item for item in silent if since[item] < to_us(begin)]
        watch.evaluator.refill(_columns(await read_older(connection, older)))
        watch.evaluator.refilled(items)


def _columns(latest: Mapping[int, Latest]) -> Columns:
    rows = [(item, each.at_us, each.value) for item, each in latest.items() if isinstance(each.value, float)]
    return Columns(
        items=np.array([row[0] for row in rows], np.int32),
        instants=np.array([row[1] for row in rows], np.int64),
        values=np.array([row[2] for row in rows], np.float64),
    )


def _portions(
    items: np.ndarray[tuple[int], np.dtype[np.int32]],
) -> Iterable[np.ndarray[tuple[int], np.dtype[np.int32]]]:
    return (items[begin : begin + REFILL_ITEMS] for begin in range(0, len(items), REFILL_ITEMS))
