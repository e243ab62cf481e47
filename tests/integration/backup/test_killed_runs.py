"""A run is killed at ten points, process group and all: it never counts, the next one is good."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from backup.model import Kind, Status
from tests.support.backups import change, demand_same
from tests.support.holding import ENCRYPTING, HeldGpg, a_newer_file
from tests.support.killed_run import KilledRun

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.backups import Site

_TRIES = 6


def _files(folder: Path, ending: str) -> set[Path]:
    """Return the files below a folder whose names end so; what goes meanwhile is not there."""
    return {Path(at, name) for at, _, names in os.walk(folder) for name in names if name.endswith(ending)}


def _new_files(site: Site, before: set[Path], ending: str) -> bool:
    return bool(_files(site.chains, ending) - before)


class _Point(NamedTuple):
    """A point of a run: how it is known, and the new file at the target after which the run waits for its killer.

    Without such a file it waits before its first volume.
    """

    is_there: Callable[[Site, KilledRun, set[Path]], bool]
    waits_after: str | None = None


def _arrival(ending: str) -> _Point:
    return _Point(lambda site, _run, before: _new_files(site, before, ending), f"*{ending}")


def _points() -> dict[str, _Point]:
    return {
        "it has looked": _Point(lambda _site, run, _before: run.has_told("looking")),
        "it prepares": _Point(lambda _site, run, _before: run.has_told("preparing")),
        "duplicity starts": _Point(lambda _site, run, _before: run.has_told("saving")),
        "the cache is half made": _Point(
            lambda site, _run, _before: bool(_files(site.folder / "host/work", ".part")), "*.vol1.difftar.gpg"
        ),
        "volume 1 arrives": _arrival(".vol1.difftar.gpg"),
        "volume 2 is there": _arrival(".vol2.difftar.gpg"),
        "volume 3 is there": _arrival(".vol3.difftar.gpg"),
        "signatures are there": _arrival(".sigtar.gpg"),
        "duplicity's manifest is there": _arrival(".manifest.gpg"),
        "it compares": _Point(lambda _site, run, _before: run.has_told("comparing"), "*.manifest.gpg"),
    }


def _points_there(site: Site) -> set[Path]:
    """Return the manifests at the target: whole ones, as a file that is being written is listed to nobody."""
    return {path for path in site.points.iterdir() if path.suffix != ".half"}


@pytest.mark.trial("B-1")
def test_a_run_killed_at_ten_points_never_counts_and_the_next_one_is_good(site: Site) -> None:
    assert site.run().kind is Kind.FULL
    for number, (name, point) in enumerate(_points().items()):
        options = ["--full"] if number % 2 else []
        assert any(_kill_once(site, options, point) for _ in range(_TRIES)), f"never killed when {name}"
        state = site.state()
        assert state["last_run"]["status"] == "running", name  # and its process is gone: the agent calls that killed
        change(site.data / "deep" / "er" / "words", f"after the kill when {name}\n")
        record = site.run()
        assert record.status is Status.OK, name
        assert site.manifest()["due_at"] == record.id.due_at.isoformat()
        assert site.state()["restore_points"] == len(_points_there(site)), name
    demand_same(site.restore_plainly(site.folder / "back"), site.data)


def _kill_once(site: Site, options: list[str], point: _Point) -> bool:
    """Kill a run at a point; return whether it was in time. A run that was quicker has to be a good one."""
    (site.data / "deep" / "noise").write_bytes(os.urandom(5 << 19))
    before, points = set(site.chains.rglob("*")), _points_there(site)
    with _holding(site, point) as held:
        run = KilledRun(site, *options, environment=held.environment)
        came = run.kill_when(lambda: point.is_there(site, run, before))
    if _points_there(site) != points:
        return False
    assert run.process.returncode == -signal.SIGKILL, run.told.read_text()
    return came


def _holding(site: Site, point: _Point) -> HeldGpg:
    """Return what has a run wait at its point, so that it is there still when it is looked at."""
    if point.waits_after is None:
        return HeldGpg(site.folder, ENCRYPTING)
    return HeldGpg(site.folder, "", since=a_newer_file(site.chains, point.waits_after), is_ours_too=True)


@pytest.mark.trial("B-1")
def test_a_run_killed_after_its_manifest_was_written_counts(site: Site) -> None:
    site.run()
    points = _points_there(site)
    KilledRun(site).kill_when(lambda: _points_there(site) != points)
    (made,) = _points_there(site) - points
    change(site.data / "empty", "no more")
    record = site.run()
    assert record.kind is Kind.INCREMENTAL
    assert site.manifest()["previous"] == made.name
    demand_same(site.restore_plainly(site.folder / "back"), site.data)
