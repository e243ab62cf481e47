"""Records under stored numbers: most came twice; some bear numbers that were issued twice.

A machine set back to a snapshot of its disk and memory goes on in the same life and gives numbers it has given before
to what is new. Neither the number nor any collector on its way needs to know: what makes a repeat is that the samples
are stored. What is not stored is, under the same number, and so exactly once however often and by which way it comes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import compress
from typing import TYPE_CHECKING

import numpy as np

from core.model.record import Kind
from server.ingest.meanings import say_otherwise
from server.ingest.translation import translate
from server.store.likeness import find_held, find_held_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from server.intake.dictionaries import Lookup
    from server.intake.ledger import Life
    from server.intake.screening import Admitted
    from server.store.batches import Batches, TextSample
    from server.store.database import Connection
    from server.store.received import ReceivedDelta


@dataclass(slots=True, kw_only=True)
class Repeats:
    """What is to be stored of a group's records under stored numbers.

    `ended`: those that are stored once this is. `reissued` counts records by source id that are no repeats.
    """

    batches: Batches | None = None
    texts: Sequence[TextSample] = ()
    announced: list[ReceivedDelta] = field(default_factory=list)
    dictionaries: list[Admitted] = field(default_factory=list)
    ended: list[Admitted] = field(default_factory=list)
    waiting: list[Admitted] = field(default_factory=list)
    poison: list[tuple[Admitted, str]] = field(default_factory=list)
    reissued: Counter[int] = field(default_factory=Counter)


async def find_dictionaries(
    connection: Connection, repeated: Sequence[Admitted], lookup: Callable[[Life], Lookup]
) -> Repeats:
    """Begin with the dictionaries: those that say something new are to be declared like others."""
    own = [admitted for admitted in repeated if admitted.arrival.header.kind is Kind.DICTIONARY]
    found = await say_otherwise(connection, own, lookup)
    others = {id(admitted) for admitted in found}
    return Repeats(
        dictionaries=found,
        ended=[admitted for admitted in own if id(admitted) not in others],
        reissued=Counter(admitted.source.id for admitted in found),
    )


async def find_samples(
    connection: Connection, repeated: Sequence[Admitted], lookup: Callable[[Life], Lookup], repeats: Repeats
) -> None:
    """Add everything else. What a source says of its losses and ends is noted again: that changes nothing twice."""
    said = translate([each for each in repeated if each.arrival.header.kind is not Kind.DICTIONARY], lookup)
    repeats.ended += said.stored
    repeats.waiting, repeats.poison, repeats.announced = said.waiting, said.poison, said.announced
    if said.batches is not None:
        new = np.flatnonzero(~await find_held(connection, said.batches))
        if len(new):
            repeats.batches = said.batches.of(new)
            repeats.reissued.update(repeats.batches.source_ids.tolist())
    held = await find_held_texts(connection, said.texts)
    repeats.texts = list(compress(said.texts, ~held))
    names = {(text.source_id, text.boot, text.number) for text in repeats.texts}
    repeats.reissued.update(source_id for source_id, _, _ in names)
