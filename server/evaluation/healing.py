"""Makes windows whole again once the samples that were missing in them have come late, from the store.

While a source's records are missing, what looks back over their time is unknown. Late samples do not enter windows by
themselves: they are older than what was evaluated. When the gap is filled, the windows are read from history, a portion
at a time between two groups, so that no sample comes in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from server.intake.screening import AHEAD_US
from server.store.history import read_undamaged
from server.store.instants import to_datetime
from server.store.latest import read_item_sources
from triggers.evaluation import NEVER, Columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from server.evaluation.watch import Watch
    from server.intake.ledger import Ledger
    from server.store.transaction import Writer

PORTION_ITEMS: Final = 500


class Healer:
    """What is to be healed. One reign's; only its ingest loop may call it, between groups."""

    def __init__(self, writer: Writer, watch: Watch, ledger: Ledger) -> None:
        self._writer = writer
        self._watch = watch
        self._ledger = ledger
        self._waiting: NDArray[np.int32] = np.empty(0, np.int32)

    @property
    def is_done(self) -> bool:
        """Tell whether no window waits for what has come."""
        if self._ledger.take_filled():
            self._waiting = self._watch.evaluator.gapped().items
        return not len(self._waiting)

    async def heal(self, now_us: int) -> None:
        """Heal the next portion. Raises StoreAway; then it is to be done again."""
        portion = self._waiting[:PORTION_ITEMS]
        gapped = self._watch.evaluator.gapped()
        chosen = np.isin(gapped.items, portion)
        items, before, since = gapped.items[chosen], gapped.until[chosen], gapped.since[chosen]
        if len(items):
            async with self._writer.database.connection(timeout_seconds=60) as connection:
                until = self._missed_until(items, await read_item_sources(connection, items.tolist()))
                is_better = until < before
                items, until, since = items[is_better], until[is_better], since[is_better]
                if len(items):
                    begin, end = to_datetime(int(since.min())), to_datetime(now_us + AHEAD_US)
                    samples = await read_undamaged(connection, items.tolist(), begin, end)
                    history = Columns(items=samples.items, instants=samples.at_us, values=samples.values)
                    self._watch.evaluator.heal(items, until, history)
        self._waiting = self._waiting[PORTION_ITEMS:]

    def _missed_until(self, items: NDArray[np.int32], sources: dict[int, set[int]]) -> NDArray[np.int64]:
        """Return before which instant samples of each item are missing still, by all the sources that ever had it."""
        until = dict.fromkeys(items.tolist(), NEVER)
        for source, own in sources.items():
            missed_us = self._ledger.missed_until_of(source)
            if missed_us is not None:
                until.update({item: max(until[item], missed_us) for item in own})
        return np.array([until[item] for item in items.tolist()], np.int64)
