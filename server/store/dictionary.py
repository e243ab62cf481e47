"""Sources' dictionaries: which of our items a source's item number means, for one life of the source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from psycopg import AsyncConnection

RECORD = """
INSERT INTO dictionary AS d (source_id, boot, version, numbers, items, structured) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (source_id, boot, version) DO UPDATE
SET numbers = d.numbers || excluded.numbers, items = d.items || excluded.items,
    structured = d.structured || excluded.structured
WHERE (d.numbers, d.items, d.structured) <> (excluded.numbers, excluded.items, excluded.structured)
"""
RECORD_ITEM_SOURCES = """
INSERT INTO item_source (item_id, source_id)
SELECT item_id, source_id FROM unnest(%s::int4[], %s::int4[]) AS u (item_id, source_id)
ON CONFLICT DO NOTHING
"""
READ = """
SELECT source_id, boot, version, numbers, items, structured FROM dictionary
JOIN unnest(%s::int4[], %s::int8[]) AS w (source_id, boot) USING (source_id, boot)
ORDER BY source_id, boot, version
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DictionaryEntries:
    """The entries of one dictionary record: `items[i]` is the server's item for the source's number `numbers[i]`.

    A negative item: the source may not speak of it, or gave the number two meanings. `structured`: those of the numbers
    whose values are documents.
    """

    source_id: int
    boot: int
    version: int
    numbers: Sequence[int]
    items: Sequence[int]
    structured: Sequence[int] = ()


async def record_dictionaries(connection: AsyncConnection[Any], entries: Sequence[DictionaryEntries]) -> None:
    """Store dictionary records within the caller's transaction; another of one (source, boot, version) is added."""
    if not entries:
        return
    columns = [
        (each.source_id, each.boot, each.version, list(each.numbers), list(each.items), list(each.structured))
        for each in entries
    ]
    async with connection.cursor() as cursor:
        await cursor.executemany(RECORD, columns)
    pairs = sorted({(item, each.source_id) for each in entries for item in each.items if item > 0})
    await connection.execute(RECORD_ITEM_SOURCES, ([item for item, _ in pairs], [source for _, source in pairs]))


async def read_dictionaries(
    connection: AsyncConnection[Any], lives: Iterable[tuple[int, int]]
) -> list[DictionaryEntries]:
    """Return the dictionaries of the given (source, boot)s, by life and then by version."""
    wanted = list(lives)
    cursor = await connection.execute(READ, ([source for source, _ in wanted], [boot for _, boot in wanted]))
    return [
        DictionaryEntries(
            source_id=source_id, boot=boot, version=version,
            numbers=[int(number) for number in numbers], items=[int(item) for item in items],
            structured=tuple(structured),
        )
        for source_id, boot, version, numbers, items, structured in await cursor.fetchall()
    ]  # fmt: skip
