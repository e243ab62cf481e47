"""R5: a damaged file loses what is damaged, says so, and nothing else."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.record import Origin, pack_texts
from core.spool.segment import START
from core.spool.spool import Damage, Spool, SpoolLimits
from tests.support.records import AT, BOOT, OTHER, SOURCE, everything_in, numbers_in, record, records

LIMITS = SpoolLimits()
ONE = len(record(1))
COUNT = 20

pytestmark = pytest.mark.trial("R5")


def written(folder: Path, data: bytes) -> Path:
    spool = Spool.open(folder, LIMITS)
    spool.append(data)
    spool.close()
    (path,) = folder.glob("*.segment")
    return path


def reopened(folder: Path) -> tuple[list[int], list[Damage]]:
    spool = Spool.open(folder, LIMITS)
    numbers = numbers_in(everything_in(spool))
    held = [n for ranges in spool.unstored().values() for first, last in ranges for n in range(first, last + 1)]
    assert sorted(held) == sorted(numbers)
    damages = list(spool.damages)
    spool.close()
    return numbers, damages


@given(st.integers(0, COUNT * ONE * 8 - 1))
def test_a_flipped_bit_loses_only_its_record_and_is_reported(bit: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = written(Path(name), records(range(1, COUNT + 1)))
        data = bytearray(path.read_bytes())
        data[START + bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        numbers, damages = reopened(Path(name))
        bad = bit // 8 // ONE + 1
        assert numbers == [n for n in range(1, COUNT + 1) if n != bad]
        (damage,) = damages
        assert (damage.file, damage.offset, damage.bytes) == (path.name, START + (bad - 1) * ONE, ONE)
        if 1 < bad < COUNT:
            assert damage.missing == ((SOURCE.bytes, BOOT, bad, bad),)
        assert reopened(Path(name))[0] == numbers


@given(st.integers(0, COUNT * ONE + START - 1))
def test_a_file_cut_short_keeps_every_whole_record_and_can_be_appended_to(size: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = written(folder, records(range(1, COUNT + 1)))
        with path.open("r+b") as file:
            file.truncate(size)
        whole = max(0, size - START) // ONE
        spool = Spool.open(folder, LIMITS)
        assert numbers_in(everything_in(spool)) == list(range(1, whole + 1))
        is_torn = size < START or (size - START) % ONE != 0
        assert len(spool.damages) == is_torn
        spool.append(record(99))
        spool.close()
        assert reopened(folder) == ([*range(1, whole + 1), 99], [])


@given(
    st.lists(st.tuples(st.integers(0, COUNT * ONE - 1), st.binary(min_size=1, max_size=300)), min_size=1, max_size=5)
)
def test_whatever_is_overwritten_the_untouched_records_stay(strokes: list[tuple[int, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = written(Path(name), records(range(1, COUNT + 1)))
        before = path.read_bytes()
        data = bytearray(before)
        for at, rubbish in strokes:
            data[START + at : START + at + len(rubbish)] = rubbish[: len(data) - START - at]
        path.write_bytes(data)
        intact = [
            n
            for n in range(1, COUNT + 1)
            if data[START + (n - 1) * ONE : START + n * ONE] == before[START + (n - 1) * ONE : START + n * ONE]
        ]
        numbers, damages = reopened(Path(name))
        assert numbers == intact
        assert bool(damages) == (len(intact) < COUNT)


def test_a_record_inside_a_damaged_text_is_not_taken_for_one(tmp_path: Path) -> None:
    forged = record(7, source=OTHER)
    text = forged.decode("latin-1")
    outer = pack_texts(Origin(SOURCE, BOOT), 2, 1, [1], [AT], ["x" + text])
    # the forged bytes must survive UTF-8: only then could they be found
    raw = bytearray(record(1) + outer + record(3))
    raw[len(record(1)) + 70 : len(record(1)) + 70 + len(forged)] = forged
    path = written(tmp_path, bytes(raw))
    assert path.exists()
    assert reopened(tmp_path)[0] == [1, 3]


def test_the_end_of_one_file_and_the_beginning_of_the_next_name_what_is_missing(tmp_path: Path) -> None:
    limits = SpoolLimits(max_bytes=100_000, segment_bytes=START + 5 * ONE)
    spool = Spool.open(tmp_path, limits)
    for number in range(1, 16):
        spool.append(record(number))
    spool.close()
    first, second, third = sorted(tmp_path.glob("*.segment"))
    for path, at in ((first, START + 4 * ONE + 20), (third, START + 20)):
        data = bytearray(path.read_bytes())
        data[at] ^= 1
        path.write_bytes(data)
    numbers, damages = reopened(tmp_path)
    assert numbers == [1, 2, 3, 4, *range(6, 11), *range(12, 16)]
    assert [(damage.file, damage.missing) for damage in damages] == [
        (first.name, ((SOURCE.bytes, BOOT, 5, 5),)),
        (third.name, ((SOURCE.bytes, BOOT, 11, 11),)),
    ]
    assert second.exists()


def test_a_file_that_shrinks_or_goes_while_the_spool_is_open_loses_its_own_records_only(tmp_path: Path) -> None:
    limits = SpoolLimits(max_bytes=100_000, segment_bytes=START + 5 * ONE)
    spool = Spool.open(tmp_path, limits)
    for number in range(1, 16):
        spool.append(record(number))
    spool.append(records(range(16, 21)))
    first, second, third, _ = sorted(tmp_path.glob("*.segment"))
    with second.open("r+b") as file:
        file.truncate(START + 2 * ONE + 10)
    spool._shelf.segments[2].release()  # as after its fsync
    third.unlink()
    assert numbers_in(everything_in(spool)) == [*range(1, 8), *range(16, 21)]
    assert (spool.held_records, spool.damaged_records) == (12, 8)
    assert {damage.file for damage in spool.damages} == {second.name, third.name}
    spool.append(record(21))
    assert numbers_in(everything_in(spool)) == [*range(1, 8), *range(16, 22)]
    spool.mark_stored(SOURCE.bytes, BOOT, [(1, 21)])
    spool.close()
    assert not list(tmp_path.glob("*.segment"))
    assert first.name not in {damage.file for damage in spool.damages}
