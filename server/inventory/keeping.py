"""Reads how long items are kept from the store: for the page of a standby too, and for commands without a server."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from server.inventory.effective import Inventory
from server.inventory.keep import Keep, Retention
from server.store.definitions import read_keeping
from server.store.settings import read_setting, write_setting

if TYPE_CHECKING:
    from server.store.database import Connection

_SETTING: Final = "retention"


async def write_default(connection: Connection, keep: Keep) -> None:
    """Leave the active server's own terms, which stand in its configuration, where everybody can read them."""
    terms = {"history_seconds": keep.history.total_seconds(), "trends_seconds": keep.trends.total_seconds()}
    if await read_setting(connection, _SETTING) != terms:
        await write_setting(connection, _SETTING, terms, by="server")


async def read_retention(connection: Connection, host: str | None = None) -> Retention:
    """Return how long items are kept, of one host or of all. Raises StoredDefinitionBroken."""
    terms = await read_setting(connection, _SETTING)
    default = Keep()
    if terms is not None:
        default = Keep(
            history=timedelta(seconds=terms["history_seconds"]), trends=timedelta(seconds=terms["trends_seconds"])
        )
    inventory = Inventory.from_stored(0, await read_keeping(connection, host))
    return Retention(default=default, inventory=lambda: inventory)
