from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from core.spool.inspection import inspect
from core.spool.spool import Spool, SpoolLimits
from tests.support.records import record, records

if TYPE_CHECKING:
    from pathlib import Path

LIMITS = SpoolLimits(max_bytes=1 << 20, segment_bytes=4096)
MUCH = 1 << 30


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def overwrite(path: Path, offset: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"XXXX")


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """The folder of a closed spool with several segments."""
    spool = Spool.open(tmp_path, LIMITS)
    for number in range(1, 121):
        spool.append(record(number))
    spool.close()
    return tmp_path


def test_a_spool_in_use_is_looked_at_without_its_lock(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, LIMITS)
    spool.append(records(range(1, 11)))
    view = inspect(tmp_path, MUCH)
    assert (view.files, view.held_bytes, view.damages) == (1, spool.held_bytes, ())
    spool.close()


def test_nothing_in_the_folder_is_changed(filled: Path) -> None:
    overwrite(max(filled.glob("*.segment")), 300)
    before = snapshot(filled)
    inspect(filled, MUCH)
    assert snapshot(filled) == before


def test_damage_is_found_with_its_place(filled: Path) -> None:
    segment = min(filled.glob("*.segment"))
    overwrite(segment, 300)
    (damage,) = inspect(filled, MUCH).damages
    assert damage.file == segment.name
    assert damage.offset <= 300 < damage.offset + damage.bytes


def test_a_wrong_file_header_is_damage(filled: Path) -> None:
    overwrite(min(filled.glob("*.segment")), 0)
    assert inspect(filled, MUCH).damages[0].reason == "not the header of a segment file"


def test_a_record_being_written_at_the_newest_end_is_no_damage(filled: Path) -> None:
    newest = max(filled.glob("*.segment"))
    with newest.open("ab") as file:
        file.write(record(500)[:50])
    assert inspect(filled, MUCH).damages == ()


def test_a_record_cut_short_in_an_older_file_is_damage(filled: Path) -> None:
    older = min(filled.glob("*.segment"))
    with older.open("ab") as file:
        file.write(record(500)[:50])
    assert [damage.file for damage in inspect(filled, MUCH).damages] == [older.name]


def test_the_newest_files_are_verified_first_and_the_rest_is_counted_only(filled: Path) -> None:
    oldest, newest = min(filled.glob("*.segment")), max(filled.glob("*.segment"))
    overwrite(oldest, 300)
    view = inspect(filled, 1)
    assert view.damages == ()
    assert view.checked_bytes == newest.stat().st_size
    assert view.held_bytes == sum(path.stat().st_size for path in filled.glob("*.segment"))
    assert view.files > 1
