"""What was received of every life of every source: the ranges by which duplicates are known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core.model.ranges import RangeSet
from server.store.instants import to_datetime, to_us

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from psycopg import AsyncConnection

    from core.model.gaps import Run

# One statement for all lives of a transaction; `+` is the union of multiranges. A number ends in one way: a stored one
# is neither refused nor lost any more, a refused one not lost. What is stored is new, so its class counts once.
RECORD = """
INSERT INTO received AS r
       (source_id, boot, ranges, lost, refused, last_number, closed_at, late, replayed, newest_at)
SELECT source_id, boot, ranges, lost - ranges - refused, refused - ranges, last_number,
       CASE WHEN last_number IS NOT NULL THEN now() END, late, replayed, newest_at
FROM unnest(%s::int4[], %s::int8[], %s::int8multirange[], %s::int8multirange[], %s::int8multirange[], %s::int8[],
            %s::int8[], %s::int8[], %s::timestamptz[])
     AS u (source_id, boot, ranges, lost, refused, last_number, late, replayed, newest_at)
ON CONFLICT (source_id, boot) DO UPDATE SET
    ranges      = r.ranges + excluded.ranges,
    refused     = (r.refused + excluded.refused) - (r.ranges + excluded.ranges),
    lost        = (r.lost + excluded.lost) - (r.ranges + excluded.ranges) - (r.refused + excluded.refused),
    last_number = greatest(r.last_number, excluded.last_number),
    closed_at   = coalesce(r.closed_at, excluded.closed_at),
    late        = r.late + excluded.late,
    replayed    = r.replayed + excluded.replayed,
    newest_at   = CASE WHEN isempty(r.ranges) OR upper(excluded.ranges) > upper(r.ranges) THEN excluded.newest_at
                       ELSE r.newest_at END,
    heard_at    = now()
"""
SELECT_RECEIVED = """
SELECT source_id, boot, ranges::text, lost::text, refused::text, last_number, closed_at, late, replayed, newest_at
FROM received
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedDelta:
    """What one transaction adds to one life of a source. `last_number` closes the life.

    `runs` say of `ranges`, the numbers stored, between which instants they lie. `late` and `replayed` count records
    among them: see server/ingest/ended.py.
    """

    source_id: int
    boot: int
    ranges: RangeSet = field(default_factory=RangeSet)
    runs: tuple[Run, ...] = ()
    late: int = 0
    replayed: int = 0
    lost: RangeSet = field(default_factory=RangeSet)
    refused: RangeSet = field(default_factory=RangeSet)
    last_number: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """All that is known of one life of a source: `ranges` committed, `lost` dropped by it, `refused` for ever."""

    source_id: int
    boot: int
    ranges: RangeSet
    lost: RangeSet
    refused: RangeSet
    last_number: int | None
    closed_at: datetime | None
    late: int = 0
    replayed: int = 0
    newest_us: int | None = None

    @property
    def is_complete(self) -> bool:
        """Tell whether the life is over and every number of it has ended as stored, lost or refused."""
        if self.last_number is None:
            return False
        ended = self.ranges.copy()
        ended.update(self.lost)
        ended.update(self.refused)
        return ended.covers(1, self.last_number)


def have_ended(deltas: Iterable[ReceivedDelta], received: Mapping[tuple[int, int], Received]) -> bool:
    """Tell whether every number the deltas end, at least one, has ended in the store, by whichever transaction.

    Every one: when the lease has passed on, another server may have stored some of them, and only some.
    """
    numbers = [
        (received.get((delta.source_id, delta.boot)), first, last)
        for delta in deltas
        for first, last in (*delta.ranges, *delta.refused)
    ]
    return bool(numbers) and all(
        row is not None and not row.ranges.missing(first, last).without(row.refused) for row, first, last in numbers
    )


def to_multirange(ranges: RangeSet) -> str:
    """Return the ranges as an int8multirange literal."""
    return "{" + ",".join(f"[{first},{last}]" for first, last in ranges) + "}"


def from_multirange(text: str) -> RangeSet:
    """Return the RangeSet of an int8multirange's canonical text, `{[1,5),[7,9)}`."""
    if text == "{}":
        return RangeSet()
    pairs = (piece.split(",") for piece in text[2:-2].split("),["))
    return RangeSet((int(first), int(end) - 1) for first, end in pairs)


async def record_received(connection: AsyncConnection[Any], deltas: Sequence[ReceivedDelta]) -> None:
    """Add the deltas within the caller's transaction; several of one life are merged, rows locked in order."""
    if not deltas:
        return
    merged: dict[tuple[int, int], list[ReceivedDelta]] = {}
    for delta in deltas:
        merged.setdefault((delta.source_id, delta.boot), []).append(delta)
    lives = sorted(merged)
    columns: tuple[list[Any], ...] = (
        [source for source, _ in lives],
        [boot for _, boot in lives],
        [_union(delta.ranges for delta in merged[life]) for life in lives],
        [_union(delta.lost for delta in merged[life]) for life in lives],
        [_union(delta.refused for delta in merged[life]) for life in lives],
        [max((d.last_number for d in merged[life] if d.last_number is not None), default=None) for life in lives],
        [sum(delta.late for delta in merged[life]) for life in lives],
        [sum(delta.replayed for delta in merged[life]) for life in lives],
        [_newest_at(merged[life]) for life in lives],
    )
    await connection.execute(RECORD, columns)


async def read_received(
    connection: AsyncConnection[Any], lives: Iterable[tuple[int, int]] | None = None
) -> dict[tuple[int, int], Received]:
    """Return what was received by (source, boot): all of it, or only the lives asked for."""
    if lives is None:
        rows = await (await connection.execute(SELECT_RECEIVED)).fetchall()
    else:
        wanted = list(lives)
        rows = await (
            await connection.execute(
                SELECT_RECEIVED + " JOIN unnest(%s::int4[], %s::int8[]) AS w (source_id, boot) USING (source_id, boot)",
                ([source for source, _ in wanted], [boot for _, boot in wanted]),
            )
        ).fetchall()
    return {
        (source_id, boot): Received(
            source_id=source_id,
            boot=boot,
            ranges=from_multirange(ranges),
            lost=from_multirange(lost),
            refused=from_multirange(refused),
            last_number=last_number,
            closed_at=closed_at,
            late=late,
            replayed=replayed,
            newest_us=None if newest_at is None else to_us(newest_at),
        )
        for source_id, boot, ranges, lost, refused, last_number, closed_at, late, replayed, newest_at in rows
    }


def _newest_at(deltas: Iterable[ReceivedDelta]) -> datetime | None:
    """Return the last instant of the record with the highest number stored, if it is known."""
    newest = max((run for delta in deltas for run in delta.runs), key=lambda run: run.last, default=None)
    return None if newest is None or newest.end_us is None else to_datetime(newest.end_us)


def _union(sets: Iterable[RangeSet]) -> str:
    union = RangeSet()
    for each in sets:
        union.update(each)
    return to_multirange(union)
