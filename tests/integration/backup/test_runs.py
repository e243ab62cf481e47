"""Runs to a folder with real gpg and duplicity: what counts, what begins a new chain, what is refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import pytest

from backup.catalogue import read_catalogue
from backup.errors import NoRun, RunKilled, SetBusy, SourceFailed, TimedOut
from backup.keys.making import make_folder, make_host_pair, make_passphrase_file
from backup.keys.messages import clear_sign
from backup.keys.ring import KeyRing
from backup.manifest import read_manifest, write_manifest
from backup.model import Kind, RunId, RunRecord, Status
from backup.saving.journal import Journal
from backup.saving.run import run_set
from backup.targets.registry import open_target
from tests.support.backups import CHECKOUT, PLACE, SET, change, demand_same, next_due
from tests.support.holding import ENCRYPTING, HeldGpg, more_files
from tests.support.processes import family
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from backup.engine.progress import Progress
    from tests.support.backups import Site


def test_a_full_and_two_incrementals_restore_byte_identical_at_each_time(site: Site) -> None:
    looks = []
    for number, words in enumerate(("first\n", "second\n", "third\n")):
        change(site.data / "deep" / "er" / "words", words)
        (site.data / f"new-{number}").write_bytes(os.urandom(1000))
        (site.data / f"new-{number - 2}").unlink(missing_ok=True)
        record = site.run()
        assert record.kind is (Kind.INCREMENTAL if number else Kind.FULL)
        looks.append((record.at, shutil.copytree(site.data, site.folder / f"look-{number}")))
    for number, (at, look) in enumerate(looks):
        demand_same(site.restore_plainly(site.folder / f"back-{number}", at), look)
    state = site.state()
    assert state["restore_points"] == 3
    assert state["last_run"] == state["last_good"]
    assert state["last_run"]["source_bytes"] > 5 << 19
    assert state["usual_bytes"] == pytest.approx(state["last_good"]["source_bytes"], rel=0.01)


def test_a_run_id_runs_once(site: Site) -> None:
    run = RunId(set=SET, due_at=next_due())
    first = run_set(site.settings(), run)
    assert run_set(site.settings(), run) == first
    assert len(list(site.points.iterdir())) == 1
    again = site.bkp("host", "run", SET, "--due", run.due_at.isoformat(), "--json")
    assert (again.returncode, len(list(site.points.iterdir()))) == (0, 1)


def test_a_run_id_that_was_killed_says_so_and_does_not_run_again(site: Site) -> None:
    run = RunId(set=SET, due_at=next_due())
    record = RunRecord(id=run, status=Status.RUNNING, started_at=run.due_at, pid=1)
    Journal(site.settings().work, SET).write(record)
    assert site.bkp("host", "run", SET, "--due", run.due_at.isoformat()).returncode == RunKilled.exit_code
    assert not site.points.exists()


def test_a_set_is_worked_on_by_one_process_at_a_time(site: Site) -> None:
    with Journal(site.settings().work, SET).locked():
        with pytest.raises(SetBusy, match=str(os.getpid())):
            site.run()
        assert site.bkp("host", "run", SET).returncode == SetBusy.exit_code


def test_a_lost_or_damaged_cache_begins_a_new_chain_and_says_so(site: Site) -> None:
    site.run()
    cache = site.folder / "host/work" / SET / "cache"
    shutil.rmtree(cache)
    lost = site.run()
    assert (lost.kind, lost.reason and lost.reason.startswith("the local cache is lost")) == (Kind.FULL, True)
    signatures = next(cache.rglob("*.sigtar.gz"))
    content = bytearray(signatures.read_bytes())
    content[len(content) // 2] ^= 1
    signatures.write_bytes(content)
    damaged = site.run()
    assert (damaged.kind, damaged.reason and damaged.reason.startswith("the local cache is damaged")) == (
        Kind.FULL,
        True,
    )
    demand_same(site.restore_plainly(site.folder / "back"), site.data)


@pytest.mark.trial("B-3")
@pytest.mark.parametrize("ending", [".vol2.difftar.gpg", ".sigtar.gpg", ".manifest.gpg"])
def test_a_chain_that_lost_a_file_at_the_target_is_not_gone_on_from(site: Site, ending: str) -> None:
    site.run()
    victim = next(path for path in site.chains.rglob("*") if path.name.endswith(ending))
    victim.unlink()
    record = site.run()
    assert record.kind is Kind.FULL
    assert record.reason == f"the chain before is damaged: {victim.name} is missing at the target"


@pytest.mark.trial("B-3")
def test_manifests_that_are_changed_foreign_or_missing_do_not_count_and_are_named(site: Site) -> None:
    site.run()
    site.run()
    full, incremental = sorted(site.points.iterdir())
    text = incremental.read_text()
    (site.points / "20260101T000000Z.json.asc").write_text(text)  # put under another name
    (site.points / "20260102T000000Z.json.asc").write_text(text.replace('"position": 1', '"position": 2'))
    (site.points / "20260103T000000Z.json.asc").write_text(_signed_by_stranger(site, text))
    (site.points / "20260104T000000Z.json.asc").write_text(text[text.index("{") :])
    with site.ring() as ring, open_target(site.settings().find_target("store")) as target:
        catalogue = read_catalogue(target, PLACE, ring)
        assert [point.manifest.name for point in catalogue.points] == [full.name, incremental.name]
        assert [why.name[:8] for why in catalogue.refused] == ["20260101", "20260102", "20260103", "20260104"]
        assert "elsewhere" in catalogue.refused[0].why
        assert "changed after it was signed" in catalogue.refused[1].why
        assert "is not known here" in catalogue.refused[2].why
        full.unlink()
        (broken,) = read_catalogue(target, PLACE, ring).points
        assert broken.broken is not None
        assert full.name in broken.broken


def _signed_by_stranger(site: Site, text: str) -> str:
    """Return a manifest signed by a key that calls itself the same host."""
    home = Path(tempfile.mkdtemp(prefix="wk-", dir=site.folder))
    make_folder(home, is_passphrase_random=make_passphrase_file(home / "passphrase"))
    with KeyRing(home, home / "passphrase") as stranger:
        key = make_host_pair(stranger, PLACE.host)
        plain = text[text.index("{") : text.index("-----BEGIN PGP SIGNATURE")]
        return clear_sign(stranger, write_manifest(read_manifest(plain)), key)


def test_what_is_not_there_is_no_empty_backup(site: Site) -> None:
    shutil.rmtree(site.data)
    with pytest.raises(SourceFailed, match=str(site.data)):
        site.run()
    state = site.state()
    assert (state["last_run"]["status"], state["last_run"]["exit_code"]) == ("failed", SourceFailed.exit_code)
    assert state["last_good"] is None


def test_a_run_ended_by_a_signal_leaves_no_process_and_counts_for_nothing(site: Site) -> None:
    with (site.folder / "told").open("wb") as out, HeldGpg(site.folder, ENCRYPTING) as held:
        run = subprocess.Popen(
            site.command("host", "run", SET, "--json"), cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            env=held.environment,
        )  # fmt: skip
        held.wait("a run that saves")
        everybody = family([run.pid])
        run.send_signal(signal.SIGTERM)
        assert run.wait(240) == 130
        wait_until(lambda: not any(one.is_there for one in everybody), 120, "the end of everything the run started")
    assert b'"saving"' in (site.folder / "told").read_bytes()
    assert not site.points.exists()
    assert site.state()["last_run"]["status"] == Status.FAILED.value
    assert site.run().status is Status.OK


@pytest.mark.parametrize("is_first", [True, False])
def test_a_run_that_is_cancelled_counts_as_that_and_leaves_nothing_at_the_target(site: Site, is_first: bool) -> None:
    if not is_first:
        site.run()
    before = {path for path in site.store.rglob("*") if path.is_file()}
    change(site.data / "empty", "something")
    (site.data / "deep" / "more noise").write_bytes(os.urandom(5 << 19))  # some volumes
    a_volume_is_there = more_files(site.chains, "*.vol*", than=sum(".vol" in path.name for path in before))
    with (
        (site.folder / "told").open("wb") as out,
        HeldGpg(site.folder, ENCRYPTING, since=a_volume_is_there) as held,
    ):
        run = subprocess.Popen(
            site.command("host", "run", SET, "--json"), cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            env=held.environment,
        )  # fmt: skip
        held.wait("a volume of the run at the target")
        ended = site.bkp("host", "cancel", SET, "--json")
        assert ended.returncode == 0, ended.stderr
        assert json.loads(ended.stdout)["status"] == Status.CANCELLED.value
        assert run.wait(240) == 130
    assert {path for path in site.store.rglob("*") if path.is_file()} == before
    assert site.state()["last_run"]["status"] == Status.CANCELLED.value
    assert site.bkp("host", "cancel", SET).returncode == NoRun.exit_code
    assert site.run().kind is (Kind.FULL if is_first else Kind.INCREMENTAL)


def test_the_time_limit_holds_while_what_was_sent_is_read_back_and_a_run_it_ends_leaves_nothing(site: Site) -> None:
    """What is read back is held; the limit that runs is made to be over then."""

    def hold(told: Progress) -> None:
        if told.phase == "comparing":
            left, _ = signal.getitimer(signal.ITIMER_REAL)
            assert left > limit / 2
            signal.setitimer(signal.ITIMER_REAL, 0.001)
            Event().wait(240)

    limit = site.settings().find_set(SET).time_limit.total_seconds()
    with pytest.raises(TimedOut, match="not done within its time limit"):
        run_set(site.settings(), RunId(set=SET, due_at=next_due()), on_progress=hold)
    last = site.state()["last_run"]
    assert (last["status"], last["exit_code"]) == ("failed", TimedOut.exit_code)
    assert not list(site.chains.rglob("*.gpg"))


def test_a_root_behind_a_symbolic_link_is_saved_from_where_it_really_is(site: Site) -> None:
    (site.folder / "link").symlink_to(site.data)
    file = site.file("host")
    file.write_text(file.read_text().replace(f'["{site.data}"]', f'["{site.folder}/link/deep"]'))
    site.run()
    demand_same(site.restore_plainly(site.folder / "back") / "deep", site.data / "deep")


def test_what_cannot_be_read_is_counted_and_named(site: Site) -> None:
    locked = site.data / "locked"
    locked.write_text("x")
    locked.chmod(0)
    if os.geteuid() == 0:  # root reads everything but what the kernel gives nobody
        locked = Path("/sys/bus/cpu/drivers_probe")
    file = site.file("host")
    file.write_text(file.read_text().replace(f'["{site.data}"]', f'["{site.data}", "{locked}"]'))
    record = site.run()
    assert (record.status, record.unreadable) == (Status.OK, 1)
    assert site.manifest()["counts"]["unreadable_names"] == [str(locked)[1:]]


def test_excluded_names_and_odd_names_are_as_the_set_says(site: Site) -> None:
    odd = os.fsdecode(b"not utf-8 \xff [x] *")
    (site.data / odd).write_text("odd")
    (site.data / "deep" / "cache").mkdir()
    (site.data / "deep" / "cache" / "left out").write_text("no")
    file = site.file("host")
    file.write_text(file.read_text() + 'paths.exclude = ["cache"]\n')
    site.run()
    back = site.restore_plainly(site.folder / "back")
    assert (back / odd).read_text() == "odd"
    assert not (back / "deep" / "cache").exists()


def test_a_root_above_everything_saves_neither_the_target_nor_the_work_folder(site: Site) -> None:
    file = site.file("host")
    file.write_text(file.read_text().replace(f'["{site.data}"]', f'["{site.folder}"]'))
    ran = site.bkp("host", "run", SET)
    assert (ran.returncode, f"({site.store})" in ran.stderr) == (0, True)
    assert str(site.store) in site.manifest()["consistency"]["left_out"]
    back = site.restore_plainly(site.folder / "back", is_all=True) / str(site.folder)[1:]
    assert not any((back / name).exists() for name in ("store/web1", "host/work/files", "host/keys/host"))
    demand_same(back / "data", site.data)
