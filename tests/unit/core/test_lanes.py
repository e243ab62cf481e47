"""Live records go first, a backlog beside them, and what live ones need out of it ahead of both."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from core.model.record import Kind, Origin, pack_closing, pack_dictionary, pack_lost
from core.spool.scan import records_of
from core.spool.spool import Spool, SpoolLimits
from core.wire.share import WINDOW_PART
from tests.support.records import BOOT, OTHER, SOURCE, numbers_in, record
from tests.support.streaming import MovedClock, Sending, names_in

if TYPE_CHECKING:
    from pathlib import Path

NEW_BOOT = BOOT + 1
MINUTE_US = 60_000_000
WINDOW = 1 << 20


def filled(folder: Path, clock: MovedClock, count: int, age_us: int, values: int = 500) -> Spool:
    """A spool with a backlog: records 1 to `count`, a millisecond apart, the first `age_us` old."""
    spool = Spool.open(folder, SpoolLimits(segment_bytes=256 << 10))
    for number in range(1, count + 1):
        spool.append(record(number, values=values, at=clock.now_us() - age_us + number * 1000))
    return spool


def test_a_live_record_overtakes_a_backlog_and_the_backlog_keeps_its_order(tmp_path: Path) -> None:
    clock = MovedClock()
    with closing(filled(tmp_path, clock, 400, 60 * MINUTE_US)) as spool:  # 3.2 MB
        sending = Sending(spool, clock, WINDOW)
        first = sending.step()
        assert first is not None
        assert numbers_in(first[1])[0] == 1
        spool.append(record(1, source=OTHER, at=clock.now_us()))
        second = sending.step()
        assert second is not None
        assert names_in(second[1]) == [(OTHER.bytes, BOOT, 1)]
        sending.stream.receipt(2, WINDOW)
        assert sending.send_all() == [
            (SOURCE.bytes, BOOT, number) for number in range(numbers_in(first[1])[-1] + 1, 401)
        ]
        assert not sending.stream.has_backlog


def test_a_backlog_leaves_most_of_the_credit_to_live_records(tmp_path: Path) -> None:
    clock = MovedClock()
    with closing(filled(tmp_path, clock, 400, 60 * MINUTE_US)) as spool:
        sending = Sending(spool, clock, WINDOW)
        for _ in range(6):  # the share grows to its limit
            frame = sending.step()
            assert frame is not None
            sending.stream.receipt(frame[0], WINDOW)
        while sending.step() is not None:
            pass
        assert WINDOW // 16 < sending.stream.flight.in_flight_bytes <= WINDOW // WINDOW_PART
        spool.append(record(1, source=OTHER, at=clock.now_us()))
        live = sending.step()
        assert live is not None
        assert names_in(live[1]) == [(OTHER.bytes, BOOT, 1)]


def test_what_lags_less_than_a_minute_goes_in_one_lane_in_strict_order(tmp_path: Path) -> None:
    clock = MovedClock()
    with closing(filled(tmp_path, clock, 100, MINUTE_US - 1_000_000)) as spool:
        sending = Sending(spool, clock)
        first = sending.step()
        spool.append(record(1, source=OTHER, at=clock.now_us()))
        assert first is not None
        assert not sending.stream.has_backlog
        rest = sending.send_all()
        assert rest[-1] == (OTHER.bytes, BOOT, 1)
        assert names_in(first[1]) + rest[:-1] == [(SOURCE.bytes, BOOT, number) for number in range(1, 101)]


def test_a_boot_that_began_in_the_outage_has_its_dictionary_and_ends_sent_before_its_live_values(
    tmp_path: Path,
) -> None:
    clock = MovedClock()
    hour_ago = clock.now_us() - 60 * MINUTE_US
    with closing(filled(tmp_path, clock, 300, 120 * MINUTE_US)) as spool:
        origin = Origin(SOURCE, NEW_BOOT)
        spool.append(pack_dictionary(origin, 1, 1, [], hour_ago))
        spool.append(pack_closing(origin, 2, [(BOOT, 300)], hour_ago))
        for number in range(3, 200):
            spool.append(record(number, boot=NEW_BOOT, values=500, at=hour_ago + number))
        spool.append(pack_dictionary(origin, 200, 2, [], hour_ago + 200))
        spool.append(pack_lost(origin, 201, [(BOOT, 1, 3)], hour_ago + 201))
        spool.append(record(202, boot=NEW_BOOT, values=500, at=hour_ago + 202))
        spool.append(record(203, boot=NEW_BOOT, at=clock.now_us()))
        sending = Sending(spool, clock, WINDOW)
        read = sending.send_all()
        assert read[:5] == [(SOURCE.bytes, NEW_BOOT, number) for number in (1, 2, 200, 201, 203)]
        assert sorted(read) == sorted(
            [(SOURCE.bytes, BOOT, number) for number in range(1, 301)]
            + [(SOURCE.bytes, NEW_BOOT, number) for number in range(1, 204)]
        )


def test_another_source_s_old_records_join_the_backlog_and_its_dictionary_does_not(tmp_path: Path) -> None:
    """A proxy takes in what an agent had kept through an outage."""
    clock = MovedClock()
    day_ago = clock.now_us() - 24 * 60 * MINUTE_US
    with closing(filled(tmp_path, clock, 200, 60 * MINUTE_US)) as spool:
        sending = Sending(spool, clock, WINDOW)
        assert sending.step() is not None
        spool.append(pack_dictionary(Origin(OTHER, BOOT), 1, 1, [], day_ago))
        for number in range(2, 300):
            spool.append(record(number, source=OTHER, values=100, at=day_ago + number))
        spool.append(record(300, source=OTHER, at=clock.now_us()))
        sending.stream.receipt(1, WINDOW)
        read = sending.send_all()
        live = [name for name in read[:10] if name[0] == OTHER.bytes]
        assert live == [(OTHER.bytes, BOOT, 1), (OTHER.bytes, BOOT, 300)]
        others = [number for source, _, number in read if source == OTHER.bytes]
        assert others == [1, 300, *range(2, 300)]


def test_live_records_that_lag_more_than_a_minute_become_backlog_themselves(tmp_path: Path) -> None:
    clock = MovedClock()
    with closing(filled(tmp_path, clock, 50, 0)) as spool:
        sending = Sending(spool, clock, WINDOW)
        sending.stream.receipt(0, 0)  # the collector is full
        assert sending.step() is None
        clock.move(120)
        spool.append(record(51, at=clock.now_us()))
        sending.stream.receipt(0, WINDOW)
        assert [number for _, _, number in sending.send_all()] == [51, *range(1, 51)]


def test_lost_frames_of_both_lanes_are_sent_again_exactly(tmp_path: Path) -> None:
    clock = MovedClock()
    with closing(filled(tmp_path, clock, 120, 60 * MINUTE_US)) as spool:
        spool.append(pack_dictionary(Origin(SOURCE, BOOT), 121, 2, [], clock.now_us() - 50 * MINUTE_US))
        spool.append(record(122, at=clock.now_us() - 50 * MINUTE_US))
        sending = Sending(spool, clock, WINDOW)
        frames = []
        for number in range(123, 126):
            spool.append(record(number, at=clock.now_us()))
            frames += [frame for frame in (sending.step(), sending.step()) if frame]
        carried = [name for _, records in frames for name in names_in(records)]
        assert {number for _, _, number in carried} >= {1, 121, 123, 124, 125}
        clock.move(1)
        sending.stream.again(1)
        read = sending.send_all()
        assert read[: len(carried)] == carried
        assert sorted(number for _, _, number in read) == list(range(1, 126))


def test_a_frame_asked_for_twice_carries_the_same_records_both_times(tmp_path: Path) -> None:
    """A slow collector asks again while the first answer is on its way, and then reads a copy of either."""
    clock = MovedClock()
    with closing(filled(tmp_path, clock, 120, 60 * MINUTE_US)) as spool:
        sending = Sending(spool, clock, WINDOW)
        spool.append(record(121, at=clock.now_us()))
        while sending.step() is not None:
            pass
        first = list(sending.pipe.frames)
        assert len(first) > 1
        for number in (122, 123):
            spool.append(record(number, at=clock.now_us()))
            sending.pipe.frames.clear()
            clock.move(1)
            sending.stream.again(1)
            assert sending.step() is not None
        while sending.step() is not None:
            pass
        assert sending.pipe.frames[: len(first)] == first


def test_what_a_full_spool_drops_out_of_a_backlog_leaves_its_dictionaries_where_they_were(tmp_path: Path) -> None:
    clock = MovedClock()
    old = clock.now_us() - 60 * MINUTE_US
    with closing(Spool.open(tmp_path, SpoolLimits(max_bytes=64 << 10, segment_bytes=8 << 10))) as spool:
        for number in range(1, 41):
            if number % 10 == 3:
                spool.append(pack_dictionary(Origin(SOURCE, BOOT), number, number, [], old))
            else:
                spool.append(record(number, values=50, at=old + number))
        sending = Sending(spool, clock, 4 << 10)
        read: list[int] = []
        for _ in range(4):
            frame = sending.step()
            assert frame is not None
            sending.stream.receipt(frame[0], 4 << 10)
            read += numbers_in(frame[1])
        assert read[:4] == [3, 13, 23, 33]
        dropped = {number for _, _, ranges in spool.drop(10 << 10) for a, b in ranges for number in range(a, b + 1)}
        assert dropped
        read += [number for _, _, number in sending.send_all(4 << 10)]
        assert len(read) == len(set(read))
        assert set(read) | dropped == set(range(1, 41))
        kinds = [kind for _, _, kind, *_ in records_of(b"".join(spool.find(SOURCE.bytes, BOOT, 3, 3)))]
        assert kinds == [Kind.DICTIONARY]


def test_a_backlog_is_not_starved_by_live_records_that_never_end(tmp_path: Path) -> None:
    clock = MovedClock()
    with closing(filled(tmp_path, clock, 40, 60 * MINUTE_US)) as spool:
        sending = Sending(spool, clock, WINDOW)
        backlog = live = 0
        for number in range(1, 400):
            spool.append(record(number, source=OTHER, values=500, at=clock.now_us()))
            frame = sending.step()
            assert frame is not None
            sending.stream.receipt(frame[0], WINDOW)
            for source, _, _ in names_in(frame[1]):
                backlog += source == SOURCE.bytes
                live += source == OTHER.bytes
            if backlog == 40:
                break
        assert backlog == 40
        assert live > 8
