"""What a backup of files does not keep is named when it is saved and when it comes back; the rest is the same (B-5)."""

from __future__ import annotations

import itertools
import json
import os
import socket
import struct
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from backup.errors import SourceFailed
from backup.settings.source import PathsSettings
from backup.sources.files.paths import PathsSource
from backup.sources.files.survey import LINKS, survey
from tests.support.backups import new_site
from tests.support.small_disk import small_disk

if TYPE_CHECKING:
    from tests.support.backups import Pairs, Site

pytestmark = [pytest.mark.trial("B-5")]

_EVERYBODY = 0xFFFFFFFF
# acl_ea_header and acl_ea_entry of Linux: owner rw, user 1 r, group r, mask r, others r.
_ACCESS_LIST = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", *entry)
    for entry in ((1, 6, _EVERYBODY), (2, 4, 1), (4, 4, _EVERYBODY), (16, 4, _EVERYBODY), (32, 4, _EVERYBODY))
)


def _fill(data: Path) -> None:
    (data / "plain").write_text("plain")
    (data / "marked").write_text("marked")
    os.setxattr(data / "marked", "user.colour", b"red")
    (data / "listed").write_text("listed")
    os.setxattr(data / "listed", "system.posix_acl_access", _ACCESS_LIST)
    (data / "one").write_text("shared")
    (data / "two").hardlink_to(data / "one")
    (data / "odd \udcff\n").write_text("odd")
    with (data / "sparse").open("wb") as sparse:
        sparse.write(b"start")
        sparse.truncate(5_000_000)
    (data / "left-out").mkdir()
    os.setxattr(data / "left-out", "user.colour", b"blue")
    os.mkfifo(data / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(data / "socket"))


def _not_kept(site: Site) -> list[str]:
    found: list[str] = site.manifest()["consistency"]["not_kept"]
    return found


def test_each_kind_is_named_at_the_run_in_the_manifest_and_at_the_restore(pairs: Pairs) -> None:
    with new_site(pairs, source="placeholder") as site:
        file = site.file("host")
        source = f'paths.roots = ["{site.data}"]\npaths.exclude = ["left-o*"]'
        file.write_text(file.read_text().replace("placeholder", source))
        _fill(site.data)
        site.run()
        marked, listed, shared, sockets = _not_kept(site)
        assert marked == f"entries that come back without their extended attributes: 1 ({site.data}/marked)"
        assert listed == f"entries that come back without their access lists: 1 ({site.data}/listed)"
        assert shared.startswith("names of one file that come back as files of their own: 2 (")
        assert sockets == f"sockets, which are not saved: 1 ({site.data}/socket)"
        assert [each for each in site.state()["reminders"] if "come back without" in each] == [marked, listed]

        done = site.bkp("station", "restore", "files", "--to", str(site.folder / "back"), "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["not_kept"] == _not_kept(site)
        back = site.folder / "back" / str(site.data)[1:]
        names = {path.name for path in site.data.iterdir()} - {"socket", "left-out"}
        assert {path.name for path in back.iterdir()} == names
        assert (back / "pipe").is_fifo()
        for name in names - {"pipe"}:
            assert (back / name).read_bytes() == (site.data / name).read_bytes(), name


def test_files_that_grow_come_and_go_while_they_are_read_hurt_no_other(pairs: Pairs) -> None:
    end, grown = threading.Event(), threading.Event()
    with new_site(pairs) as site:
        growing, fleeting = site.data / "growing", site.data / "fleeting"
        (site.data / "steady").write_bytes(os.urandom(3 << 20))

        def disturb() -> None:
            with growing.open("ab", buffering=0) as file:
                for number in itertools.count():
                    file.write(b"%08d\n" % number * 100)
                    fleeting.write_bytes(b"x" * (number % 7000))
                    grown.set()
                    fleeting.unlink()
                    if end.wait(0.01):
                        return

        thread = threading.Thread(target=disturb)
        thread.start()
        try:
            assert grown.wait(240)
            for _ in range(2):
                site.run()
        finally:
            end.set()
            thread.join()
        done = site.bkp("station", "restore", "files", "--to", str(site.folder / "back"))
        assert done.returncode == 0, done.stderr
        back = site.folder / "back" / str(site.data)[1:]
        assert (back / "steady").read_bytes() == (site.data / "steady").read_bytes()
        saved = (back / "growing").read_bytes()
        assert saved
        assert growing.read_bytes().startswith(saved)


def test_one_file_system_is_that_of_each_root_wherever_it_is_mounted(pairs: Pairs) -> None:
    """A root on another file system than `/`, and one in which another is mounted."""
    with TemporaryDirectory(prefix="bkp-", dir="/dev/shm") as other:
        assert os.lstat(other).st_dev != os.lstat("/").st_dev
        (Path(other) / "kept").write_text("kept")
        with new_site(pairs, source=f'paths.roots = ["{other}"]\npaths.one_file_system = true') as site:
            site.run()
            done = site.bkp("station", "restore", "files", "--to", str(site.folder / "back"))
            assert done.returncode == 0, done.stderr
            assert (site.folder / "back" / other[1:] / "kept").read_text() == "kept"
    found = survey([Path("/dev")], [], one_file_system=True)
    assert b"/dev/shm" in found.elsewhere
    assert not survey([Path("/dev/shm")], [], one_file_system=False).elsewhere  # noqa: S108 - as above


def test_a_root_on_a_file_system_that_another_root_leaves_out_is_saved_or_refused() -> None:
    with TemporaryDirectory(prefix="bkp-", dir="/dev/shm") as other:
        mounted = Path(other).parent
        both = PathsSettings(roots=(mounted.parent, mounted), one_file_system=True)
        with PathsSource(both).prepare(Path(other)) as prepared:
            assert not any(str(mounted) in option for option in prepared.selections[0] if "exclude" in option)
        deeper = PathsSettings(roots=(mounted.parent, Path(other)), one_file_system=True)
        with pytest.raises(SourceFailed, match=f"leaves {mounted} out"), PathsSource(deeper).prepare(Path(other)):
            pass


def test_file_systems_are_told_as_saved_that_are_mounted_and_not_left_out(tmp_path: Path) -> None:
    kept, deep = tmp_path / "kept", tmp_path / "left" / "deep"

    def saved(*exclude: str, roots: tuple[Path, ...] = (tmp_path,), is_one: bool = False) -> list[str]:
        settings = PathsSettings(roots=roots, exclude=exclude, one_file_system=is_one)
        with PathsSource(settings).prepare(tmp_path) as prepared:
            found: list[str] = prepared.covers["file_systems"]
            return found

    with small_disk(kept, size_mib=1, kind="ramfs"), small_disk(deep, size_mib=1, kind="ramfs"):
        for folder in (kept, deep.parent):
            (folder / "file").touch()  # nothing is no backup
        assert saved() == saved("kept/inner") == saved(roots=(kept, deep.parent)) == [str(kept), str(deep)]
        assert saved("left") == saved("**/deep") == saved(roots=(kept,)) == [str(kept)]
        assert saved(is_one=True) == saved(roots=(tmp_path / "left",), is_one=True) == []
        assert saved(roots=(tmp_path, deep), is_one=True) == [str(deep)]
    assert saved() == []  # folders that are there, and nothing mounted on them


def test_a_root_below_another_is_looked_at_once(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").touch()
    seen: list[bytes] = []
    roots = [tmp_path, tmp_path / "deep", tmp_path]
    survey(roots, [], one_file_system=False, on_entry=lambda path, _: seen.append(path))
    assert sorted(seen) == [bytes(tmp_path / each) for each in ("", "deep", "deep/file")]


@pytest.mark.parametrize(
    ("pattern", "counted"),
    [("**/deep", 1), ("**/d[aeiou]ep", 1), ("**/d[!e]ep", 3), ("**/de?p/**", 1), ("**/*.x", 2), ("**", 0)],
)
def test_what_is_left_out_is_not_looked_at(tmp_path: Path, pattern: str, counted: int) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "name.x").touch()
    (tmp_path / "deep" / "a").hardlink_to(tmp_path / "name.x")
    (tmp_path / "deep" / "b").hardlink_to(tmp_path / "name.x")
    assert survey([tmp_path], [pattern], one_file_system=False).counts[LINKS] == counted
