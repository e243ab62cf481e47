"""The gap ledger as people read it: how every number of a life ended, and where in time numbers are missing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - class_row resolves it
from typing import TYPE_CHECKING, Literal
from uuid import UUID  # noqa: TC003 - class_row resolves it

from psycopg.rows import class_row

from core.model.gaps import Gap, Gaps
from server.store.gaps import read_gaps
from server.store.received import read_received

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from core.model.ranges import NumberRange
    from server.store.database import Connection
    from server.store.received import Received

Fate = Literal["lost", "refused", "open"]

# `last`: the highest number the life is known to have issued; the classes sum up to it when no number is in two.
_TOTALS = """
WITH counted AS (
    SELECT source_id, closed_at, heard_at, late, replayed, ranges + lost + refused AS ended,
           (SELECT coalesce(sum(upper(x) - lower(x)), 0)::int8 FROM unnest(ranges) x) AS stored,
           (SELECT coalesce(sum(upper(x) - lower(x)), 0)::int8 FROM unnest(lost) x) AS lost,
           (SELECT coalesce(sum(upper(x) - lower(x)), 0)::int8 FROM unnest(refused) x) AS refused,
           greatest(last_number, upper(ranges) - 1, upper(lost) - 1, upper(refused) - 1, 0) AS last
    FROM received
), life AS (
    SELECT counted.*, (SELECT coalesce(sum(upper(x) - lower(x)), 0)::int8
                       FROM unnest(int8multirange(int8range(1, last + 1)) - ended) x) AS open
    FROM counted
)
SELECT s.name, s.uuid, (SELECT h.name FROM host h WHERE h.id = s.host_id) AS host, count(*) AS lives,
       sum(stored - late - replayed)::int8 AS in_time, sum(late)::int8 AS late, sum(replayed)::int8 AS replayed,
       sum(lost)::int8 AS lost, sum(refused)::int8 AS refused, sum(open)::int8 AS open,
       coalesce(sum(open) FILTER (WHERE closed_at < now() - interval '1 hour'), 0)::int8 AS missing,
       max(heard_at) AS heard_at,
       count(*) FILTER (WHERE stored + lost + refused + open <> last OR late + replayed > stored) AS wrong_lives
FROM life JOIN source s ON s.id = life.source_id
GROUP BY s.id ORDER BY s.name
"""
_LIVES_OF = """
SELECT source_id, boot, first_at, heard_at FROM received
WHERE source_id = ANY (%(sources)s::int4[]) AND heard_at >= %(since)s
ORDER BY first_at DESC, boot LIMIT %(limit)s
"""
_SOURCES_OF_HOST = """
SELECT s.id, s.uuid, s.name, s.host_id IS NOT NULL AS is_host FROM source s
WHERE s.host_id = %(host)s
   OR s.id IN (SELECT x.source_id FROM item_source x JOIN item i ON i.id = x.item_id WHERE i.host_id = %(host)s)
ORDER BY s.host_id IS NULL, s.name, s.id
"""
_SOURCES_OF_ITEMS = """
SELECT s.id, s.uuid, s.name, s.host_id IS NOT NULL AS is_host FROM source s
WHERE s.id IN (SELECT source_id FROM item_source WHERE item_id = ANY (%(items)s::int4[])) ORDER BY s.name, s.id
"""
_REASONS = """
SELECT number, reason FROM quarantine WHERE source = %s AND boot = %s ORDER BY number, id LIMIT 1000
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTotals:
    """All lives of a source summed up, in records. `open`: not ended; `missing`: of those, in lives closed long ago.

    `wrong_lives` do not add up: some number is in two classes. `host` is None for who polls others.
    """

    name: str
    uuid: UUID
    host: str | None
    lives: int
    in_time: int
    late: int
    replayed: int
    lost: int
    refused: int
    open: int
    missing: int
    heard_at: datetime
    wrong_lives: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceName:
    """A source, for looking up its lives."""

    id: int
    uuid: UUID
    name: str
    is_host: bool
    """Whether it has a host of its own; who polls others has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Numbers of one fate, and the instants (µs) of the stored records around them; None where nobody knows."""

    fate: Fate
    first: int
    last: int
    after_us: int | None
    before_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One life of a source: since when, how its numbers ended, and what is not stored of them, ascending."""

    source_id: int
    boot: int
    first_at: datetime
    heard_at: datetime
    received: Received
    stretches: Sequence[Stretch]


def stretches_of(received: Received, known: Sequence[Gap]) -> list[Stretch]:
    """Cut what is not stored into stretches of one fate each, by number; pure."""
    last = max(received.ranges.highest, received.lost.highest, received.refused.highest, received.last_number or 0)
    found = Gaps.of(received.ranges, known, received.newest_us)
    gaps = list(found.gaps)
    if last > found.highest:
        gaps.append(Gap(found.highest + 1, last, found.newest_us))
    stretches = []
    for gap in gaps:
        span = [(gap.first, gap.last)]
        lost, refused = received.lost.common(span), received.refused.common(span)
        rest = received.ranges.missing(gap.first, gap.last).without(lost).without(refused)
        fates: tuple[tuple[Fate, Iterable[NumberRange]], ...] = (("lost", lost), ("refused", refused), ("open", rest))
        pieces = [(first, end, fate) for fate, ranges in fates for first, end in ranges]
        stretches += [
            Stretch(fate=fate, first=first, last=end, after_us=gap.after_us, before_us=gap.before_us)
            for first, end, fate in sorted(pieces)
        ]
    return stretches


async def read_totals(connection: Connection) -> list[SourceTotals]:
    """Return every source's account, by name; a source nothing was received of has none."""
    async with connection.cursor(row_factory=class_row(SourceTotals)) as cursor:
        return await (await cursor.execute(_TOTALS)).fetchall()


async def read_sources_of_host(connection: Connection, host_id: int) -> list[SourceName]:
    """Return the sources that speak of a host: its own first, then who polls it."""
    async with connection.cursor(row_factory=class_row(SourceName)) as cursor:
        return await (await cursor.execute(_SOURCES_OF_HOST, {"host": host_id})).fetchall()


async def read_sources_of_items(connection: Connection, items: Collection[int]) -> list[SourceName]:
    """Return the sources that ever declared one of the items."""
    async with connection.cursor(row_factory=class_row(SourceName)) as cursor:
        return await (await cursor.execute(_SOURCES_OF_ITEMS, {"items": list(items)})).fetchall()


async def read_lives(connection: Connection, sources: Collection[int], *, since: datetime, limit: int) -> list[Life]:
    """Return at most `limit` lives of these sources that were heard since an instant, the newest first."""
    parameters = {"sources": list(sources), "since": since, "limit": limit}
    rows = await (await connection.execute(_LIVES_OF, parameters)).fetchall()
    names = [(source_id, boot) for source_id, boot, _, _ in rows]
    received = await read_received(connection, names)
    gaps = await read_gaps(connection, names)
    return [
        Life(
            source_id=source_id,
            boot=boot,
            first_at=first_at,
            heard_at=heard_at,
            received=received[source_id, boot],
            stretches=stretches_of(received[source_id, boot], gaps.get((source_id, boot), ())),
        )
        for source_id, boot, first_at, heard_at in rows
        if (source_id, boot) in received
    ]


async def read_reasons(connection: Connection, source: UUID, boot: int) -> dict[int, str]:
    """Return why records of a life were put into quarantine, by number; the first thousand."""
    return dict(await (await connection.execute(_REASONS, (source, boot))).fetchall())
