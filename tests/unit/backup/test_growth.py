"""What is told while something is restored, and which volumes a path is in."""

from __future__ import annotations

from pathlib import PurePosixPath
from threading import Event
from typing import TYPE_CHECKING

import pytest

from backup.browse.volumes import volumes_of
from backup.restoring.growth import growth, watched

if TYPE_CHECKING:
    from pathlib import Path

    from backup.engine.progress import Progress

_LISTED = b"""Hostname web1
Localdir /
Volume 1:
    StartingPath   .
    EndingPath     "srv/large\\x20one" 40
    Hash SHA1 6ec89df9d68de3bd93ec5b05b8196bd8db51225f
Volume 2:
    StartingPath   "srv/large\\x20one" 41
    EndingPath     srv/middle/z
Volume 3:
    StartingPath   srv/next
    EndingPath     var
"""


@pytest.mark.parametrize(
    ("path", "volumes"),
    [
        ("srv/large one", {1, 2}),
        ("srv/large one/inside", {2}),
        ("etc", {1}),
        ("srv/middle", {2}),
        ("srv", {1, 2, 3}),
        ("srv/next", {3}),
        ("zzz", set()),
    ],
)
def test_a_path_is_in_the_volumes_between_whose_first_and_last_path_it_lies(path: str, volumes: set[int]) -> None:
    assert volumes_of(_LISTED, PurePosixPath(path)) == volumes


def test_rate_and_time_left_come_from_what_has_grown_so_far() -> None:
    told = growth(25_000_000, 100_000_000, 5.0)
    assert (told.share, told.bytes_per_second, told.eta_seconds) == (0.25, 5_000_000.0, 15)
    assert growth(200, 100, 1.0).share == 0.99  # not done before it is put in place
    unknown = growth(200, None, 1.0)
    assert (unknown.share, unknown.eta_seconds, unknown.bytes_per_second) == (None, None, 200.0)


def test_what_grows_is_told_while_it_does(tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(bytes(1000))
    seen, came = list["Progress"](), Event()

    def tell(progress: Progress) -> None:
        seen.append(progress)
        came.set()

    with watched(tmp_path, 4000, tell):
        assert came.wait(30)
    assert seen[0].stored_bytes == 1000
    assert seen[0].share == 0.25
