"""From a record's own numbers to what the store writes: the server's items, instants, values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from core.model.ranges import RangeSet
from core.model.record import Kind, RecordError, unpack_rows
from core.model.structured import canonical
from server.intake.columns import join_columns
from server.intake.dictionaries import FOREIGN_ITEM, NO_ITEM, UnknownItem
from server.store.batches import Batches, TextSample
from server.store.received import ReceivedDelta

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from server.intake.columns import Columns
    from server.intake.dictionaries import Lookup
    from server.intake.ledger import Life
    from server.intake.screening import Admitted


@dataclass(slots=True, kw_only=True)
class Translated:
    """What a group's records say. Every record ends in exactly one of `stored`, `waiting` and `poison`.

    `waiting`: its dictionary has not come yet. `poison`: it cannot be understood, with the reason. `announced`: numbers
    dropped by their source, and lives that are over. `foreign_values` are left out: their source may not speak of them.
    """

    batches: Batches | None = None
    texts: list[TextSample] = field(default_factory=list)
    announced: list[ReceivedDelta] = field(default_factory=list)
    foreign_values: int = 0
    stored: list[Admitted] = field(default_factory=list)
    waiting: list[Admitted] = field(default_factory=list)
    poison: list[tuple[Admitted, str]] = field(default_factory=list)


def translate(records: Sequence[Admitted], lookup: Callable[[Life], Lookup]) -> Translated:
    """Translate records of any kind but DICTIONARY, in their order."""
    result = Translated()
    values: list[tuple[Admitted, Lookup]] = []
    for admitted in records:
        known = lookup(admitted.life)
        if admitted.arrival.header.kind is Kind.VALUES and admitted.arrival.header.dictionary <= known.version:
            values.append((admitted, known))
            continue
        try:
            is_known = _translate_one(admitted, known, result)
        except (RecordError, UnknownItem, OverflowError, ValueError) as error:
            result.poison.append((admitted, str(error)))
            continue
        (result.stored if is_known else result.waiting).append(admitted)
    if values:
        _translate_values(values, result)
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
    if header.kind is Kind.TEXTS:
        texts = _translate_texts(admitted, lookup)
        own = [text for text in texts if text.item_id != FOREIGN_ITEM]
        result.foreign_values += len(texts) - len(own)
        result.texts += own
    return True


def _translate_values(records: Sequence[tuple[Admitted, Lookup]], result: Translated) -> None:
    """Translate VALUES records of known dictionaries, all at once: a call a record costs more than its values."""
    headers = [admitted.arrival.header for admitted, _ in records]
    counts = np.array([header.count for header in headers], np.int64)
    columns = join_columns([admitted.arrival.record for admitted, _ in records], counts)
    ends = np.cumsum(counts)
    begins = ends - counts
    items = np.empty(int(ends[-1]), np.int32)
    sizes = np.array([len(lookup.items) for _, lookup in records], np.int64)
    for (_, lookup), begin, end in zip(records, begins.tolist(), ends.tolist(), strict=True):
        # A number beyond the table becomes its last entry here; the record is refused below.
        lookup.items.take(columns.items[begin:end], out=items[begin:end], mode="clip")
    spans = np.array([header.span for header in headers], np.int64)
    highest = np.maximum.reduceat(columns.items, begins).astype(np.int64)
    is_wrong = (highest >= sizes) | (np.maximum.reduceat(columns.offsets, begins) > spans)
    is_wrong |= np.logical_or.reduceat(items == NO_ITEM, begins)
    chosen = items != FOREIGN_ITEM
    foreign = ~chosen
    if is_wrong.any():
        for place in np.flatnonzero(is_wrong).tolist():
            result.poison.append(
                (records[place][0], _fault(records[place][1], columns, int(begins[place]), int(ends[place])))
            )
        is_right = np.repeat(~is_wrong, counts)
        chosen &= is_right
        foreign &= is_right
    result.stored += [admitted for (admitted, _), wrong in zip(records, is_wrong.tolist(), strict=True) if not wrong]
    result.foreign_values += int(np.count_nonzero(foreign))
    left = counts if chosen.all() else np.add.reduceat(chosen, begins, dtype=np.int64)
    kept = np.flatnonzero(left)
    if len(kept):
        every = len(kept) == len(records) and left is counts
        result.batches = Batches(
            source_ids=np.array([admitted.source.id for admitted, _ in records], np.int32)[kept],
            boots=np.array([header.boot for header in headers], np.int64)[kept],
            numbers=np.array([header.number for header in headers], np.int64)[kept],
            first_at_us=np.array([header.base_at for header in headers], np.int64)[kept],
            counts=left[kept],
            items=items if every else items[chosen],
            offsets=columns.offsets.view(np.int32) if every else columns.offsets.view(np.int32)[chosen],
            values=columns.values if every else columns.values[chosen],
        )


def _fault(lookup: Lookup, columns: Columns, begin: int, end: int) -> str:
    """Say what is wrong with one record's values."""
    try:
        lookup.translate(columns.items[begin:end])
    except UnknownItem as error:
        return str(error)
    return "a sample lies outside the span its record's header gives"


def _translate_texts(admitted: Admitted, lookup: Lookup) -> list[TextSample]:
    header = admitted.arrival.header
    rows = unpack_rows(admitted.arrival.record, header)
    if any(offset > header.span for _, offset, _ in rows):
        raise RecordError("a sample lies outside the span its record's header gives")
    items = lookup.translate(np.array([row[0] for row in rows], np.uint32))
    are_structured = [row[0] in lookup.structured for row in rows]
    return [
        TextSample(
            source_id=admitted.source.id,
            boot=header.boot,
            number=header.number,
            item_id=int(item),
            at_us=header.base_at + offset,
            value=canonical(text) if is_structured else text,
            is_structured=is_structured,
        )
        for item, (_, offset, text), is_structured in zip(items, rows, are_structured, strict=True)
    ]
