"""The decisions of a link: credit, going back, failing over, choosing what is intact."""

from __future__ import annotations

import pytest

from core.spool.spool import Position
from core.wire import checking
from core.wire.checking import check_records
from core.wire.epoch import EpochMemory
from core.wire.failover import Ending, Failover
from core.wire.flight import Flight
from core.wire.limits import FRAME_BYTES, MAX_FRAMES_IN_FLIGHT
from core.wire.share import SMALLEST_BYTES, WINDOW_PART, BacklogShare
from core.wire.timings import LinkTimings
from tests.support.records import OTHER, SOURCE, numbers_in, record, records

LOST = Ending(trouble="gone")
DROPPED = Ending(trouble="gone", was_welcomed=True)


def at(offset: int) -> Position:
    return Position(1, offset)


def flown(sizes: list[int], window: int = 1000, backlog: tuple[int, ...] = ()) -> Flight:
    """Frames of these sizes under way, one stretch each; those whose place is in `backlog` are of the backlog."""
    flight = Flight(window)
    begin = 0
    for place, size in enumerate(sizes):
        stretch = (at(begin), at(begin + size))
        flight.launch((stretch,), size, is_backlog=place in backlog, at=float(place))
        begin += size
    return flight


def test_what_is_under_way_stays_within_the_window() -> None:
    flight = flown([400, 400])
    assert flight.room_bytes == 200
    assert flight.admits(200)
    assert not flight.admits(201)
    assert flight.receipt(1, 1000)
    assert flight.room_bytes == 600


def test_a_record_larger_than_the_window_travels_alone() -> None:
    assert flown([]).admits(5000)
    assert not flown([1]).admits(5000)
    assert not flown([], window=0).admits(1)


def test_frames_without_a_receipt_are_bounded_in_number_too() -> None:
    flight = flown([1] * MAX_FRAMES_IN_FLIGHT)
    assert flight.room_bytes == 0
    flight.receipt(1, 1000)
    assert flight.room_bytes > 0


def test_going_back_gives_back_what_the_frames_carried_in_their_order() -> None:
    flight = flown([100, 200, 300], backlog=(1,))
    lost = flight.go_back(2)
    assert lost is not None
    assert [sent.stretches for sent in lost] == [((at(100), at(300)),), ((at(300), at(600)),)]
    assert (flight.last_frame, flight.in_flight_bytes, flight.backlog_bytes) == (1, 100, 0)
    assert flight.launch(((at(100), at(150)), (at(170), at(190))), 70, is_backlog=False, at=3.0) == 2
    lost = flight.go_back(1)
    assert lost is not None
    assert [sent.stretches for sent in lost] == [((at(0), at(100)),), ((at(100), at(150)), (at(170), at(190)))]


def test_going_back_to_what_was_read_or_never_sent_is_refused() -> None:
    flight = flown([100, 200])
    assert flight.receipt(1, 1000) is not None
    assert flight.go_back(1) is None
    assert flight.go_back(3) is None
    assert flight.receipt(3, 1000) is None
    assert flight.go_back(2)


def test_a_receipt_tells_which_frames_of_the_backlog_it_frees() -> None:
    flight = flown([100, 200, 300], backlog=(0, 2))
    assert flight.backlog_bytes == 400
    freed = flight.receipt(2, 1000)
    assert freed is not None
    assert [(sent.frame, sent.is_backlog, sent.at) for sent in freed] == [(1, True, 0.0), (2, False, 1.0)]
    assert flight.backlog_bytes == 300


WINDOW = 4 << 20


def receipts(share: BacklogShare, count: int, seconds: float, since: float = 0.0) -> float:
    """`count` frames sent one after the other, each receipted `seconds` later; return when the last one was."""
    for _ in range(count):
        share.note_receipt(since, since + seconds, WINDOW)
        since += seconds
    return since


def test_a_backlog_gets_its_part_of_the_window_while_receipts_come_promptly_and_never_more() -> None:
    share = BacklogShare()
    assert share.frame_bytes(WINDOW, 0) == FRAME_BYTES // 2
    assert share.frame_bytes(WINDOW, FRAME_BYTES // 2 + 1) == 0
    receipts(share, 100, 0.3)  # a distant collector, not a slow one
    part = WINDOW // WINDOW_PART
    assert share.frame_bytes(WINDOW, part - FRAME_BYTES) == FRAME_BYTES
    assert share.frame_bytes(WINDOW, part - FRAME_BYTES + 1) == 0


def test_a_backlog_gives_way_once_for_each_round_of_late_receipts_and_always_keeps_something() -> None:
    share = BacklogShare()
    now = receipts(share, 100, 0.01)
    before = share.allowed_bytes
    for _ in range(5):  # sent before the first of them was late
        share.note_receipt(now, now + 1.0, WINDOW)
    assert share.allowed_bytes == before // 2
    receipts(share, 100, 1.0, now + 2.0)
    assert share.frame_bytes(WINDOW, 0) == SMALLEST_BYTES // 2
    assert share.frame_bytes(WINDOW, SMALLEST_BYTES) == 0


def test_a_backlog_gives_way_when_the_receiver_says_that_it_is_full() -> None:
    share = BacklogShare()
    now = receipts(share, 100, 0.01)
    before = share.allowed_bytes
    share.note_receipt(now, now + 0.01, 0)
    assert share.allowed_bytes == before // 2


def test_without_a_window_nothing_of_a_backlog_is_sent_and_a_small_one_makes_its_frames_small() -> None:
    share = BacklogShare()
    assert share.frame_bytes(0, 0) == 0
    assert share.frame_bytes(64 << 10, 0) == 4 << 10


def test_every_upstream_is_tried_before_a_pause_and_pauses_grow() -> None:
    timings = LinkTimings(first_retry_seconds=1, longest_retry_seconds=10)
    failover = Failover(["a", "b"], timings, fraction=lambda: 1.0)
    assert [failover.ended(LOST) for _ in range(8)] == [0, 1, 0, 3, 0, 9, 0, 10]
    assert failover.place == 0
    assert failover.ended(DROPPED) == 1
    assert failover.place == 1


def test_a_redirect_is_followed_within_the_list_and_no_further() -> None:
    failover = Failover(["a", "b", "c"], LinkTimings())
    failover.ended(Ending(trouble="standby", go_to=("x", "c")))
    assert failover.place == 2
    failover.ended(Ending(trouble="standby", go_to=("x",)))
    assert failover.place == 0


def test_two_that_send_sources_to_each_other_are_not_asked_without_a_pause() -> None:
    failover = Failover(["a", "b"], LinkTimings(first_retry_seconds=1), fraction=lambda: 1.0)
    pauses = [failover.ended(Ending(trouble="standby", go_to=(name,))) for name in "bababa"]
    assert sum(pauses) > 3


def test_a_collector_that_forgot_the_session_is_asked_again_first() -> None:
    failover = Failover(["a", "b"], LinkTimings())
    failover.ended(Ending(trouble="session", was_welcomed=True, stay=True))
    assert failover.place == 0


def test_another_order_keeps_the_place_on_the_same_endpoint_and_what_comes_next_follows_the_order() -> None:
    failover = Failover(["a", "b", "c"], LinkTimings())
    failover.ended(LOST)
    failover.reorder(["b", "c", "a"])
    assert failover.place == 0
    failover.ended(LOST)
    assert failover.place == 1


def test_a_wait_the_collector_asks_for_is_kept_within_reason() -> None:
    failover = Failover(["a"], LinkTimings(first_retry_seconds=1, longest_retry_seconds=5))
    assert failover.ended(Ending(trouble="cloned", retry_seconds=1000)) == 5


def test_epochs_only_rise_and_each_rise_is_kept() -> None:
    kept: list[int] = []
    epochs = EpochMemory(3, kept.append)
    for epoch in (2, 3, 4, 4, 1, 6):
        epochs.see(epoch)
    assert (epochs.highest, kept) == (6, [4, 6])
    assert epochs.is_stale(5)
    assert not epochs.is_stale(6)


def test_a_frame_without_fault_is_handed_on_as_it_is() -> None:
    data = records([1, 2]) + records([7], source=OTHER)
    checked = check_records(data, None)
    assert checked.records is data
    assert (checked.count, checked.sources, checked.damaged) == (3, frozenset((SOURCE.bytes, OTHER.bytes)), 0)


def test_an_intact_record_needs_no_closer_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "read_header", None)
    assert check_records(records(range(1, 50)), None).count == 49


def test_records_of_another_source_are_left_out() -> None:
    checked = check_records(records([1]) + records([2], source=OTHER) + records([3]), SOURCE.bytes)
    assert numbers_in(checked.records) == [1, 3]
    assert (checked.foreign_records, checked.foreign_source) == (1, OTHER.bytes)


@pytest.mark.parametrize("place", [0, 5, 20, 40, 63, 64, 100])
def test_one_flipped_bit_costs_one_record(place: int) -> None:
    damaged = bytearray(record(2))
    damaged[place] ^= 4
    checked = check_records(record(1) + bytes(damaged) + record(3), SOURCE.bytes)
    assert numbers_in(checked.records) == [1, 3]
    assert checked.damaged >= 1
    assert checked.damage


def test_looking_for_an_intact_record_ends_after_some_tries() -> None:
    assert check_records(b"WK1" * 1000 + record(1), None).records == b""
    assert numbers_in(check_records(b"WK1" * 10 + record(1), None).records) == [1]
