"""Files on logical volumes are saved as of one instant, in a machine whose kernel has a device mapper.

What is called check_… runs in that machine, by the one test here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from backup.command.doctor.snapshots import examine_snapshots
from backup.errors import SourceFailed
from backup.settings.source import PathsSettings
from backup.sources.files.paths import PathsSource
from tests.support.backups import CHECKOUT, SET, new_site
from tests.support.btrfs import mounted
from tests.support.changing_files import Writer, held_run
from tests.support.lvm import volume_group

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.backups import Pairs
    from tests.support.lvm import VolumeGroup

pytestmark = pytest.mark.trial("B-5")

_LIMIT_SECONDS = 1200
_MIDDLE_BYTES = 5 << 18
_KILLED = """
import os, pathlib, signal, sys
from backup.settings.source import PathsSettings
from backup.sources.files.paths import PathsSource
root, scratch = map(pathlib.Path, sys.argv[1:])
with PathsSource(PathsSettings(roots=(root,), snapshot="required")).prepare(scratch):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_needs_a_kernel_of_its_own_holds_in_a_machine_with_one() -> None:
    checks = ["pytest", "-q", "-p", "no:cacheprovider", "-o", "python_functions=check_*", __file__]
    environment = os.environ | {"MACHINE_SECONDS": str(_LIMIT_SECONDS)}
    done = subprocess.run(
        ["sh", "deploy/test-machine.sh", sys.executable, "-m", *checks], cwd=CHECKOUT, env=environment, text=True,
        stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_LIMIT_SECONDS + 300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout, done.stdout


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VolumeGroup]:
    with volume_group(tmp_path_factory.mktemp("lvm")) as made:
        (made.thick / "middle").write_bytes(os.urandom(_MIDDLE_BYTES))
        yield made


def check_volumes_come_back_as_of_one_instant_each_and_one_whose_snapshot_ran_full_does_not_count(
    pairs: Pairs, group: VolumeGroup, tmp_path: Path
) -> None:
    """A thick one, a thin one mounted in it with an XFS, and a folder of the first mounted elsewhere as well."""
    twice = tmp_path / "twice"
    for folder in (twice, group.thick / "part"):
        folder.mkdir()
    source = f'paths = {{ roots = ["{group.thick}", "{twice}"], snapshot = "auto" }}'
    with (
        mounted(twice, "--bind", str(group.thick / "part")),
        new_site(pairs, source=source) as site,
        Writer(group.thick / "part") as thick,
        Writer(group.thin) as thin,
    ):
        with group.with_little_room(free_mib=16), held_run(site) as (run, held):
            assert len(group.snapshots()) == 2, "one of each volume"
            with (group.thick / "more").open("wb") as file:
                file.write(os.urandom(12 << 20))
                os.fsync(file.fileno())
            held.release()
            told, _ = run.communicate(timeout=_LIMIT_SECONDS)
        assert run.returncode == SourceFailed.exit_code, told
        assert "the snapshot of store/thick ran full while it was read (8 MiB)" in told
        assert not site.points.exists() or not list(site.points.iterdir())
        assert group.snapshots() == set()
        (group.thick / "more").unlink()

        with held_run(site) as (run, held):
            assert len(group.snapshots()) == 2
            thick.go_on()
            thin.go_on()
            held.release()
            told, _ = run.communicate(timeout=_LIMIT_SECONDS)
        assert run.returncode == 0, told
        assert group.snapshots() == set()
        assert "not from a snapshot" not in told

        done = site.bkp("station", "restore", SET, "--to", str(site.folder / "back"), "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["moments"][0].startswith("from LVM snapshots of ")
        for folder in (group.thick / "part", group.thin, twice):
            back = site.folder / "back" / str(folder)[1:]
            first, then = (int((back / name).read_bytes()) for name in ("first", "then"))
            assert first - then in (0, 1), f"{folder}: both were written many times between the reading of them"


def check_what_a_killed_run_left_the_next_one_removes_and_nothing_of_one_that_is_alive(
    group: VolumeGroup, tmp_path: Path
) -> None:
    """What is left takes so much room that there is enough again only without it."""
    both, thin = (PathsSettings(roots=(root,), snapshot="required") for root in (group.thick, group.thin))
    for name in ("first", "then", "killed"):
        (tmp_path / name).mkdir()
    killed = [sys.executable, "-c", _KILLED, str(group.thick), str(tmp_path / "killed")]
    with group.with_little_room(free_mib=24):
        done = subprocess.run(killed, cwd=CHECKOUT, check=False, timeout=_LIMIT_SECONDS)
        assert done.returncode == -signal.SIGKILL
        left = group.snapshots()
        assert len(left) == 2, "of the volume and of the thin one in it"
        with PathsSource(both).prepare(tmp_path / "first"):
            alive = group.snapshots()
            assert len(alive) == 2
            assert not alive & left
            with PathsSource(thin).prepare(tmp_path / "then"):
                assert len(group.snapshots()) == 3
            assert group.snapshots() == alive
        assert group.snapshots() == set()


def check_without_room_a_snapshot_that_is_required_fails_the_run_and_says_what_to_do(
    group: VolumeGroup, tmp_path: Path
) -> None:
    settings = PathsSettings(roots=(group.thick, group.thin), one_file_system=True, snapshot="required")
    why = "its volume group store has 4 MiB free, too little for a snapshot of thick (64 MiB)"
    with group.with_little_room(free_mib=4):
        with pytest.raises(SourceFailed) as refused, PathsSource(settings).prepare(tmp_path):
            pass
        assert str(refused.value).startswith(f"not from a snapshot: {group.thick} ({why}")
        assert group.snapshots() == set()
        assert [(level, text.split(", which")[0]) for level, text, _ in examine_snapshots(settings)] == [
            ("fault", f"{group.thick} has no snapshots: {why}"),
            ("ok", f"{group.thin} is saved from snapshots"),
        ]
