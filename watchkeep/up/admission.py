"""The agent of `watchkeep up` is started when its proxy knows it: an agent that asks before is refused, and counted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from core.security.keys import load
from proxy.configuration import FILE, ProxyConfiguration

if TYPE_CHECKING:
    from watchkeep.up.layout import Layout

_WAIT_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.05


async def await_admission(layout: Layout) -> None:
    """Return once the proxy has heard of the agent's key from the server; it remembers that over restarts.

    After a minute it returns all the same: an agent goes on asking by itself. Raises KeyFault.
    """
    key = load(layout.key_file("agent")).public
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _WAIT_SECONDS
    while loop.time() < deadline:
        if ProxyConfiguration(layout.proxy / FILE).ring.peer(key) is not None:
            return
        await asyncio.sleep(_LOOK_SECONDS)
