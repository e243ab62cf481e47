"""Places in a spool: where dictionaries lie, where the present begins, and that none loses its meaning."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from core.model.record import Origin, pack_dictionary
from core.spool.moves import Moves
from core.spool.spool import Spool, SpoolLimits
from tests.support.records import AT, BOOT, SOURCE, numbers_in, record

if TYPE_CHECKING:
    from pathlib import Path

    from core.spool.position import Position

LIMITS = SpoolLimits(max_bytes=64 << 10, segment_bytes=2_000)


def filled(folder: Path, count: int, every: int = 5) -> Spool:
    """Records a second apart in several files; each whose number is a multiple of `every` is a dictionary."""
    spool = Spool.open(folder, LIMITS)
    for number in range(1, count + 1):
        at = AT + number * 1_000_000
        is_dictionary = number % every == 0
        origin = Origin(SOURCE, BOOT)
        spool.append(pack_dictionary(origin, number, number, [], at) if is_dictionary else record(number, at=at))
    return spool


def numbers_between(spool: Spool, begin: Position, until: Position) -> list[int]:
    found: list[int] = []
    while (piece := spool.read(begin, 300, until)) is not None:
        found += numbers_in(piece.data)
        begin = piece.end
    return found


def place_before(spool: Spool, number: int) -> Position:
    piece = spool.read(spool.begin, 1)
    while piece is not None and numbers_in(piece.data) != [number]:
        piece = spool.read(piece.end, 1)
    assert piece is not None
    return piece.begin


def test_reading_ends_where_it_is_told_to(tmp_path: Path) -> None:
    with closing(filled(tmp_path, 60)) as spool:
        begin, until = place_before(spool, 7), place_before(spool, 49)
        assert begin.segment < until.segment
        assert numbers_between(spool, begin, until) == list(range(7, 49))
        assert numbers_between(spool, begin, begin) == []
        assert numbers_between(spool, until, begin) == []


def test_it_is_known_without_reading_where_dictionaries_lie_also_after_a_restart(tmp_path: Path) -> None:
    filled(tmp_path, 60).close()
    with closing(Spool.open(tmp_path, LIMITS)) as spool:
        stretches = spool.control(place_before(spool, 6), place_before(spool, 55))
        found = [number for begin, until in stretches for number in numbers_between(spool, begin, until)]
        assert found == list(range(10, 55, 5))


def test_the_first_record_of_the_present_is_found_also_among_old_ones(tmp_path: Path) -> None:
    with closing(filled(tmp_path, 60, every=100)) as spool:
        for since in (1, 17, 41, 60):
            place = spool.first_since(AT + since * 1_000_000, spool.begin)
            assert numbers_between(spool, place, spool.end) == list(range(since, 61))
        assert spool.first_since(AT + 61_000_000, spool.begin) == spool.end
        late = place_before(spool, 30)
        assert spool.first_since(AT, late) == late
        for number in range(61, 100):
            spool.append(record(number, at=AT + (99_000_000 if number == 70 else 1_000_000)))
        place = spool.first_since(AT + 99_000_000, spool.begin)
        assert numbers_between(spool, place, spool.end) == list(range(70, 100))


def test_places_of_before_a_file_was_compacted_mean_the_next_record_that_was_kept(tmp_path: Path) -> None:
    with closing(filled(tmp_path, 60)) as spool:
        places = {number: place_before(spool, number) for number in range(1, 61)}
        ends = {number: piece.end for number in places if (piece := spool.read(places[number], 1))}
        for wanted in (500, 1_500, 1_000):
            spool.drop(wanted)
            held = {n for ranges in spool.unstored().values() for first, last in ranges for n in range(first, last + 1)}
            assert set(range(5, 61, 5)) <= held < set(places)
            for begin in (1, 4, 5, 6, 23, 37):
                for until in (2, 5, 6, 11, 40, 60):
                    wanted_numbers = [n for n in sorted(held) if begin <= n < until]
                    assert numbers_between(spool, places[begin], places[until]) == wanted_numbers
                    wanted_numbers = [n for n in sorted(held) if begin < n <= until]
                    assert numbers_between(spool, ends[begin], ends[until]) == wanted_numbers


def test_a_place_survives_a_second_rewriting() -> None:
    moves = Moves()
    moves.note(101, {10: 101, 20: 120, 30: 140})
    moves.note(201, {120: 201, 140: 230})
    assert [moves.present(offset, 260) for offset in (5, 11, 20, 21, 31, 100)] == [201, 201, 201, 230, 260, 260]
    assert [moves.present(offset, 260) for offset in (101, 130, 141, 201)] == [201, 230, 260, 201]
