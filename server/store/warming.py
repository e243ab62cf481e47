"""Makes a connection's server process know the tables before it is needed: its first look at each takes a while."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from server.store.database import Connection

# None is read, and none locked any longer than the statement.
MEET: Final = """
SELECT
    EXISTS (SELECT FROM received WHERE false), EXISTS (SELECT FROM received_gap WHERE false),
    EXISTS (SELECT FROM problem WHERE false), EXISTS (SELECT FROM event WHERE false),
    EXISTS (SELECT FROM outbox WHERE false), EXISTS (SELECT FROM host WHERE false),
    EXISTS (SELECT FROM item WHERE false), EXISTS (SELECT FROM item_source WHERE false),
    EXISTS (SELECT FROM source WHERE false), EXISTS (SELECT FROM dictionary WHERE false),
    EXISTS (SELECT FROM trigger WHERE false), EXISTS (SELECT FROM definition WHERE false),
    EXISTS (SELECT FROM history_batch WHERE false), EXISTS (SELECT FROM history_text WHERE false),
    EXISTS (SELECT FROM history WHERE false), EXISTS (SELECT FROM history_packed WHERE false),
    EXISTS (SELECT FROM lease WHERE false)
"""


async def meet_tables(connection: Connection) -> None:
    """Look at every table that a reign opens with."""
    await connection.execute(MEET)
