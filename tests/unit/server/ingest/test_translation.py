"""Records translated together are told apart: what is wrong with one touches no other."""

from __future__ import annotations

from array import array

import numpy as np

from core.model.record import Origin, pack_values
from server.ingest.translation import translate
from server.intake.dictionaries import FOREIGN_ITEM, Lookup
from server.intake.screening import Admitted, Arrival
from server.store.peers import Source
from tests.unit.server.intake.arrivals import MINE, arrival

SOURCE = Source(id=1, uuid=MINE, name="mine", host_id=11)
KNOWN = Lookup(2, np.array([0, 101, 102, FOREIGN_ITEM], np.int32))
"""Items 1 and 2 are the source's own, 3 is somebody else's, 0 was never declared."""


def record(number: int, items: list[int], *, dictionary: int = 1, seconds: int = 1) -> Admitted:
    instants = [1_000_000 * (10 + place * seconds) for place in range(len(items))]
    values = array("d", [number + place / 10 for place in range(len(items))])
    packed = pack_values(Origin(MINE, 9), number, dictionary, array("I", items), instants, values)
    return Admitted(arrival(packed), SOURCE)


def numbers(records: list[Admitted]) -> list[int]:
    return [admitted.arrival.header.number for admitted in records]


def test_each_record_of_a_group_ends_as_it_would_alone() -> None:
    group = [
        record(1, [1, 2]),
        record(2, [1, 9]),  # a number beyond the dictionary
        record(3, [2, 3, 1]),  # one of its values is foreign
        record(4, [3]),  # all are
        record(5, [0, 1]),  # a number within the table that was never declared
        record(6, [1], dictionary=3),  # its dictionary has not come
        record(7, [2]),
    ]
    beyond = record(8, [1, 2]).arrival
    group.append(Admitted(Arrival(beyond.key, beyond.header._replace(span=1), beyond.record), SOURCE))
    said = translate(group, lambda _: KNOWN)
    assert numbers(said.stored) == [1, 3, 4, 7]
    assert numbers(said.waiting) == [6]
    assert [(admitted.arrival.header.number, why.split(" to")[0]) for admitted, why in said.poison] == [
        (2, "item number 9 is not in the source's dictionary up"),
        (5, "item number 0 is not in the source's dictionary up"),
        (8, "a sample lies outside the span its record's header gives"),
    ]
    assert said.foreign_values == 2
    assert said.batches is not None
    assert said.batches.numbers.tolist() == [1, 3, 7]
    assert said.batches.counts.tolist() == [2, 2, 1]
    assert said.batches.items.tolist() == [101, 102, 102, 101, 102]
    assert said.batches.values.tolist() == [1.0, 1.1, 3.0, 3.2, 7.0]
    assert said.batches.offsets.tolist() == [0, 1_000_000, 0, 2_000_000, 0]
    assert said.batches.instants().tolist() == [10_000_000, 11_000_000, 10_000_000, 12_000_000, 10_000_000]


def test_a_group_of_whole_records_is_taken_as_it_is() -> None:
    said = translate([record(number, [1, 2]) for number in range(1, 4)], lambda _: KNOWN)
    assert numbers(said.stored) == [1, 2, 3]
    assert said.batches is not None
    assert said.batches.items.tolist() == [101, 102] * 3
    assert said.foreign_values == 0


def test_a_group_without_values_has_no_batches() -> None:
    assert translate([record(1, [3])], lambda _: KNOWN).batches is None
