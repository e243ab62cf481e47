"""Where each source of a proxy group lives, since when and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg.rows import class_row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from server.store.database import Connection

# The number is the instant in µs; it grows with each change, also when a clock was set back.
PLACE = """
INSERT INTO source_placement AS p (source_id, home_key, number, kind, reason, moves, since, moved_at)
SELECT u.source_id, u.home_key, (extract(epoch FROM t.now) * 1000000)::int8, u.kind, u.reason, u.moves, t.now,
       CASE WHEN u.kind = 'moved' THEN t.now END
FROM unnest(%s::int4[], %s::bytea[], %s::text[], %s::text[], %s::int4[]) AS u (source_id, home_key, kind, reason, moves)
CROSS JOIN (SELECT %s::timestamptz AS now) AS t
JOIN source s ON s.id = u.source_id JOIN peer_key k ON k.key = u.home_key
ON CONFLICT (source_id) DO UPDATE SET
    home_key = excluded.home_key,
    number   = greatest(excluded.number, p.number + 1),
    kind     = excluded.kind,
    reason   = excluded.reason,
    since    = excluded.since,
    moves    = excluded.moves,
    moved_at = coalesce(excluded.moved_at, p.moved_at)
RETURNING source_id, home_key, number, kind, reason, since, moved_at, moves, heard_key, bytes_per_second
"""
NOTE = """
UPDATE source_placement p SET heard_key = u.heard_key, bytes_per_second = u.bytes_per_second
FROM unnest(%s::int4[], %s::bytea[], %s::float8[]) AS u (source_id, heard_key, bytes_per_second)
WHERE p.source_id = u.source_id
"""
SELECT_ALL = """
SELECT source_id, home_key, number, kind, reason, since, moved_at, moves, heard_key, bytes_per_second
FROM source_placement
"""
SELECT_OVERVIEW = """
SELECT s.name AS source, g.name AS group_name, h.name AS home, w.name AS heard, p.bytes_per_second, p.kind, p.reason,
       p.since, p.moved_at, p.moves
FROM source_placement p
JOIN source s ON s.id = p.source_id
JOIN peer_key h ON h.key = p.home_key
JOIN proxy_group g ON g.id = h.group_id
LEFT JOIN peer_key w ON w.key = p.heard_key
ORDER BY g.name, h.name, p.bytes_per_second DESC, s.name
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewHome:
    """A source's new home. `moves` counts its moves for evenness (see server/balancing/plan)."""

    source_id: int
    home_key: bytes
    kind: str
    reason: str
    moves: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """A source's home, as keys. Of two homes the one with the higher `number` is the later."""

    source_id: int
    home_key: bytes
    number: int
    kind: str
    reason: str
    since: datetime
    moved_at: datetime | None
    moves: int
    heard_key: bytes | None
    bytes_per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementView:
    """The same for people, in names. `heard`, `bytes_per_second`: as of the last look, at most a minute ago."""

    source: str
    group_name: str
    home: str
    heard: str | None
    bytes_per_second: float
    kind: str
    reason: str
    since: datetime
    moved_at: datetime | None
    moves: int


async def place_sources(connection: Connection, homes: Sequence[NewHome], now: datetime) -> list[Placement]:
    """Give sources their homes, within the caller's transaction, and return how they are placed now.

    Sources and proxies that are no more are left out.
    """
    columns = (
        [home.source_id for home in homes],
        [home.home_key for home in homes],
        [home.kind for home in homes],
        [home.reason for home in homes],
        [home.moves for home in homes],
        now,
    )
    async with connection.cursor(row_factory=class_row(Placement)) as cursor:
        return await (await cursor.execute(PLACE, columns)).fetchall()


async def note_loads(connection: Connection, loads: Sequence[tuple[int, bytes | None, float]]) -> None:
    """Keep where each source (id) is heard and how many bytes a second it sends, within the caller's transaction."""
    await connection.execute(NOTE, tuple([row[place] for row in loads] for place in range(3)))


async def read_placements(connection: Connection) -> list[Placement]:
    """Return the place of every source that has one."""
    async with connection.cursor(row_factory=class_row(Placement)) as cursor:
        return await (await cursor.execute(SELECT_ALL)).fetchall()


async def read_placement_views(connection: Connection) -> list[PlacementView]:
    """Return the same for people: by group, proxy and load, the heaviest first."""
    async with connection.cursor(row_factory=class_row(PlacementView)) as cursor:
        return await (await cursor.execute(SELECT_OVERVIEW)).fetchall()
