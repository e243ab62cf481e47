"""The queue before ingest."""

from __future__ import annotations

import asyncio
from array import array
from typing import TYPE_CHECKING
from uuid import UUID

from core.model.ranges import RangeSet
from core.model.record import ItemEntry, Origin, pack_dictionary, pack_values
from core.runtime.clock import ManualClock
from core.runtime.counters import Counters
from server.intake.ledger import Ledger
from server.intake.reception import LIVE_US, Reception
from server.store.received import ReceivedDelta

if TYPE_CHECKING:
    import pytest

ORIGIN = Origin(UUID(int=1), 9)
KEY = b"k" * 32


def values(number: int, at: int, count: int = 10) -> bytes:
    return pack_values(ORIGIN, number, 1, array("I", [1] * count), [at] * count, array("d", [0.0] * count))


async def numbers(reception: Reception, max_values: int = 1000) -> list[int]:
    return [arrival.header.number for arrival in await reception.gather(max_values, 0, 1)]


async def test_live_records_come_before_old_ones_each_lane_in_its_order() -> None:
    clock = ManualClock()
    reception = Reception(clock, Counters())
    old = clock.now_us() - LIVE_US - 1
    await reception.put(KEY, values(1, old) + values(2, clock.now_us()) + values(3, old) + values(4, clock.now_us()))
    assert await numbers(reception) == [2, 4, 1, 3]


async def test_a_backlog_takes_a_bounded_share_while_live_records_wait() -> None:
    clock = ManualClock()
    reception = Reception(clock, Counters())
    old = clock.now_us() - LIVE_US - 1
    await reception.put(KEY, b"".join(values(number, old) for number in range(1, 21)))
    await reception.put(KEY, b"".join(values(number, clock.now_us()) for number in range(21, 41)))
    first = await numbers(reception, max_values=100)
    assert sum(number <= 20 for number in first) == 5, "half of a hundred values"
    assert sum(number > 20 for number in first) == 5


async def test_what_sources_send_is_counted_of_live_records_only_and_of_a_bounded_number_of_sources(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("server.intake.reception.MOST_COUNTED", 1)
    clock = ManualClock()
    reception = Reception(clock, Counters())
    live, old = values(1, clock.now_us()), values(2, clock.now_us() - LIVE_US - 1)
    other = pack_dictionary(Origin(UUID(int=2), 9), 1, 1, [ItemEntry(number=1, key="a")], clock.now_us())
    await reception.put(KEY, live + old + other + values(3, clock.now_us()))
    assert reception.take_live_bytes() == {ORIGIN.source.bytes: 2 * len(live)}
    assert reception.take_live_bytes() == {}


async def test_old_records_larger_than_their_share_leave_the_live_ones_theirs() -> None:
    clock = ManualClock()
    reception = Reception(clock, Counters())
    old = clock.now_us() - LIVE_US - 1
    await reception.put(KEY, b"".join(values(number, old, 120) for number in range(1, 4)))
    await reception.put(KEY, b"".join(values(number, clock.now_us()) for number in range(11, 16)))
    assert await numbers(reception, max_values=100) == [11, 12, 13, 14, 15, 1]


async def test_a_dictionary_never_waits_behind_a_backlog() -> None:
    clock = ManualClock()
    reception = Reception(clock, Counters())
    old = clock.now_us() - LIVE_US - 1
    dictionary = pack_dictionary(ORIGIN, 2, 1, [ItemEntry(number=1, key="a")], old)
    await reception.put(KEY, values(1, old) + dictionary)
    assert await numbers(reception) == [2, 1]


async def test_putting_waits_while_the_queue_is_full_and_goes_on_when_it_was_emptied() -> None:
    clock = ManualClock()
    reception = Reception(clock, Counters(), queue_bytes=500)
    await reception.put(KEY, values(1, clock.now_us(), 100))
    waiting = asyncio.create_task(reception.put(KEY, values(2, clock.now_us())))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert await numbers(reception) == [1]
    await asyncio.wait_for(waiting, 60)
    assert await numbers(reception) == [2]


async def test_gathering_ends_when_nothing_comes() -> None:
    assert await Reception(ManualClock(), Counters()).gather(10, 0, 0.01) == []


def test_a_number_that_was_lost_and_arrives_after_all_is_stored_and_leaves_no_gap() -> None:
    ledger = Ledger()
    ledger.commit([ReceivedDelta(source_id=1, boot=9, ranges=RangeSet([(1, 2), (6, 6)]), lost=RangeSet([(3, 4)]))])
    assert list(ledger.account((1, 9)).open) == [(5, 5)]
    ledger.commit([ReceivedDelta(source_id=1, boot=9, ranges=RangeSet([(3, 3)]), last_number=7)])
    account = ledger.account((1, 9))
    assert list(account.lost) == [(4, 4)]
    assert list(account.open) == [(5, 5), (7, 7)]
    ledger.commit([ReceivedDelta(source_id=1, boot=9, last_number=6)])
    assert ledger.account((1, 9)).last_number == 7, "a closing that knows less, after a power cut, takes nothing back"
