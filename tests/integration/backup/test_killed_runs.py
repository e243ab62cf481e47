"""A run is killed at ten points, process group and all: it never counts, the next one is good."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from backup.model import Kind, Status
from tests.support.backups import CHECKOUT, SET, change, demand_same
from tests.support.processes import family
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.support.backups import Site

_TRIES = 6
_LIMIT_SECONDS = 60.0


class KilledRun:
    """A `bkp run` as a program, killed as soon as a look at its files says so."""

    def __init__(self, site: Site, *options: str) -> None:
        self._site = site
        self.told = site.folder / "told"
        with self.told.open("wb") as out:
            self.process = subprocess.Popen(
                site.command("host", "run", SET, "--json", *options), cwd=CHECKOUT, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
            )  # fmt: skip

    def kill_when(self, is_there: Callable[[], bool]) -> bool:
        """Kill it when `is_there`; return whether that came before its end. Nothing of it runs afterwards."""
        deadline = time.monotonic() + _LIMIT_SECONDS
        while not (came := is_there()) and self.process.poll() is None:
            assert time.monotonic() < deadline, self.told.read_text()
            time.sleep(0.001)
        everybody = family([self.process.pid])
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        wait_until(lambda: not any(one.is_there for one in everybody), 20, "the end of everything the run started")
        return came

    def has_told(self, phase: str) -> bool:
        return f'"phase": "{phase}"' in self.told.read_text()


def _new_files(site: Site, before: set[Path], ending: str) -> bool:
    return any(path.name.endswith(ending) and path not in before for path in site.chains.rglob("*"))


def _points() -> dict[str, Callable[[Site, KilledRun, set[Path]], bool]]:
    return {
        "it has looked": lambda _site, run, _before: run.has_told("looking"),
        "it prepares": lambda _site, run, _before: run.has_told("preparing"),
        "duplicity starts": lambda _site, run, _before: run.has_told("saving"),
        "the cache is half made": lambda site, _run, _before: any((site.folder / "host/work").rglob("*.part")),
        "volume 1 arrives": lambda site, _run, before: _new_files(site, before, ".vol1.difftar.gpg"),
        "volume 2 is there": lambda site, _run, before: _new_files(site, before, ".vol2.difftar.gpg"),
        "volume 3 is there": lambda site, _run, before: _new_files(site, before, ".vol3.difftar.gpg"),
        "signatures are there": lambda site, _run, before: _new_files(site, before, ".sigtar.gpg"),
        "duplicity's manifest is there": lambda site, _run, before: _new_files(site, before, ".manifest.gpg"),
        "it compares": lambda _site, run, _before: run.has_told("comparing"),
    }


@pytest.mark.timeout(600)  # twenty runs, on a machine that may be slow and busy
@pytest.mark.trial("B-1")
def test_a_run_killed_at_ten_points_never_counts_and_the_next_one_is_good(site: Site) -> None:
    assert site.run().kind is Kind.FULL
    for number, (point, is_there) in enumerate(_points().items()):
        options = ["--full"] if number % 2 else []
        assert any(_kill_once(site, options, is_there) for _ in range(_TRIES)), f"never killed when {point}"
        state = site.state()
        assert state["last_run"]["status"] == "running", point  # and its process is gone: the agent calls that killed
        change(site.data / "deep" / "er" / "words", f"after the kill when {point}\n")
        record = site.run()
        assert record.status is Status.OK, point
        assert site.manifest()["due_at"] == record.id.due_at.isoformat()
        assert site.state()["restore_points"] == len(list(site.points.iterdir())), point
    demand_same(site.restore_plainly(site.folder / "back"), site.data)


def _kill_once(site: Site, options: list[str], is_there: Callable[[Site, KilledRun, set[Path]], bool]) -> bool:
    """Kill a run at a point; return whether it was in time. A run that was quicker has to be a good one."""
    (site.data / "deep" / "noise").write_bytes(os.urandom(5 << 19))
    before, points = set(site.chains.rglob("*")), set(site.points.iterdir())
    run = KilledRun(site, *options)
    came = run.kill_when(lambda: is_there(site, run, before))
    if set(site.points.iterdir()) != points:
        return False
    assert run.process.returncode == -signal.SIGKILL, run.told.read_text()
    return came


@pytest.mark.trial("B-1")
def test_a_run_killed_after_its_manifest_was_written_counts(site: Site) -> None:
    site.run()
    points = set(site.points.iterdir())
    KilledRun(site).kill_when(lambda: set(site.points.iterdir()) != points)
    (made,) = set(site.points.iterdir()) - points
    change(site.data / "empty", "no more")
    record = site.run()
    assert record.kind is Kind.INCREMENTAL
    assert site.manifest()["previous"] == made.name
    demand_same(site.restore_plainly(site.folder / "back"), site.data)
