"""The rows of the gap ledger: which numbers of a life jump, and the instants around them."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from core.model.gaps import Gap
from server.store.instants import to_datetime, to_us

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from server.store.database import Connection

    Life = tuple[int, int]

DELETE = """
DELETE FROM received_gap g USING unnest(%s::int4[], %s::int8[], %s::int8[]) AS u (source_id, boot, first)
WHERE (g.source_id, g.boot, g.first) = (u.source_id, u.boot, u.first)
"""
INSERT = """
INSERT INTO received_gap (source_id, boot, first, last, after_at, before_at)
SELECT * FROM unnest(%s::int4[], %s::int8[], %s::int8[], %s::int8[], %s::timestamptz[], %s::timestamptz[])
"""
SELECT = "SELECT source_id, boot, first, last, after_at, before_at FROM received_gap"
OF_LIVES = " JOIN unnest(%s::int4[], %s::int8[]) AS w (source_id, boot) USING (source_id, boot)"
IN_ORDER = " ORDER BY source_id, boot, first"


async def replace_gaps(
    connection: Connection, gone: Sequence[tuple[Life, Gap]], fresh: Sequence[tuple[Life, Gap]]
) -> None:
    """Delete gaps and write others, whose lives are in `received`, within the caller's transaction."""
    if gone:
        await connection.execute(DELETE, _names(gone))
    if fresh:
        await connection.execute(
            INSERT,
            (
                *_names(fresh),
                [gap.last for _, gap in fresh],
                [_to_at(gap.after_us) for _, gap in fresh],
                [_to_at(gap.before_us) for _, gap in fresh],
            ),
        )


async def read_gaps(connection: Connection, lives: Iterable[Life] | None = None) -> Mapping[Life, Sequence[Gap]]:
    """Return the gaps by life, ascending: all of them, or only those of the lives asked for."""
    if lives is None:
        cursor = await connection.execute(SELECT + IN_ORDER)
    else:
        wanted = list(lives)
        parameters = ([source for source, _ in wanted], [boot for _, boot in wanted])
        cursor = await connection.execute(SELECT + OF_LIVES + IN_ORDER, parameters)
    found: dict[Life, list[Gap]] = defaultdict(list)
    for source_id, boot, first, last, after_at, before_at in await cursor.fetchall():
        found[source_id, boot].append(Gap(first, last, _to_us(after_at), _to_us(before_at)))
    return found


def _names(rows: Sequence[tuple[Life, Gap]]) -> tuple[list[int], list[int], list[int]]:
    return [life[0] for life, _ in rows], [life[1] for life, _ in rows], [gap.first for _, gap in rows]


def _to_at(at_us: int | None) -> datetime | None:
    return None if at_us is None else to_datetime(at_us)


def _to_us(at: datetime | None) -> int | None:
    return None if at is None else to_us(at)
