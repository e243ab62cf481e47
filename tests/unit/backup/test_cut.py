"""A tree is cut into even parts, the same tree always the same way, and what lies where is known from the cut alone."""

from __future__ import annotations

import json
import os
import random
import stat
from pathlib import Path, PurePosixPath

import pytest

from backup.cut import Cut, read_cut
from backup.errors import BackupDamaged
from backup.sources.files.packing import Weights

_MIB = 1 << 20
_FOLDER = os.stat_result((stat.S_IFDIR | 0o755, *(9 * [0])))
_CUT = Cut(asked=3, listed=(("/srv/a", "/srv/b/deep/x"), ("/home",)))


def _file(size: int) -> os.stat_result:
    return os.stat_result((stat.S_IFREG | 0o644, 0, 0, 1, 0, 0, size, 0, 0, 0))


def _cut(entries: dict[bytes, os.stat_result], asked: int, roots: list[Path], seed: int = 0) -> Cut:
    weights = Weights(roots)
    paths = list(entries)
    random.Random(seed).shuffle(paths)
    for path in paths:
        weights.take(path, entries[path])
    return weights.cut(asked)


def _tree() -> dict[bytes, os.stat_result]:
    """Three roots: one of folders in folders, one of a large and many small files, one that is a file."""
    entries = {b"/srv": _FOLDER, b"/var": _FOLDER, b"/disk": _file(30 * _MIB)}
    for outer in range(3):
        entries[b"/srv/%d" % outer] = _FOLDER
        for inner in range(6):
            entries[b"/srv/%d/%d" % (outer, inner)] = _FOLDER
            entries[b"/srv/%d/%d/file" % (outer, inner)] = _file((outer + inner) * _MIB)
    entries[b"/var/large"] = _file(20 * _MIB)
    entries |= {b"/var/%d" % number: _file(1000) for number in range(300)}
    return entries


@pytest.mark.parametrize("asked", [2, 3, 4])
def test_parts_are_even_and_the_order_of_looking_makes_no_other(asked: int) -> None:
    entries, roots = _tree(), [Path("/srv"), Path("/var"), Path("/disk")]
    cut = _cut(entries, asked, roots)
    assert cut == _cut(entries, asked, roots, seed=1)
    loads = dict.fromkeys(cut.parts, 0)
    for path, status in entries.items():
        if stat.S_ISREG(status.st_mode):
            (part,) = cut.parts_with(PurePosixPath(path.decode()[1:]))
            loads[part] += status.st_size
    assert len(loads) == asked
    assert max(loads.values()) < 1.15 * sum(loads.values()) / asked, loads


def test_a_flat_folder_of_many_files_is_cut_and_what_is_listed_is_bounded() -> None:
    entries = {b"/srv": _FOLDER} | {b"/srv/%06d" % number: _file(_MIB) for number in range(3000)}
    cut = _cut(entries, 3, [Path("/srv")])
    assert [len(part) for part in cut.listed] == pytest.approx([1000, 1000], rel=0.05)
    entries |= {b"/srv/%06d" % number: _file(_MIB) for number in range(20_000)}
    assert sum(len(part) for part in _cut(entries, 3, [Path("/srv")]).listed) <= 2000
    entries = {b"/srv": _FOLDER} | {b"/srv/%0250d" % number: _file(_MIB) for number in range(3000)}
    ((_, *options),) = [each[:2] for each in _cut(entries, 3, [Path("/srv")]).selections(["/srv"])[:1]]
    assert max(map(len, options)) < 100_000


def test_a_tree_that_is_one_thing_is_one_part() -> None:
    assert _cut({b"/disk": _file(_MIB)}, 4, [Path("/disk")]).parts == ("",)


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        (None, ("part-1", "part-2", "part-3")),
        ("srv", ("part-1", "part-2")),
        ("srv/a", ("part-2",)),
        ("srv/a/below", ("part-2",)),
        ("srv/ab", ("part-1",)),
        ("srv/b/deep", ("part-1", "part-2")),
        ("home/me", ("part-3",)),
        ("new", ("part-1",)),
    ],
)
def test_a_path_is_looked_for_only_where_it_can_be(path: str | None, parts: tuple[str, ...]) -> None:
    assert _CUT.parts_with(None if path is None else PurePosixPath(path)) == parts


def test_folders_of_several_parts_are_counted_once() -> None:
    # part 2 has "/", "/srv", "/srv/b" and "/srv/b/deep" again, part 3 only "/"
    assert _CUT.counted_again(["/srv", "/home"]) == 5
    assert Cut().counted_again(["/srv"]) == 0


def test_a_cut_outlives_the_manifest_with_any_names_and_a_record_without_one_is_whole() -> None:
    cut = Cut(asked=2, listed=(("/srv/odd \udcff\n*",),))
    assert read_cut(json.loads(json.dumps(cut.table()))) == cut
    assert Cut().table() == {}
    assert read_cut({"roots": ["/srv"]}) == Cut()
    with pytest.raises(BackupDamaged, match="cut into parts"):
        read_cut({"side_by_side": 2})


def test_a_part_is_told_from_the_others_by_its_first_paths() -> None:
    many = Cut(asked=2, listed=(tuple(f"/srv/{letter}" for letter in "abcde"),))
    assert many.said("part-1") == " (part-1 of 2: what is in no other part)"
    assert many.said("part-2") == " (part-2 of 2: '/srv/a', '/srv/b', '/srv/c' and 2 more)"
    odd = Cut(asked=2, listed=((f"/{500 * 'x'}\n\udcff",),)).said("part-2")
    assert odd == f" (part-2 of 2: '…{78 * 'x'}\\n\\udcff')"
    assert Cut(asked=2).said("") == Cut().said("") == ""
