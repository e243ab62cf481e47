"""The records that wait for their dictionary."""

from __future__ import annotations

from array import array

from core.model.record import MAX_VALUES, Origin, pack_values, read_header
from server.ingest.waiting import LONGEST_STEP_SECONDS, MAX_WAITING, MAX_WAITING_BYTES, WAIT_SECONDS, WaitingRoom
from server.intake.dictionaries import Dictionaries
from server.intake.screening import Admitted, Arrival
from server.store.dictionary import DictionaryEntries
from server.store.peers import Source
from tests.unit.server.intake.arrivals import MINE, PROXY_KEY, arrival

SOURCE = Source(id=1, uuid=MINE, name="mine", host_id=11)
STEPS = round(WAIT_SECONDS / LONGEST_STEP_SECONDS)


def waiting_record(number: int = 2) -> Admitted:
    record = pack_values(Origin(MINE, 9), number, 1, array("I", [1]), [1_000_000], array("d", [1.0]))
    return Admitted(arrival(record), SOURCE)


def pass_time(room: WaitingRoom, dictionaries: Dictionaries, *, is_behind: bool = False) -> int:
    """Look every two seconds for a little more than the wait; return how many expired."""
    looks = range(STEPS + 2)
    return sum(len(room.take_expired(dictionaries, look * LONGEST_STEP_SECONDS, is_behind=is_behind)) for look in looks)


def test_a_record_whose_dictionary_stays_away_expires() -> None:
    room = WaitingRoom()
    room.add([waiting_record()])
    assert pass_time(room, Dictionaries()) == 1
    assert len(room) == 0


def test_the_time_the_store_stood_still_is_no_waiting() -> None:
    room = WaitingRoom()
    room.add([waiting_record()])
    assert not room.take_expired(Dictionaries(), 0.0, is_behind=False)
    assert not room.take_expired(Dictionaries(), 3600.0, is_behind=False)


def test_while_live_records_queue_the_dictionary_may_be_among_them() -> None:
    room = WaitingRoom()
    room.add([waiting_record()])
    assert pass_time(room, Dictionaries(), is_behind=True) == 0


def test_a_record_whose_dictionary_has_come_never_expires() -> None:
    room, dictionaries = WaitingRoom(), Dictionaries()
    room.add([waiting_record(number) for number in range(2, MAX_WAITING + 4)])
    dictionaries.commit([DictionaryEntries(source_id=1, boot=9, version=1, numbers=[1], items=[5])])
    assert pass_time(room, dictionaries) == 0
    assert len(room.take_ready(dictionaries)) == MAX_WAITING + 2


def test_too_many_go_at_once() -> None:
    room = WaitingRoom()
    room.add([waiting_record(number) for number in range(2, MAX_WAITING + 4)])
    assert len(room.take_expired(Dictionaries(), 0.0, is_behind=False)) == MAX_WAITING + 2


def test_records_too_large_together_go_at_once_and_none_keeps_its_frame() -> None:
    room = WaitingRoom()
    count = MAX_VALUES - 1
    columns = array("I", [1]) * count, [1_000_000] * count, array("d", [1.0]) * count
    record = pack_values(Origin(MINE, 9), 1, 1, *columns)
    wanted = MAX_WAITING_BYTES // len(record) + 1
    frame = memoryview(record)
    for number in range(1, wanted + 1):
        header = read_header(record)._replace(number=number)
        room.add([Admitted(Arrival(PROXY_KEY, header, frame), SOURCE)])
    expired = room.take_expired(Dictionaries(), 0.0, is_behind=False)
    assert len(expired) == wanted
    assert all(each.record.obj is not record for each in expired)
