"""What a spool promises while nothing goes wrong."""

import asyncio
import os
from pathlib import Path

import pytest

from core.model.record import Origin, RecordError, pack_dictionary
from core.runtime.clock import ManualClock
from core.spool.keeping import keep_synced
from core.spool.spool import Position, Spool, SpoolFault, SpoolFull, SpoolLimits
from tests.support.records import AT, BOOT, OTHER, SOURCE, everything_in, numbers_in, record, records
from tests.support.waiting import until

SMALL = SpoolLimits(max_bytes=40_000, segment_bytes=1_000)
KEY = (SOURCE.bytes, BOOT)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.segment"))


def test_records_come_back_in_order_also_after_reopening(tmp_path: Path) -> None:
    data = records(range(1, 101))
    spool = Spool.open(tmp_path, SMALL)
    for number in range(1, 101):
        spool.append(record(number))
    assert everything_in(spool) == data
    assert len(files(tmp_path)) > 5
    spool.close()
    again = Spool.open(tmp_path, SMALL)
    assert everything_in(again) == data
    assert (again.held_records, list(again.unstored()[KEY]), again.damages) == (100, [(1, 100)], [])
    again.close()


def test_a_slice_is_whole_records_up_to_the_limit_and_one_at_least(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, SpoolLimits())
    spool.append(records([1, 2, 3]))
    spool.append(record(4, values=500))
    one = len(record(1))
    first = spool.read(spool.begin, 2 * one + 5)
    assert first is not None
    assert numbers_in(first.data) == [1, 2]
    second = spool.read(first.end, 1)
    assert second is not None
    assert numbers_in(second.data) == [3]
    third = spool.read(second.end, one)
    assert third is not None
    assert numbers_in(third.data) == [4]
    assert third.end == spool.end
    assert spool.read(third.end, one) is None
    spool.append(record(5))
    fourth = spool.read(third.end, one)
    assert fourth is not None
    assert numbers_in(fourth.data) == [5]
    spool.close()


def test_what_is_no_whole_record_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, SMALL)
    for bad in (b"x" * 100, record(1)[:-1], record(1) + b"WK1", record(1)[1:]):
        with pytest.raises(RecordError):
            spool.append(bad)
    assert (spool.held_bytes, spool.held_records, files(tmp_path)) == (0, 0, [])
    spool.close()


def test_a_file_goes_when_all_its_records_are_stored(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, SMALL)
    for number in range(1, 41):
        spool.append(record(number))
    before = files(tmp_path)
    spool.mark_stored(*KEY, [(1, 4), (6, 20)])
    spool.mark_stored(*KEY, [(1, 4)])
    spool.mark_stored(*KEY, [(1000, 2000)])
    spool.mark_stored(OTHER.bytes, BOOT, [(5, 5)])
    assert len(files(tmp_path)) < len(before)
    assert numbers_in(everything_in(spool))[0] == 5
    assert spool.held_records == 21
    spool.mark_stored(*KEY, [(5, 5)])
    assert spool.held_records == 20
    assert numbers_in(everything_in(spool)) == list(range(21, 41))
    spool.mark_stored(*KEY, [(1, 40)])
    assert (spool.held_records, spool.begin == spool.end) == (0, True)
    assert spool.read(Position(0, 0), 1000) is None or len(files(tmp_path)) == 1
    spool.close()
    assert files(tmp_path) == []


def test_reading_goes_on_behind_files_that_are_gone(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, SMALL)
    for number in range(1, 41):
        spool.append(record(number))
    first = spool.read(spool.begin, 1)
    assert first is not None
    spool.mark_stored(*KEY, [(1, 30)])
    rest = spool.read(first.end, 1)
    assert rest is not None
    assert numbers_in(rest.data)[0] >= 25
    spool.close()


def test_a_full_spool_says_so_and_drops_taken_files_first_then_the_oldest(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, SMALL)
    number = 0
    while spool.has_room(len(record(1))):
        number += 1
        spool.append(record(number))
    with pytest.raises(SpoolFull, match=str(tmp_path)):
        spool.append(record(number + 1))
    assert spool.held_bytes <= SMALL.max_bytes
    held = numbers_in(everything_in(spool))
    spool.mark_taken(*KEY, [(100, 150)])
    assert spool.drop(1_000) == []
    gone = set(held) - set(numbers_in(everything_in(spool)))
    assert gone
    assert gone <= set(range(100, 151))
    lost = spool.drop(3_000)
    now = set(numbers_in(everything_in(spool)))
    assert [(source, boot) for source, boot, _ in lost] == ([KEY] if lost else [])
    lost = spool.drop(20_000)
    later = set(numbers_in(everything_in(spool)))
    dropped = now - later
    assert {n for _, _, ranges in lost for a, b in ranges for n in range(a, b + 1)} == dropped - set(range(100, 151))
    assert dropped == {n for n in now if n <= max(dropped)}, "the oldest go first"
    assert spool.held_records == len(later)
    assert spool.has_room(20_000)
    spool.append(record(number + 1))
    spool.close()


def test_a_number_still_held_elsewhere_is_not_lost(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, SpoolLimits(max_bytes=8_000, segment_bytes=1_000))
    spool.append(records(range(1, 9)))
    spool.append(records(range(1, 5)))
    spool.append(records(range(9, 16)))
    lost = spool.drop(800)
    assert [list(ranges) for _, _, ranges in lost] == [[(5, 8)]]
    spool.close()


def test_samples_of_the_file_being_written_go_before_a_dictionary_in_an_older_one(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, SpoolLimits(max_bytes=12_000, segment_bytes=1_200))
    spool.append(pack_dictionary(Origin(SOURCE, BOOT), 1, 1, [], AT))
    spool.append(records(range(2, 5), values=30))  # too large for the dictionary's file
    assert len(files(tmp_path)) == 2
    assert [(key, boot, list(lost)) for key, boot, lost in spool.drop(1)] == [(SOURCE.bytes, BOOT, [(2, 4)])]
    assert numbers_in(everything_in(spool)) == [1]
    spool.close()


def test_find_yields_held_records_by_number(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, SMALL)
    for number in range(1, 41):
        spool.append(record(number) + record(number, source=OTHER))
    spool.mark_stored(*KEY, [(7, 7)])
    assert list(spool.find(*KEY, 5, 9)) == [record(n) for n in (5, 6, 8, 9)]
    assert list(spool.find(*KEY, 100, 200)) == []
    spool.close()


def test_the_oldest_instant_is_that_of_the_first_record_not_stored(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, SMALL)
    seen = [spool.oldest_at]
    for number in range(1, 41):
        spool.append(record(number))
    for stored in (22, 40):
        spool.mark_stored(*KEY, [(1, stored)])
        seen.append(spool.oldest_at)
    assert seen == [None, AT + 23, None]
    spool.close()


def test_a_second_opener_is_told_who_has_the_folder(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, SMALL)
    with pytest.raises(SpoolFault, match=rf"{tmp_path} is in use by process {os.getpid()}"):
        Spool.open(tmp_path, SMALL)
    spool.close()
    Spool.open(tmp_path, SMALL).close()


async def test_callers_at_the_same_time_share_one_fsync(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, SMALL)
    ends = []
    for number in range(1, 21):
        spool.append(record(number))
        ends.append(spool.end)
    durable = await asyncio.gather(*(spool.sync() for _ in range(50)))
    assert all(place >= ends[-1] for place in durable)
    assert spool.syncs == 1
    await spool.sync()
    assert spool.syncs == 1
    spool.append(record(21))
    early = asyncio.create_task(spool.sync())
    await asyncio.sleep(0)
    spool.append(record(22))
    assert await spool.sync() == spool.end
    await early
    spool.close()


async def test_cancelling_one_who_waits_for_an_fsync_does_not_disturb_the_others(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, SMALL)
    spool.append(record(1))
    first, second = asyncio.create_task(spool.sync()), asyncio.create_task(spool.sync())
    await asyncio.sleep(0)
    first.cancel()
    assert await second == spool.end
    with pytest.raises(asyncio.CancelledError):
        await first
    spool.close()


async def test_what_stays_unacknowledged_is_fsynced_late_and_what_is_acknowledged_never(tmp_path: Path) -> None:
    clock = ManualClock()
    spool = Spool.open(tmp_path, SMALL, clock.monotonic)
    keeper = asyncio.create_task(keep_synced(spool, clock, 3.0))
    await until(lambda: clock.sleepers == 1)
    spool.append(record(1))
    await clock.advance(2.0)
    spool.mark_taken(*KEY, [(1, 1)])
    spool.append(record(2))
    await clock.advance(2.9)
    assert (spool.syncs, spool.oldest_unsynced_at) == (0, 1002.0)
    await clock.advance(0.2)
    await until(lambda: spool.syncs == 1)
    assert spool.oldest_unsynced_at is None
    keeper.cancel()
    spool.close()
