"""What item numbers mean, when a life of a source says it twice: after its machine was set back to a snapshot.

It may then declare another item under a number that was declared since the snapshot. Nobody can tell to which past a
sample with that number belongs, so none is taken for either: the number means nothing from then on.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from core.model.record import RecordError, unpack_rows
from server.intake.dictionaries import AMBIGUOUS_ITEM, FOREIGN_ITEM, NO_ITEM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from server.intake.dictionaries import Lookup
    from server.intake.ledger import Life
    from server.intake.screening import Admitted
    from server.store.database import Connection
    from server.store.dictionary import DictionaryEntries

NAMES = (
    "SELECT i.id, i.host_id, h.name, i.key FROM item i JOIN host h ON h.id = i.host_id WHERE i.id = ANY (%s::int4[])"
)


class _Name(NamedTuple):
    host_id: int
    host: str
    key: str


async def say_otherwise(
    connection: Connection, repeated: Sequence[Admitted], lookup: Callable[[Life], Lookup]
) -> list[Admitted]:
    """Return those DICTIONARY records, all under stored numbers, that do not say what is known already."""
    found = []
    for admitted in repeated:
        known = lookup(admitted.life)
        try:
            rows = unpack_rows(admitted.arrival.record, admitted.arrival.header)
        except RecordError:
            found.append(admitted)
            continue
        meant = {row[0]: int(known.items[row[0]]) for row in rows if row[0] < len(known.items)}
        names = await _names(connection, meant.values())
        if admitted.arrival.header.dictionary > known.version or any(
            not _says(names.get(meant.get(row[0], NO_ITEM)), row)
            for row in rows
            if row[0] not in known.ambiguous and meant.get(row[0]) != FOREIGN_ITEM
        ):
            found.append(admitted)
    return found


async def without_contradictions(
    connection: Connection,
    declared: Iterable[tuple[Admitted, DictionaryEntries]],
    lookup: Callable[[Life], Lookup],
) -> list[DictionaryEntries]:
    """Return the entries, in their order, numbers that have another meaning already as ambiguous.

    An item that is gone contradicts nothing, nor does the same one of another host where the source speaks of its own.
    """
    later: dict[Life, Lookup] = {}
    result = []
    for admitted, entries in declared:
        known = later.get(admitted.life) or lookup(admitted.life)
        contradicted = await _contradicted(connection, admitted, entries, known) if known.version else set()
        if contradicted:
            items = [
                AMBIGUOUS_ITEM if number in contradicted else item
                for number, item in zip(entries.numbers, entries.items, strict=True)
            ]
            entries = replace(entries, items=items)  # noqa: PLW2901 - the same entries, corrected
        later[admitted.life] = known.extended(entries)
        result.append(entries)
    return result


async def _contradicted(
    connection: Connection, admitted: Admitted, entries: DictionaryEntries, known: Lookup
) -> set[int]:
    numbers, items = np.asarray(entries.numbers, np.int64), np.asarray(entries.items, np.int32)
    old = np.zeros(len(numbers), np.int32)
    is_old = numbers < len(known.items)
    old[is_old] = known.items[numbers[is_old]]
    places = np.flatnonzero((old > NO_ITEM) & (items > NO_ITEM) & (old != items))
    if not len(places):
        return set()
    names = await _names(connection, [*old[places].tolist(), *items[places].tolist()])
    speaks_of_its_own = admitted.source.host_id is not None
    found = set()
    for place in places.tolist():
        before, after = names.get(int(old[place])), names.get(int(items[place]))
        if before is None or after is None:
            continue
        if before.key != after.key or (before.host_id != after.host_id and not speaks_of_its_own):
            found.add(int(numbers[place]))
    return found


def _says(name: _Name | None, row: Sequence[object]) -> bool:
    """Tell whether a dictionary's row (number, key, type, unit, description, host) names this item."""
    return name is not None and row[1] == name.key and row[5] in ("", name.host)


async def _names(connection: Connection, items: Iterable[int]) -> dict[int, _Name]:
    wanted = [item for item in set(items) if item > NO_ITEM]
    rows = await (await connection.execute(NAMES, (wanted,))).fetchall()
    return {item: _Name(host_id, host, key) for item, host_id, host, key in rows}
