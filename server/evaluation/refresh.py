"""Keeps the watch equal to what is defined and what exists, and its windows filled from history."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from sys import intern
from typing import TYPE_CHECKING, Final

import numpy as np

from core.runtime.logging import Log
from server.evaluation.bindings import HostItems, WatchedTrigger, wanted_instances
from server.store.history import read_undamaged
from server.store.instants import to_datetime, to_us
from server.store.inventory import read_host_ids, read_numeric_items
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
    from server.store.inventory import NumericItem
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


HostTriggers = dict[str, list[WatchedTrigger]]
"""The triggers of each host, by its name; a host with none takes part all the same, so that what it had goes."""


@dataclass(frozen=True, slots=True)
class Watched:
    """Every trigger of every defined host; `is_complete` unless this version did not understand one of them."""

    triggers: HostTriggers
    is_complete: bool


def watched_triggers(inventory: Inventory, expressions: Expressions) -> Watched:
    """List what is to be watched; a trigger not understood is logged and left out."""
    watched: HostTriggers = {}
    is_complete = True
    for host in inventory.hosts:
        own = watched[host] = []
        for trigger in inventory.triggers(host):
            try:
                compiled = expressions.compiled(trigger.expression)
            except ExpressionError as error:
                log.error("a trigger is not understood", template=trigger.template, trigger=trigger.name, error=error)
                is_complete = False
                continue
            own.append(
                WatchedTrigger(host=host, template=trigger.template, definition=trigger.definition, compiled=compiled)
            )
    return Watched(watched, is_complete)


async def rebind(writer: Writer, watch: Watch, triggers: HostTriggers, now_us: int) -> None:
    """Bind these hosts' triggers to the items that exist, and fill the windows this needs; others stay as they are.

    Costs what the items of these hosts, and of those that their expressions name, cost. Raises StoreAway, Fenced; then
    it is to be done again.
    """
    wanted = [trigger for own in triggers.values() for trigger in own]
    named = {trigger.host for trigger in wanted}.union(*(trigger.other_hosts for trigger in wanted))
    async with writer.transaction() as connection:
        host_ids = await read_host_ids(connection, named)
        known = [trigger for trigger in wanted if trigger.host in host_ids]
        rows = await read_numeric_items(connection, list(host_ids.values()) if known else ())
        trigger_ids = await ensure_triggers(connection, sorted({trigger.name for trigger in known}))
    items = _arrange(rows, host_ids)
    watch.rebind(triggers, wanted_instances(known, items), trigger_ids, host_ids, now_us)
    if rows:
        watch.evaluator.watched_since(
            np.array([row.id for row in rows], np.int32), np.array([row.born_us for row in rows], np.int64)
        )
    async with writer.database.connection(timeout_seconds=60) as connection:
        await refill(connection, watch, now_us)


def _arrange(rows: Iterable[NumericItem], host_ids: Mapping[str, int]) -> HostItems:
    ids: dict[int, dict[str, int]] = {host_id: {} for host_id in host_ids.values()}
    units: dict[int, str] = {}
    for item_id, host_id, key, unit, _ in rows:
        ids[host_id][key] = item_id
        units[item_id] = intern(unit)
    return HostItems({host: ids[host_id] for host, host_id in host_ids.items()}, units)


async def refill(connection: Connection, watch: Watch, now_us: int) -> None:
    """Give the evaluator the stored samples its new windows look back on.

    Looking for an old value is dear, so nobody does for an item that is younger than what is found at once.
    """
    needs = watch.evaluator.needs()
    newest_only = needs.window_seconds <= 0
    since = dict(zip(needs.items.tolist(), needs.since.tolist(), strict=True))
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
