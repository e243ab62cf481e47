"""What a source published is numbered once, held until stored, and counted when dropped."""

import os
import shutil
import subprocess
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from core.model.item import ItemDescription
from core.model.record import Kind, RecordError, read_header, unpack_rows, verify
from core.runtime.clock import ManualClock
from core.spool.dropping import DropPlan
from core.spool.outbox import Outbox
from core.spool.scan import checksum_at, records_of
from core.spool.spool import SpoolFault, SpoolLimits
from tests.support.records import AT, everything_in

SOURCE = UUID(int=77)
LIMITS = SpoolLimits()
TIGHT = SpoolLimits(max_bytes=40_000, segment_bytes=4_000)
CPU = ItemDescription(key="cpu.busy", unit="%", description="busy")
LOAD = ItemDescription(key="cpu.load1")


def opened(folder: Path, limits: SpoolLimits = LIMITS) -> Outbox:
    return Outbox.open(folder, SOURCE, limits, ManualClock())


def publish(outbox: Outbox, value: float = 1.0, count: int = 10) -> int:
    return outbox.publish(array("I", [1] * count), [AT] * count, array("d", [value] * count))


def stream(outbox: Outbox) -> list[tuple[int, int, Kind, int, Any]]:
    """(boot, number, kind, dictionary version, rows or bytes) of everything held, in order; checksums verified."""
    data = everything_in(outbox.spool)
    found = []
    for begin, end, *_ in records_of(data):
        header = read_header(data, begin)
        verify(data, header, begin)
        body = data[begin + 64 : end] if header.kind is Kind.VALUES else unpack_rows(data, header, begin)
        found.append((header.boot, header.number, header.kind, header.dictionary, body))
    return found


def lost_in(outbox: Outbox, boot: int) -> set[int]:
    rows = [row for _, _, kind, _, body in stream(outbox) if kind is Kind.LOST for row in body]
    return {n for lost_boot, first, last in rows if lost_boot == boot for n in range(first, last + 1)}


def test_a_boot_begins_with_its_full_dictionary_and_versions_grow_with_it(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    assert outbox.describe([CPU, LOAD, CPU]) == [1, 2, 1]
    assert publish(outbox) == 3
    assert outbox.describe([LOAD, CPU]) == [2, 1]
    assert outbox.describe([ItemDescription(key="new"), CPU]) == [3, 1]
    assert publish(outbox) == 5
    boot = outbox.boot
    assert [entry[:4] for entry in stream(outbox)] == [
        (boot, 1, Kind.DICTIONARY, 1),
        (boot, 2, Kind.DICTIONARY, 2),
        (boot, 3, Kind.VALUES, 2),
        (boot, 4, Kind.DICTIONARY, 3),
        (boot, 5, Kind.VALUES, 3),
    ]
    assert stream(outbox)[1][4] == [[1, "cpu.busy", "number", "%", "busy", ""], [2, "cpu.load1", "number", "", "", ""]]
    assert stream(outbox)[3][4] == [[3, "new", "number", "", "", ""]]
    outbox.close()


def test_item_numbers_stay_the_same_across_boots_and_are_never_reused(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.describe([CPU, LOAD])
    first.close()
    second = opened(tmp_path)
    assert second.boot != first.boot
    assert second.describe([ItemDescription(key="new"), LOAD, CPU]) == [3, 2, 1]
    own = [entry for entry in stream(second) if entry[0] == second.boot]
    assert own[0][:3] == (second.boot, 1, Kind.DICTIONARY)
    assert [row[:2] for row in own[0][4]] == [[1, "cpu.busy"], [2, "cpu.load1"]]
    text = ItemDescription(key="cpu.busy", type="text")
    assert second.describe([text]) == [4]
    percent = ItemDescription(key="cpu.load1", unit="%")
    assert second.describe([percent]) == [2]
    assert stream(second)[-1][4] == [[2, "cpu.load1", "number", "%", "", ""]]
    second.close()


def test_a_damaged_file_of_item_numbers_is_put_aside(tmp_path: Path) -> None:
    first = opened(tmp_path)
    first.describe([CPU, LOAD])
    first.close()
    for rubbish in ('{"next": 1', '{"next": 5, "items": [[1, 2]]}', "[]", '{"next": 9, "items": {}}'):
        (tmp_path / "items.json").write_text(rubbish)
        outbox = opened(tmp_path)
        assert outbox.describe([LOAD]) == [1]
        outbox.close()
        assert (tmp_path / "items.damaged").read_text() == rubbish


def test_a_dictionary_too_large_for_a_record_goes_into_several(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    many = [ItemDescription(key=f"k{n}", description="x" * 900) for n in range(2000)]
    assert outbox.describe(many) == list(range(1, 2001))
    outbox.close()
    again = opened(tmp_path)
    own = [entry for entry in stream(again) if entry[0] == again.boot and entry[2] is Kind.DICTIONARY]
    assert len(own) > 1
    assert [row[0] for entry in own for row in entry[4]] == list(range(1, 2001))
    assert [entry[3] for entry in own] == list(range(1, len(own) + 1))
    again.close()


def test_the_end_of_a_boot_is_announced_by_itself_and_by_the_next(tmp_path: Path) -> None:
    first = opened(tmp_path)
    number = publish(first)
    first.close()
    second = opened(tmp_path)
    closings = [(entry[0], entry[1], entry[4]) for entry in stream(second) if entry[2] is Kind.CLOSING]
    assert closings == [
        (first.boot, number + 1, [[first.boot, number + 1]]),
        (second.boot, 2, [[first.boot, number + 1]]),
    ]
    assert second.held_boots() == [(first.boot, 1, number + 1), (second.boot, 1, 2)]
    second.spool.mark_stored(SOURCE.bytes, first.boot, [(1, number + 1)])
    second.spool.mark_stored(SOURCE.bytes, second.boot, [(1, 2)])
    assert second.held_boots() == [(second.boot, 3, 2)]
    second.close()


def test_a_folder_copied_back_resends_the_old_boot_unchanged_under_a_new_one(tmp_path: Path) -> None:
    live, saved = tmp_path / "live", tmp_path / "saved"
    outbox = opened(live)
    for value in range(5):
        publish(outbox, value)
    shutil.copytree(live, saved)
    old = stream(outbox)
    for value in range(5, 10):
        publish(outbox, value)
    seen = [(outbox.boot, outbox.last_number, 0)]
    outbox.close()
    shutil.rmtree(live)
    shutil.copytree(saved, live)
    again = opened(live)
    assert again.settle(seen) is False
    assert again.boot != outbox.boot
    assert stream(again)[: len(old)] == old
    assert {entry[0] for entry in stream(again)[len(old) :]} == {again.boot}
    assert publish(again) == again.last_number
    again.close()


def test_a_machine_set_back_to_a_snapshot_begins_a_new_boot_and_renumbers_what_it_holds(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    outbox.describe([CPU])
    for value in range(6):
        publish(outbox, value)
    boot, last = outbox.boot, outbox.last_number
    outbox.spool.mark_stored(SOURCE.bytes, boot, [(1, 4)])
    held = [entry for entry in stream(outbox) if entry[0] == boot and entry[1] > 4]
    assert outbox.settle([(boot, last, 0), (999, 5, 0)]) is False
    assert outbox.settle([(boot, last + 3, 0)]) is True
    now = stream(outbox)
    now = [entry for entry in now if entry[0] == outbox.boot]
    assert outbox.boot != boot
    assert [entry[1] for entry in now] == list(range(1, len(now) + 1))
    assert now[0][2] is Kind.DICTIONARY
    assert [row[1] for row in now[0][4]] == ["cpu.busy"]
    assert now[0][3] >= max(entry[3] for entry in held), "batches moved over name a version of the dictionary"
    assert (now[1][2], now[1][4]) == (Kind.CLOSING, [[boot, last + 3]])
    assert [entry[2:] for entry in now[2:]] == [entry[2:] for entry in held]
    assert outbox.held_boots() == [(outbox.boot, 1, outbox.last_number)]
    assert outbox.settle([(boot, last + 3, 0)]) is False
    assert publish(outbox) == len(now) + 1
    outbox.close()


def test_a_machine_set_back_that_has_issued_more_numbers_since_is_told_by_the_checksum(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    outbox.describe([CPU])
    for value in range(6):
        publish(outbox, value)
    boot, last = outbox.boot, outbox.last_number
    own = {number: checksum_at(next(outbox.spool.find(SOURCE.bytes, boot, number, number))) for number in (3, last)}
    assert outbox.settle([(boot, last, own[last])]) is False
    assert outbox.settle([(boot, 3, own[3] ^ 1)]) is True
    now = [entry for entry in stream(outbox) if entry[0] == outbox.boot]
    assert outbox.boot != boot
    assert (now[1][2], now[1][4]) == (Kind.CLOSING, [[boot, 3]])
    assert [entry[2] for entry in now[2:]] == [Kind.VALUES] * 6, "what was held, beyond the number seen too"
    outbox.close()


@pytest.mark.trial("R4")
def test_what_a_full_spool_drops_is_announced_exactly(tmp_path: Path) -> None:
    outbox = opened(tmp_path, TIGHT)
    outbox.describe([CPU])
    published = [publish(outbox, value) for value in range(1000)]
    assert published == sorted(set(published))
    held = {entry[1] for entry in stream(outbox)}
    issued = set(range(1, outbox.last_number + 1))
    assert lost_in(outbox, outbox.boot) == issued - held
    assert outbox.lost_records == outbox.spool.dropped_records == len(issued - held) > 500
    assert {1, 2} <= held, "the dictionary stays: what is held cannot be understood without it"
    assert outbox.spool.held_bytes < TIGHT.max_bytes + 4_000
    outbox.close()
    again = opened(tmp_path, TIGHT)
    assert lost_in(again, outbox.boot) == issued - held
    again.close()


@pytest.mark.trial("R4")
def test_a_loss_is_announced_before_it_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outbox = opened(tmp_path, TIGHT)
    while outbox.spool.has_room(300):
        publish(outbox)
    last = outbox.last_number

    class Killed(BaseException):
        pass

    def killed(_plan: DropPlan) -> None:
        raise Killed

    monkeypatch.setattr(outbox.spool, "carry_out", killed)
    with pytest.raises(Killed):
        publish(outbox)
    outbox.spool.close()
    again = opened(tmp_path, TIGHT)
    assert {entry[1] for entry in stream(again) if entry[0] == outbox.boot} == set(range(1, last + 2))
    assert lost_in(again, outbox.boot)
    again.close()


@pytest.mark.trial("R4")
def test_what_a_proxy_has_is_dropped_first_and_not_called_lost(tmp_path: Path) -> None:
    outbox = opened(tmp_path, TIGHT)
    for value in range(100):
        publish(outbox, value)
    outbox.spool.mark_taken(SOURCE.bytes, outbox.boot, [(1, outbox.last_number)])
    while outbox.spool.held_bytes + 300 < TIGHT.max_bytes:
        publish(outbox)
    before = outbox.last_number
    for value in range(50):
        publish(outbox, value)
    assert outbox.lost_records == 0
    assert not lost_in(outbox, outbox.boot)
    held = {entry[1] for entry in stream(outbox)}
    assert held >= set(range(before, outbox.last_number + 1))
    assert not held >= set(range(2, 100))
    outbox.close()


@pytest.mark.trial("R5")
def test_numbers_in_a_damaged_file_are_announced_as_lost(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    for value in range(10):
        publish(outbox, value)
    boot = outbox.boot
    outbox.close()
    (path,) = tmp_path.glob("*.segment")
    data = bytearray(path.read_bytes())
    size = 64 + 160
    data[-size * 4] ^= 8
    path.write_bytes(data)
    again = opened(tmp_path)
    missing = set(range(1, 12)) - {entry[1] for entry in stream(again) if entry[0] == boot}
    assert len(missing) == 1
    assert lost_in(again, boot) == missing
    assert again.lost_records == 1
    again.close()


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "tiny"
    folder.mkdir()
    privileged = [] if os.geteuid() == 0 else ["sudo", "-n"]
    mount = [*privileged, "mount", "-t", "tmpfs", "-o", "size=64k,mode=0777", "tmpfs", str(folder)]
    subprocess.run(mount, check=True, timeout=60)
    with pytest.raises(OSError, match="No space"):
        (folder / "ballast").write_bytes(bytes(100 * 1024))
    yield folder
    subprocess.run([*privileged, "umount", str(folder)], check=True, timeout=60)


@pytest.mark.trial("R4")
def test_batches_a_full_disk_refused_are_announced_as_lost_once_there_is_room(full_disk: Path) -> None:
    outbox = opened(full_disk / "spool")
    assert stream(outbox) == []
    for _ in range(3):
        with pytest.raises(SpoolFault, match="free space"):
            publish(outbox)
    with pytest.raises(SpoolFault, match="free space"):
        outbox.describe([CPU])
    outbox.miss()
    (full_disk / "ballast").unlink()
    assert outbox.describe([CPU]) == [1]
    number = publish(outbox)
    found = stream(outbox)
    assert found[0][1:3] == (1, Kind.DICTIONARY)
    assert lost_in(outbox, outbox.boot) == {2, 3, 4, 5}
    assert (number, outbox.lost_records, outbox.unpublished_batches) == (found[-1][1], 4, 4)
    assert {entry[1] for entry in found} | {2, 3, 4, 5} == set(range(1, number + 1))
    (full_disk / "ballast").write_bytes(b"")
    outbox.close()


def test_a_batch_that_is_none_costs_no_number(tmp_path: Path) -> None:
    outbox = opened(tmp_path)
    with pytest.raises(RecordError):
        outbox.publish(array("I", [1]), [AT, AT], array("d", [1.0]))
    assert publish(outbox) == 2
    assert outbox.publish_texts([1], [AT], ["up"]) == 3
    assert stream(outbox)[-1][4] == [[1, 0, "up"]]
    assert outbox.unpublished_batches == 0
    outbox.close()
