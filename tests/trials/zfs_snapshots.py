"""Files on ZFS datasets are saved as of one instant, in an emulated machine whose kernel has ZFS: `make zfs`."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from backup.command.doctor.snapshots import examine_snapshots
from backup.errors import SourceFailed
from backup.settings.source import PathsSettings
from backup.sources.files.paths import PathsSource
from tests.support.backups import SET, new_site, pairs
from tests.support.btrfs import mounted, run
from tests.support.changing_files import Writer, held_run
from tests.support.zfs import POOL, zfs_pool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.backups import Pairs
    from tests.support.zfs import ZfsPool

__all__ = ["pairs"]
pytestmark = [pytest.mark.trial("B-5"), pytest.mark.timeout(3600)]

_LIMIT_SECONDS = 1200
_MIDDLE_BYTES = 5 << 18
_OLD = "watchkeep-20201130T120000Z-0123abcd"


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZfsPool]:
    with zfs_pool(tmp_path_factory.mktemp("zfs")) as made:
        (made.data / "middle").write_bytes(os.urandom(_MIDDLE_BYTES))
        (made.innermost / "file").write_text("innermost")
        yield made


def test_datasets_come_back_as_of_one_instant_together_and_what_a_killed_run_left_the_next_one_removes(
    pairs: Pairs, pool: ZfsPool, tmp_path: Path
) -> None:
    """The writer's files lie in two of them. A folder of one is mounted elsewhere as well."""
    twice, scratch = tmp_path / "twice", tmp_path / "scratch"
    for folder in (twice, scratch, pool.data / "part"):
        folder.mkdir()
    (pool.data / "part" / "file").write_text("part")
    source = f'paths = {{ roots = ["{pool.data}", "{twice}"], snapshot = "required" }}'
    foreign = {f"{POOL}/data@{_OLD}", f"{POOL}/data@monday"}
    run("zfs", "snapshot", "-o", "watchkeep:host=another", f"{POOL}/data@{_OLD}")
    run("zfs", "snapshot", f"{POOL}/data@monday")
    with (
        mounted(twice, "--bind", str(pool.data / "part")),
        new_site(pairs, source=source) as site,
        Writer(pool.data, pool.inner) as writer,
    ):
        with held_run(site):
            killed = pool.snapshots() - foreign
            assert len(killed) == 3, "one of each dataset"
            for each in killed:
                done = subprocess.run(["zfs", "destroy", each], check=False, capture_output=True, text=True, timeout=60)
                assert "busy" in done.stderr, "what is read nobody can destroy"
        assert pool.snapshots() == foreign | killed, "nobody could clear away for it"
        assert list((pool.data / ".zfs" / "snapshot" / "monday").iterdir()), "it is mounted there by that"

        with held_run(site) as (saving, held):
            alive = pool.snapshots() - foreign
            assert len(alive) == 3
            assert not alive & killed
            writer.go_on()
            with PathsSource(PathsSettings(roots=(pool.innermost,), snapshot="required")).prepare(scratch):
                assert len(pool.snapshots() - foreign) == 4
            assert pool.snapshots() == foreign | alive, "a run that is alive keeps its own"
            held.release()
            told, _ = saving.communicate(timeout=_LIMIT_SECONDS)
        assert saving.returncode == 0, told
        assert pool.snapshots() == foreign
        taken = site.manifest()["consistency"]["snapshots"]
        assert {each["of"] for each in taken} == {str(each) for each in (twice, pool.data, pool.inner, pool.innermost)}
        assert len({each["taken_at"] for each in taken}) == 1

        done = site.bkp("station", "restore", SET, "--to", str(site.folder / "back"), "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["moments"][0].startswith("from ZFS snapshots of ")
        back = site.folder / "back" / str(pool.data)[1:]
        first, then = (int((back / name).read_bytes()) for name in ("first", "inner/then"))
        assert first - then in (0, 1), "both were written many times between the reading of one and of the other"
        assert (back / "inner" / "with space" / "file").read_text() == "innermost"
        assert (site.folder / "back" / str(twice)[1:] / "file").read_text() == "part"


def test_a_pool_that_is_nearly_full_gets_no_snapshot_and_people_are_told_what_to_do(
    pool: ZfsPool, tmp_path: Path
) -> None:
    settings = PathsSettings(roots=(pool.data,), one_file_system=True, snapshot="required")
    before = pool.snapshots()
    assert [level for level, _, _ in examine_snapshots(settings)] == ["ok"]
    with pool.with_little_room():
        with pytest.raises(SourceFailed) as refused, PathsSource(settings).prepare(tmp_path):
            pass
        assert f"not from a snapshot: {pool.data} (its pool {POOL} is 99 % full" in str(refused.value)
        assert pool.snapshots() == before
        ((level, text, _),) = examine_snapshots(settings)
        assert (level, text.split(",")[0]) == ("fault", f"{pool.data} has no snapshots: its pool {POOL} is 99 % full")


def test_a_snapshot_that_is_renamed_while_it_is_read_fails_the_run(pool: ZfsPool, tmp_path: Path) -> None:
    """What its name leads to, or does not, is what can be told; destroying it ZFS refuses."""
    settings, before = PathsSettings(roots=(pool.innermost,), snapshot="required"), pool.snapshots()

    def rename() -> None:
        (made,) = pool.snapshots() - before
        run("zfs", "rename", made, f"{made.partition('@')[0]}@kept")

    with pytest.raises(SourceFailed, match="was destroyed or renamed"), PathsSource(settings).prepare(tmp_path):
        rename()
