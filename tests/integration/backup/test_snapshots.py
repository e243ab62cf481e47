"""Files on a btrfs are saved as of one instant, with all subvolumes; what is not is named, and nothing stays behind."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from backup.command.doctor.snapshots import examine_snapshots
from backup.errors import SourceFailed
from backup.model import Kind
from backup.settings.source import PathsSettings
from backup.snapshots import btrfs
from backup.sources.files.paths import PathsSource
from tests.support.backups import CHECKOUT, SET, new_site
from tests.support.btrfs import btrfs_disk, mounted
from tests.support.changing_files import Writer, held_run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backup.runtime.mounts import Mount
    from tests.support.backups import Pairs
    from tests.support.btrfs import BtrfsDisk

pytestmark = pytest.mark.trial("B-5")

_LIMIT_SECONDS = 240.0
_MIDDLE_BYTES = 3 << 20


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[BtrfsDisk]:
    """A subvolume with another one in it, in that one more, and one that is left out."""
    with btrfs_disk(tmp_path) as made:
        for name in ("nested", "nested/deeper", "left-out", "left-out/deeper"):
            (made.add_subvolume(name) / "file").write_text(name)
        (made.data / "middle").write_bytes(os.urandom(_MIDDLE_BYTES))
        yield made


def test_files_that_change_together_come_back_as_of_one_instant_and_a_killed_run_leaves_nothing_for_long(
    pairs: Pairs, disk: BtrfsDisk, tmp_path: Path
) -> None:
    source = f'paths = {{ roots = ["{disk.data}"], exclude = ["left-out"], snapshot = "auto" }}'
    (disk.data / "other").mkdir()
    with (
        mounted(disk.data / "other", "-t", "tmpfs", "watchkeep-test"),
        new_site(pairs, source=source) as site,
        Writer(disk.data) as writer,
    ):
        (disk.data / "other" / "file").write_text("other")
        with held_run(site):
            alive = disk.snapshots()
            assert len(alive) == 3, "of the data, of nested and of what is nested in that"
            (tmp_path / "scratch").mkdir()
            settings = PathsSettings(roots=(disk.data / "nested" / "deeper",), snapshot="required")
            with PathsSource(settings).prepare(tmp_path / "scratch"):
                assert len(disk.snapshots()) == 4
            assert disk.snapshots() == alive, "a run that is alive keeps its own"
        assert disk.snapshots() == alive, "nobody could clear away for it"

        with held_run(site) as (run, held):
            assert not set(alive) & set(disk.snapshots())
            writer.go_on()
            held.release()
            told, _ = run.communicate(timeout=_LIMIT_SECONDS)
        assert run.returncode == 0, told
        assert disk.snapshots() == []
        assert f": {disk.data}, {disk.data}/nested, {disk.data}/nested/deeper\n" in told
        assert f"not from a snapshot: {disk.data}/other (tmpfs has no snapshots)\n" in told
        assert [each["of"] for each in site.manifest()["consistency"]["snapshots"]] == [
            str(disk.data / name) for name in ("", "nested", "nested/deeper")
        ]

        back = site.folder / "back" / str(disk.data)[1:]
        done = site.bkp("station", "restore", SET, "--to", str(site.folder / "back"), "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["moments"][0].startswith("from btrfs snapshots of ")
        first, then = (int((back / name).read_bytes()) for name in ("first", "then"))
        assert first - then in (0, 1), "both were written many times between the reading of one and of the other"
        names = {str(path.relative_to(back)) for path in back.rglob("*") if path.is_file()}
        assert names == {"first", "middle", "then", "nested/file", "nested/deeper/file", "other/file"}
        assert (back / "nested" / "deeper" / "file").read_text() == "nested/deeper"

        file = site.file("host")
        file.write_text(file.read_text().replace('"auto"', '"none"'))
        assert site.run().kind is Kind.INCREMENTAL, "the chain is the same with and without snapshots"
        assert site.manifest()["counts"]["changed_bytes"] < _MIDDLE_BYTES


def test_snapshots_that_are_required_and_cannot_be_had_fail_the_run_before_anything_is_sent(
    pairs: Pairs, disk: BtrfsDisk, tmp_path: Path
) -> None:
    (disk.data / "nested" / "other").mkdir()
    source = f'paths.roots = ["{disk.data}"]\npaths.snapshot = "required"'
    with (
        mounted(disk.data / "nested" / "other", "-t", "tmpfs", "watchkeep-test"),
        new_site(pairs, source=source) as site,
    ):
        with pytest.raises(SourceFailed, match=rf"^not from a snapshot: {disk.data}/nested/other \(tmpfs has no snap"):
            site.run()
        assert not list(site.store.rglob("*.gpg"))
        assert disk.snapshots() == []

        powerless = ["setpriv", "--inh-caps=-sys_admin", "--bounding-set=-sys_admin"]
        done = subprocess.run(
            [*powerless, *site.command("host", "run", SET)], cwd=CHECKOUT, capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL, timeout=_LIMIT_SECONDS,
        )  # fmt: skip
        assert done.returncode == SourceFailed.exit_code
        assert "snapshots need root" in done.stderr

        other = disk.data / "nested" / "other"
        found = list(examine_snapshots(PathsSettings(roots=(disk.data, other), snapshot="required")))
        assert [(level, text.split(": ")[0]) for level, text, _ in found] == [
            ("ok", f"{disk.data} is saved from snapshots"),
            ("fault", f"{other} has no snapshots"),
        ]
    excluding = PathsSettings(roots=(disk.data,), exclude=("nested/other",), snapshot="required")
    (tmp_path / "scratch").mkdir()
    with PathsSource(excluding).prepare(tmp_path / "scratch") as prepared:
        assert prepared.namespace is not None
        assert not prepared.consistency["not_from_snapshot"]


@pytest.mark.parametrize("one_file_system", [False, True])
def test_a_subvolume_that_goes_while_snapshots_are_made_is_named_and_never_taken_for_an_empty_folder(
    disk: BtrfsDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, one_file_system: bool
) -> None:
    """It is in the snapshot of what holds it, and in no list then. Ours lie below this root, and are no data."""
    listed = btrfs.BtrfsFileSystem.inner

    def without(self: btrfs.BtrfsFileSystem, mount: Mount) -> list[Path]:
        return [path for path in listed(self, mount) if path.name != "deeper"]

    monkeypatch.setattr(btrfs.BtrfsFileSystem, "inner", without)
    (disk.top / "file").touch()  # else one_file_system would leave nothing
    settings = PathsSettings(roots=(disk.top,), exclude=("left-out",), one_file_system=one_file_system, snapshot="auto")
    with PathsSource(settings).prepare(tmp_path) as prepared:
        named = [each for each in prepared.remarks if "went while snapshots were made" in each]
        left_out = [each for each in prepared.selections[0] if each.startswith("--exclude-regexp=")]
    if one_file_system:
        assert not named
        assert f"^(?:{tmp_path}/view{disk.top}/@data)" in left_out[0].replace("\\", "")
    else:
        assert [each.split(": ")[1] for each in named] == [f"1 ({disk.top}/@data/nested/deeper)"]
