"""Reads from the definitions what concerns telling about one host; for servers that are asked, active or standby."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.escalation.audience import Audience
from server.inventory.effective import Inventory
from server.store.definitions import read_telling

if TYPE_CHECKING:
    from server.store.database import Connection


async def read_audience(connection: Connection, host: str | None = None) -> Audience:
    """Return the audience as it is defined now, knowing of hosts only `host`. Raises StoredDefinitionBroken."""
    return Audience.draw(Inventory.from_stored(0, await read_telling(connection, host)))
