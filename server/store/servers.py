"""Who serves, and the wish that the active server hands over.

A wish names the epoch it is for, so that one which comes late asks nothing of the next holder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from server.store.audit import write_audit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.store.database import Connection

FRESH_SECONDS = 5.0
"""A server heard within this is there."""

NOTE = """
INSERT INTO server_presence (name, endpoint, software, seen_at, links, callers)
VALUES (%(name)s, %(endpoint)s, %(software)s, clock_timestamp(), %(links)s, %(callers)s)
ON CONFLICT (name) DO UPDATE SET endpoint = excluded.endpoint, software = excluded.software,
    seen_at = excluded.seen_at, links = excluded.links, callers = excluded.callers
"""
LEAVE = "DELETE FROM server_presence WHERE name = %s"
LIST = """
SELECT name, endpoint, software, extract(epoch FROM clock_timestamp() - seen_at)::float8, links, callers
FROM server_presence WHERE seen_at > clock_timestamp() - interval '1 day' ORDER BY name
"""
WISH = """
INSERT INTO lease_wish (epoch, asked_at, asked_by) VALUES (%(epoch)s, clock_timestamp(), %(by)s)
ON CONFLICT (one) DO UPDATE SET epoch = excluded.epoch, asked_at = excluded.asked_at, asked_by = excluded.asked_by
"""
READ_WISH = "SELECT asked_by FROM lease_wish WHERE epoch = %s"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerView:
    """A server as it described itself last. `seen_seconds`: how long ago, by the database's clock.

    `links`: parts linked to it; `callers`: names of parts that said hello there lately and were not taken in.
    """

    name: str
    endpoint: str
    software: str
    seen_seconds: float
    links: int
    callers: tuple[str, ...]

    @property
    def is_there(self) -> bool:
        """Tell whether it was heard lately."""
        return self.seen_seconds <= FRESH_SECONDS


async def note_presence(
    connection: Connection, *, name: str, endpoint: str, software: str, links: int, callers: Sequence[str]
) -> None:
    """Say that a server is there, and how it is."""
    given = {"name": name, "endpoint": endpoint, "software": software, "links": links, "callers": list(callers)}
    await connection.execute(NOTE, given)


async def leave(connection: Connection, name: str) -> None:
    """Say that a server has ended in order."""
    await connection.execute(LEAVE, (name,))


async def read_servers(connection: Connection) -> list[ServerView]:
    """Return the servers heard within a day, by name."""
    rows = await (await connection.execute(LIST)).fetchall()
    return [
        ServerView(
            name=row[0], endpoint=row[1], software=row[2], seen_seconds=row[3], links=row[4], callers=tuple(row[5])
        )
        for row in rows
    ]


async def wish_handover(connection: Connection, epoch: int, *, by: str, reason: str) -> None:
    """Ask whoever holds `epoch` to hand over, and write that down; a wish for an epoch that is over asks nothing."""
    async with connection.transaction():
        await connection.execute(WISH, {"epoch": epoch, "by": by})
        await write_audit(
            connection, actor=by, action="server.handover", object_=f"epoch/{epoch}", detail={"reason": reason}
        )


async def wished_handover(connection: Connection, epoch: int) -> str | None:
    """Return who wishes that the holder of `epoch` hands over; None when nobody does."""
    row = await (await connection.execute(READ_WISH, (epoch,))).fetchone()
    return None if row is None else str(row[0])
