"""How long the host has been up (proc(5): uptime)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from probes.declaration import Item, Reading, probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from probes.declaration import NoParameters, Visit


@probe("uptime", items=(Item(key="host.uptime", unit="s", description="Time since the host was started"),))
def read_uptime(visit: Visit, _parameters: NoParameters) -> Iterator[Reading]:
    """Read the kernel's own clock; in a container it is the container's where the runtime shows that."""
    yield Reading("host.uptime", float(visit.text("uptime").split()[0]))
