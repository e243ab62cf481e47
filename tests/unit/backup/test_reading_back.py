from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from backup.errors import TargetDiffers
from backup.saving.comparison import Known, compare
from backup.saving.reading_early import EarlyReading
from backup.settings.target import TargetSettings
from backup.targets.folder import FolderTarget
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from backup.saving.comparison import ReadBack

_FOLDER = "chain"
_FULL = "duplicity-full.20261130T120000Z"
_NAMES = [f"{_FULL}.vol{number}.difftar.gpg" for number in (1, 2)]
_OTHERS = [f"{_FULL}.manifest.gpg", "duplicity-full-signatures.20261130T120000Z.sigtar.gpg"]
_OLD = "duplicity-full.20261101T120000Z.vol1.difftar.gpg"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    folder = tmp_path / _FOLDER
    folder.mkdir()
    for name in (*_NAMES, *_OTHERS, _OLD):
        (folder / name).write_bytes(f"content of {name}".encode())
    return tmp_path


def _settings(store: Path) -> TargetSettings:
    return TargetSettings(name="store", kind="folder", folder=store)


def _read_early(store: Path, wanted: int) -> Mapping[str, ReadBack]:
    with EarlyReading(_settings(store), {_FOLDER: {_OLD: 1}}) as early:
        early.begin()
        wait_until(lambda: len(early.found) == wanted, 60, "a volume read early")
    return early.found


def _compare(store: Path, early: Mapping[str, ReadBack]) -> list[str]:
    """Compare with what was sent; return which files were read for that."""
    names = {name: (store / _FOLDER / name).stat().st_size for name in (*_NAMES, *_OTHERS)}
    sums = {number: _sha1(name) for number, name in enumerate(_NAMES, start=1)}
    target = _Watched(_settings(store))
    compare(target, _FOLDER, names, sums, known=Known(early=early))
    return target.was_read


def _sha1(name: str) -> str:
    return hashlib.sha1(f"content of {name}".encode(), usedforsecurity=False).hexdigest()


class _Watched(FolderTarget):
    def __init__(self, settings: TargetSettings) -> None:
        super().__init__(settings)
        self.was_read: list[str] = []

    def read(self, name: str) -> Iterator[bytes]:
        self.was_read.append(name)
        return super().read(name)


def test_all_volumes_but_the_last_are_read_while_the_next_one_comes_and_not_again(store: Path) -> None:
    early = _read_early(store, 1)
    assert list(early) == [f"{_FOLDER}/{_NAMES[0]}"]
    assert sorted(_compare(store, early)) == sorted(f"{_FOLDER}/{name}" for name in (_NAMES[1], *_OTHERS))


def test_a_volume_that_was_read_early_and_is_another_one_now_is_read_again(store: Path) -> None:
    early = _read_early(store, 1)
    first = store / _FOLDER / _NAMES[0]
    content = first.read_bytes()
    first.write_bytes(content.swapcase())
    before = first.stat().st_mtime
    os.utime(first, (before + 1, before + 1))
    with pytest.raises(TargetDiffers, match=r"vol1.*SHA-1"):
        _compare(store, early)


def test_what_was_read_early_is_judged_by_what_duplicity_meant_to_send(store: Path) -> None:
    (store / _FOLDER / _NAMES[0]).write_bytes(b"something else")
    with pytest.raises(TargetDiffers, match=r"vol1.*SHA-1"):
        _compare(store, _read_early(store, 1))
