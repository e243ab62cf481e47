"""From a record's own numbers to what the store writes: the server's items, instants, values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from core.model.ranges import RangeSet
from core.model.record import Kind, RecordError, unpack_rows
from server.intake.columns import map_columns
from server.intake.dictionaries import FOREIGN_ITEM, UnknownItem
from server.store.batches import BatchColumns, TextSample
from server.store.received import ReceivedDelta

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from server.intake.dictionaries import Lookup
    from server.intake.ledger import Life
    from server.intake.screening import Admitted


@dataclass(slots=True, kw_only=True)
class Translated:
    """What a group's records say. Every record ends in exactly one of `stored`, `waiting` and `poison`.

    `waiting`: its dictionary has not come yet. `poison`: it cannot be understood, with the reason. `announced`: numbers
    dropped by their source, and lives that are over. `foreign_values` are left out: their source may not speak of them.
    """

    batches: list[BatchColumns] = field(default_factory=list)
    texts: list[TextSample] = field(default_factory=list)
    announced: list[ReceivedDelta] = field(default_factory=list)
    foreign_values: int = 0
    stored: list[Admitted] = field(default_factory=list)
    waiting: list[Admitted] = field(default_factory=list)
    poison: list[tuple[Admitted, str]] = field(default_factory=list)


def translate(records: Sequence[Admitted], lookup: Callable[[Life], Lookup]) -> Translated:
    """Translate records of any kind but DICTIONARY, in their order."""
    result = Translated()
    for admitted in records:
        try:
            is_known = _translate_one(admitted, lookup(admitted.life), result)
        except (RecordError, UnknownItem, OverflowError, ValueError) as error:
            result.poison.append((admitted, str(error)))
            continue
        (result.stored if is_known else result.waiting).append(admitted)
    return result


def _translate_one(admitted: Admitted, lookup: Lookup, result: Translated) -> bool:
    """Add what one record says; False when its dictionary is not known yet."""
    header = admitted.arrival.header
    if header.kind is Kind.LOST:
        result.announced += [
            ReceivedDelta(source_id=admitted.source.id, boot=boot, lost=RangeSet([(first, last)]))
            for boot, first, last in unpack_rows(admitted.arrival.record, header)
        ]
        return True
    if header.kind is Kind.CLOSING:
        result.announced += [
            ReceivedDelta(source_id=admitted.source.id, boot=boot, last_number=last)
            for boot, last in unpack_rows(admitted.arrival.record, header)
        ]
        return True
    if header.dictionary > lookup.version:
        return False
    if header.kind is Kind.VALUES:
        batch, foreign = _translate_values(admitted, lookup)
        if len(batch.items):
            result.batches.append(batch)
    else:
        texts = _translate_texts(admitted, lookup)
        own = [text for text in texts if text.item_id != FOREIGN_ITEM]
        foreign = len(texts) - len(own)
        result.texts += own
    result.foreign_values += foreign
    return True


def _translate_values(admitted: Admitted, lookup: Lookup) -> tuple[BatchColumns, int]:
    """Return the record's own values, and how many others there were."""
    header = admitted.arrival.header
    columns = map_columns(admitted.arrival.record, header)
    items = lookup.translate(columns.items)
    if int(columns.offsets.max()) > header.span:
        raise RecordError("a sample lies outside the span its record's header gives")
    offsets, values = columns.offsets.view(np.int32), columns.values
    foreign = 0
    if int(items.min()) == FOREIGN_ITEM:
        is_own = items != FOREIGN_ITEM
        foreign = len(items) - int(np.count_nonzero(is_own))
        items, offsets, values = items[is_own], offsets[is_own], values[is_own]
    batch = BatchColumns(
        source_id=admitted.source.id,
        boot=header.boot,
        number=header.number,
        first_at_us=header.base_at,
        items=items,
        offsets=offsets,
        values=values,
    )
    return batch, foreign


def _translate_texts(admitted: Admitted, lookup: Lookup) -> list[TextSample]:
    header = admitted.arrival.header
    rows = unpack_rows(admitted.arrival.record, header)
    if any(offset > header.span for _, offset, _ in rows):
        raise RecordError("a sample lies outside the span its record's header gives")
    items = lookup.translate(np.array([row[0] for row in rows], np.uint32))
    return [
        TextSample(
            source_id=admitted.source.id,
            boot=header.boot,
            number=header.number,
            item_id=int(item),
            at_us=header.base_at + offset,
            value=text,
        )
        for item, (_, offset, text) in zip(items, rows, strict=True)
    ]
