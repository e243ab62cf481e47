"""How much goes to swap and comes back (proc(5): vmstat). How much is used, the probe `memory` tells."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from probes.declaration import Item, Reading, probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from probes.declaration import NoParameters, Visit

_ITEMS: Final = {
    "pswpin": Item(key="swap.in", unit="B/s", description="Memory brought back from swap"),
    "pswpout": Item(key="swap.out", unit="B/s", description="Memory moved to swap"),
}


@probe("swap", items=tuple(_ITEMS.values()))
def read_swap(visit: Visit, _parameters: NoParameters) -> Iterator[Reading]:
    """Yield rates from the second visit on; nothing on a kernel without swap."""
    page_bytes = os.sysconf("SC_PAGE_SIZE")
    for line in visit.text("vmstat").splitlines():
        name, _, total = line.partition(" ")
        if name in _ITEMS:
            yield Reading(_ITEMS[name].key, visit.rate(name, float(total) * page_bytes))
