"""Binds triggers as hosts' definitions and items come, a few hosts at a time; the rest stays as it is.

So what one new item costs does not grow with how many items there are, and neither does how long ingest waits.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import numpy as np

from server.evaluation.refresh import Expressions, rebind, watched_triggers
from server.store.inventory import read_names_of_hosts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from numpy.typing import NDArray

    from core.runtime.clock import Clock
    from server.evaluation.refresh import HostTriggers
    from server.evaluation.watch import Watch
    from server.inventory.effective import Inventory
    from server.store.transaction import Writer

PORTION_HOSTS: Final = 16


class Binder:
    """What is bound, and what has still to be. One reign's; only its ingest loop may call it.

    Hosts are due until somebody says they are `done`, so after a failure they are simply bound again.
    """

    def __init__(self, writer: Writer, watch: Watch, clock: Clock, expressions: Expressions | None = None) -> None:
        self._writer = writer
        self._watch = watch
        self._clock = clock
        self._expressions = expressions or Expressions()
        self._revision = -1
        self._triggers: HostTriggers = {}
        self._is_understood = True
        self._naming: dict[str, set[str]] = {}  # by host: the others whose expressions name it
        self._due: dict[str, None] = {}  # hosts to be bound, in their order
        self._new_items: set[int] = set()  # their hosts are not known yet
        self._known = np.zeros(1024, np.bool_)  # by item id

    @property
    def is_done(self) -> bool:
        """Tell whether nothing is left to be bound of what was seen and declared."""
        return not self._due and not self._new_items

    def is_whole(self, but: Collection[str]) -> bool:
        """Tell whether what is bound, `but` among it, is all there should be: then what nothing speaks for is over."""
        return self._is_understood and not self._new_items and self._due.keys() <= set(but)

    def see(self, inventory: Inventory) -> None:
        """Take note of which hosts' triggers are others than at the last look."""
        if inventory.revision == self._revision:
            return
        watched = watched_triggers(inventory, self._expressions)
        before, now = self._triggers, watched.triggers
        self._triggers, self._is_understood = now, watched.is_complete
        self._naming = _naming(now)
        self._revision = inventory.revision
        self._need(host for host in now.keys() | before.keys() if now.get(host) != before.get(host))

    def declared(self, items: NDArray[np.int32]) -> None:
        """Take note of committed declarations: what this reign had not heard of, new or not, is to be bound."""
        ids = items.astype(np.int64)
        if not len(ids):
            return
        if (highest := int(ids.max())) >= len(self._known):
            self._known.resize(2 * (highest + 1), refcheck=False)
        self._new_items.update(ids[~self._known[ids]].tolist())
        self._known[ids] = True

    def changed(self, items: Iterable[int]) -> None:
        """Take note of items that are declared otherwise now: of another type a trigger can no longer speak."""
        self._new_items.update(items)

    async def bind(self) -> Sequence[str]:
        """Bind the triggers of the next few hosts; returns which. Raises StoreAway, Fenced."""
        if self._new_items:
            async with self._writer.database.connection() as connection:
                self._need(await read_names_of_hosts(connection, self._new_items))
            self._new_items.clear()
        hosts = list(self._due)[:PORTION_HOSTS]
        triggers = {host: self._triggers.get(host, []) for host in hosts}
        await rebind(self._writer, self._watch, triggers, self._clock.now_us())
        return hosts

    def done(self, hosts: Iterable[str]) -> None:
        """Say that nothing is left to be done for these hosts."""
        for host in hosts:
            self._due.pop(host, None)

    def _need(self, hosts: Iterable[str]) -> None:
        for host in sorted(hosts):
            self._due[host] = None
            self._due.update(dict.fromkeys(sorted(self._naming.get(host, ()))))


def _naming(triggers: HostTriggers) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for host, own in triggers.items():
        for trigger in own:
            for other in trigger.other_hosts:
                found[other].add(host)
    return dict(found)
