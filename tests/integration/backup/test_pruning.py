"""Retention at a target with real duplicity: what goes goes whole, what stays can be restored, whatever happens."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from backup.catalogue import read_catalogue
from backup.model import Kind, instant_name
from backup.pruning.prune import open_pruned
from backup.pruning.stock import Claims, take_stock
from backup.restoring.verify import Depth, verify
from backup.settings.backup_set import SetSettings
from backup.station.station import open_station
from backup.targets.folder import DeletingFolder
from backup.targets.reading import read_sha256
from backup.targets.registry import open_target
from tests.support.backups import CHECKOUT, HOST, PLACE, SET, change, demand_same, fill, new_site
from tests.support.holding import DECRYPTING, ENCRYPTING, HeldGpg, more_files
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backup.pruning.plan import Pruned
    from backup.targets.contract import Target
    from tests.support.backups import Pairs, Site

ONE = 'retention.keep_chains = 1\ngrace = "0s"'
_CHOSEN = SetSettings(name=SET, host=HOST, target="store")
_WAIT_SECONDS = 240.0
_IGNORED = shutil.ignore_patterns("S.*", "*.lock")


@pytest.fixture(scope="module")
def grown_site(pairs: Pairs) -> Iterator[Site]:
    """Three chains, made once: a full, a full with an incremental, a full; and a pruner that keeps one."""
    with new_site(pairs) as site:
        fill(site.data)
        site.run()
        change(site.data / "empty", "second")
        site.run(is_full_asked=True)
        change(site.data / "empty", "third")
        site.run()
        change(site.data / "empty", "fourth")
        site.run(is_full_asked=True)
        site.add_pruner(ONE)
        for part in ("data", "host", "pruner", "station", "store"):
            shutil.copytree(site.folder / part, site.folder / "kept" / part, ignore=_IGNORED)
        yield site


@pytest.fixture
def three(grown_site: Site) -> Site:
    """The site as it was made."""
    for part in ("data", "host", "pruner", "station", "store", "marks", "back", "plain"):
        shutil.rmtree(grown_site.folder / part, ignore_errors=True)
    (grown_site.folder / "marks").unlink(missing_ok=True)
    for part in ("data", "host", "pruner", "station", "store"):
        # An agent of gpg may have put something there since.
        shutil.copytree(grown_site.folder / "kept" / part, grown_site.folder / part, dirs_exist_ok=True)
    return grown_site


def _chains(site: Site) -> list[str]:
    return sorted(path.name for path in site.chains.iterdir())


def _verdicts(lines: list[dict[str, Any]]) -> dict[str, str]:
    return {line["chain"]: line["verdict"] for line in lines if line["event"] == "chain"}


def _reason(lines: list[dict[str, Any]], chain: str) -> str:
    (found,) = [str(line["reason"]) for line in lines if line["event"] == "chain" and line["chain"] == chain]
    return found


def _points(site: Site) -> list[str]:
    shown = json.loads(site.bkp("station", "list", SET, "--json").stdout)
    return sorted(str(point["at"]) for point in shown["points"])


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_what_no_rule_wants_goes_whole_and_host_and_station_go_on(three: Site) -> None:
    oldest, middle, newest = _chains(three)
    shown = three.prune("--dry-run")
    assert _verdicts(shown) == {oldest: "goes", middle: "goes", newest: "stays"}
    assert _chains(three) == [oldest, middle, newest]
    before = _size(three.store)
    done = three.prune("--yes")
    assert _verdicts(done) == _verdicts(shown)
    assert done[-1]["chains_deleted"] == 2
    assert done[-1]["freed_bytes"] == shown[-1]["bytes_going"] == before - _size(three.store)
    assert _chains(three) == [newest]
    assert len(list(three.points.iterdir())) == 1
    assert three.prune("--yes")[-1]["chains_deleted"] == 0
    change(three.data / "empty", "fifth")
    assert three.run().kind is Kind.INCREMENTAL
    demand_same(three.restore_plainly(three.folder / "plain"), three.data)
    back = three.bkp("station", "restore", SET, "--to", str(three.folder / "back"))
    assert back.returncode == 0, back.stderr
    demand_same(three.folder / "back" / str(three.data)[1:], three.data)
    verified = three.bkp("station", "verify", SET, "--depth", "decrypted")
    assert verified.returncode == 0, verified.stderr


@pytest.mark.trial("B-7")
def test_a_chain_that_is_being_restored_stays_and_goes_when_that_is_over(three: Site) -> None:
    oldest, middle, newest = _chains(three)
    told, at = three.folder / "told", _points(three)[0]
    with told.open("wb") as out, HeldGpg(three.folder, DECRYPTING) as held:
        restoring = subprocess.Popen(
            three.command("station", "restore", SET, "--at", at, "--to", str(three.folder / "back")),
            cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=held.environment,
        )  # fmt: skip
        try:
            held.wait("duplicity at work")
            assert any(three.marks.glob("*.json"))
            lines = three.prune("--yes")
            assert _verdicts(lines) == {oldest: "stays", middle: "goes", newest: "stays"}
            assert "in use: restored by" in _reason(lines, oldest)
            assert _chains(three) == [oldest, newest]
        finally:
            held.release()
            code = restoring.wait(_WAIT_SECONDS)
    assert code == 0, told.read_text()
    assert (three.folder / "back" / str(three.data)[1:] / "empty").read_text() == ""
    assert _verdicts(three.prune("--yes")) == {oldest: "goes", newest: "stays"}
    assert _chains(three) == [newest]


@pytest.mark.trial("B-7")
def test_chains_that_are_being_verified_stay(three: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    chains = _chains(three)
    shown: list[dict[str, str]] = []

    def read(target: Target, name: str) -> tuple[str, int]:
        if not shown:
            shown.append(_verdicts(three.prune("--yes")))
        return read_sha256(target, name)

    monkeypatch.setattr("backup.restoring.inspection.read_sha256", read)
    settings = three.settings("station")
    with open_station(settings, settings.find_set(SET)) as station:
        report = verify(station, Depth.READ)
    assert shown == [dict.fromkeys(chains, "stays")]
    assert not report.damages
    assert three.prune("--yes")[-1]["chains_deleted"] == 2


@pytest.mark.trial("B-7")
def test_a_run_that_is_under_way_loses_nothing(three: Site) -> None:
    chains = _chains(three)
    (three.data / "deep" / "noise").write_bytes(os.urandom(5 << 19))
    a_volume_is_there = more_files(three.chains, "*.vol*", than=len([*three.chains.rglob("*.vol*")]))
    with (
        (three.folder / "told").open("wb") as out,
        HeldGpg(three.folder, ENCRYPTING, since=a_volume_is_there) as held,
    ):
        saving = subprocess.Popen(
            three.command("host", "run", SET, "--full", "--json"), cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=out,
            stderr=out, env=held.environment,
        )  # fmt: skip
        try:
            held.wait("a volume at the target")
            lines = three.prune("--yes")
            assert [*_verdicts(lines).values()].count("goes") == 2
            (strays,) = [line for line in lines if line["event"] == "strays"]
            assert strays["verdict"] == "stays"
            assert "under way" in strays["reason"]
            assert _chains(three) == [chains[-1], strays["chain"]]
        finally:
            held.release()
            code = saving.wait(_WAIT_SECONDS)
    assert code == 0, (three.folder / "told").read_text()
    assert _verdicts(three.prune("--yes")) == {chains[-1]: "goes", strays["chain"]: "stays"}
    verified = three.bkp("station", "verify", SET, "--depth", "read")
    assert verified.returncode == 0, verified.stderr


class _Killed(BaseException):
    """The process is gone."""


def _prune_here(site: Site) -> Pruned:
    with open_pruned(site.settings("pruner"), _CHOSEN) as opened:
        return opened.carry_out(opened.plan(datetime.now(UTC)))


def _demand_no_lie(site: Site) -> int:
    """Fail when a restore point that counts lacks a file; return how many chains can be restored."""
    with (
        site.ring("station") as ring,
        open_target(site.settings("station").find_target("store")) as target,
    ):
        catalogue = read_catalogue(target, PLACE, ring)
        stock = take_stock(
            target, PLACE, catalogue, Claims(holds=[], marks=[], as_of=datetime.now(UTC), now=datetime.now(UTC))
        )
    broken = {point.at for chain in stock.chains for point in chain.points if point.broken is not None}
    assert not [point.at for point in catalogue.points if point.broken is None and point.at in broken]
    assert not catalogue.refused
    return sum(1 for chain in stock.chains if chain.restorable)


@pytest.mark.trial("B-1")
def test_a_prune_killed_before_any_of_its_deletions_leaves_no_point_that_lies_and_the_next_one_finishes(
    three: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = _chains(three)[-1]
    really = DeletingFolder.delete
    left = 0

    def delete(self: DeletingFolder, name: str) -> None:
        nonlocal left
        if left == 0:
            raise _Killed
        left -= 1
        really(self, name)

    monkeypatch.setattr(DeletingFolder, "delete", delete)
    number = 0
    while True:
        left = number
        try:
            _prune_here(three)
        except _Killed:
            pass
        else:
            break
        restorable = _demand_no_lie(three)
        assert (restorable == 3) == (number == 0)
        left = 1 << 30
        _prune_here(three)
        assert _chains(three) == [newest], number
        assert len(list(three.points.iterdir())) == 1, number
        assert not list((three.folder / "pruner/work/unfinished").rglob("*.json"))
        shutil.rmtree(three.store)
        shutil.copytree(three.folder / "kept/store", three.store)
        number += 1
    assert number > 12


def test_a_prune_killed_for_real_is_finished_by_the_next_one(three: Site) -> None:
    newest = _chains(three)[-1]
    first = min(three.points.iterdir())
    process = subprocess.Popen(
        three.command("pruner", "prune", "--yes"), cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_until(lambda: not first.exists() or process.poll() is not None, _WAIT_SECONDS, "the first manifest to go")
    process.kill()
    process.wait(_WAIT_SECONDS)
    assert not first.exists()
    _demand_no_lie(three)
    three.prune("--yes")
    assert _chains(three) == [newest]
    assert len(list(three.points.iterdir())) == 1


def _mark(file: Path, chain: str, until: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"form": "watchkeep-mark-1", "chains": [chain], "said": "x", "until": until}))


@pytest.mark.trial("B-7")
def test_who_begins_to_read_while_a_chain_goes_finds_its_files_until_that_is_over(
    three: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    oldest, _, newest = _chains(three)
    files = sorted(path.name for path in (three.chains / oldest).iterdir())
    really = DeletingFolder.delete
    mark, first = three.marks / "late.json", min(three.points.iterdir()).name

    def delete(self: DeletingFolder, name: str) -> None:
        if name == f"{PLACE.points}/{first}":
            _mark(mark, oldest, "2099-01-01T00:00:00+00:00")
        really(self, name)

    monkeypatch.setattr(DeletingFolder, "delete", delete)
    assert [each.partition(":")[0] for each in _prune_here(three).kept_back] == [oldest]
    _prune_here(three)
    assert sorted(path.name for path in (three.chains / oldest).iterdir()) == files
    _demand_no_lie(three)
    refused = three.bkp("station", "restore", SET, "--at", "2026-01-01", "--to", str(three.folder / "back"))
    assert refused.returncode == 50
    _mark(mark, oldest, "2020-01-01T00:00:00+00:00")
    assert _prune_here(three).chains == [oldest]
    assert _chains(three) == [newest]
    assert not mark.exists()


def test_a_mark_that_cannot_be_understood_and_a_place_of_marks_that_is_away_keep_everything(three: Site) -> None:
    chains = _chains(three)
    three.marks.mkdir(parents=True)
    (three.marks / "odd.json").write_text("{")
    assert set(_verdicts(three.prune("--yes")).values()) == {"stays"}
    shutil.rmtree(three.folder / "marks")
    (three.folder / "marks").write_text("no folder")
    lines = three.prune("--yes", exit_code=20)
    assert lines[-1]["failed"] == [f"{HOST}/{SET}"]
    assert _chains(three) == chains


def test_a_restore_goes_on_though_the_place_of_marks_is_away(three: Site) -> None:
    (three.folder / "marks").write_text("no folder")
    back = three.bkp("station", "restore", SET, "--to", str(three.folder / "back"))
    assert back.returncode == 0, back.stderr
    assert "could not be marked" in back.stderr


def test_a_manifest_that_cannot_be_verified_keeps_its_chain_and_is_told(three: Site) -> None:
    oldest, middle, newest = _chains(three)
    first, _, third, _ = sorted(three.points.iterdir())
    first.write_text(first.read_text().replace('"kind": "full"', '"kind": "FULL"'))
    third.write_text("no manifest")
    lines = three.prune("--yes")
    assert _verdicts(lines) == {middle: "stays", newest: "stays"}
    assert "in doubt" in _reason(lines, middle)
    (alone, beside) = [line for line in lines if line["event"] == "strays"]
    assert (alone["chain"], beside["chain"]) == (oldest, middle)
    for line in (alone, beside):
        assert line["verdict"] == "stays"
        assert "cannot be verified" in line["reason"]
    notes = " ".join(line["text"] for line in lines if line["event"] == "note")
    assert first.name in notes
    assert third.name in notes
    assert _chains(three) == [oldest, middle, newest]


def test_a_host_whose_key_is_not_known_loses_nothing(three: Site) -> None:
    chains = _chains(three)
    shutil.rmtree(three.folder / "pruner/keys/pruner")
    (three.folder / "pruner/keys/pruner").mkdir(mode=0o700)
    assert three.prune("--yes", exit_code=10)[-1]["failed"] == [f"{HOST}/{SET}"]
    assert _chains(three) == chains


def test_the_newest_chain_that_is_whole_stays_though_a_newer_one_lost_a_file(three: Site) -> None:
    oldest, middle, newest = _chains(three)
    next(three.chains.glob(f"{newest}/*vol2*")).unlink()
    assert _verdicts(three.prune("--yes")) == {oldest: "goes", middle: "stays", newest: "stays"}


def test_a_hold_keeps_its_chain_until_a_pruner_lifts_it_whatever_happens_at_the_target(three: Site) -> None:
    oldest, middle, newest = _chains(three)
    label = f"{HOST}/{SET}"
    at = _points(three)[0]
    added = three.bkp("pruner", "hold", "add", label, "--at", at, "--reason", "case [4711]", "--name", "case")
    assert added.returncode == 0, added.stderr
    refused = three.bkp("host", "hold", "remove", SET, "case")
    assert (refused.returncode, "only a pruner" in refused.stderr) == (3, True)
    lines = three.prune("--yes")
    assert _verdicts(lines) == {oldest: "stays", middle: "goes", newest: "stays"}
    assert "held: case (case [4711])" in _reason(lines, oldest)
    there = three.store / HOST / SET / "holds" / "case.json"
    there.write_text(there.read_text().replace(oldest, newest))
    assert _verdicts(three.prune("--yes"))[oldest] == "stays"
    there.unlink()
    lines = three.prune("--yes")
    assert _verdicts(lines)[oldest] == "stays"
    assert any("gone from the target" in line["text"] for line in lines if line["event"] == "note")
    assert "case [4711]" in three.bkp("pruner", "hold", "list").stdout
    lifted = three.bkp("pruner", "hold", "remove", label, "case")
    assert lifted.returncode == 0, lifted.stderr
    assert _verdicts(three.prune("--yes")) == {oldest: "goes", newest: "stays"}


def test_a_host_may_set_a_hold_and_one_that_cannot_be_understood_holds_all(three: Site) -> None:
    chains = _chains(three)
    assert three.bkp("host", "hold", "add", SET, "--reason", "audit", "--name", "audit").returncode == 0
    assert set(_verdicts(three.prune("--yes")).values()) == {"stays"}
    assert three.bkp("pruner", "hold", "remove", f"{HOST}/{SET}", "audit").returncode == 0
    (three.store / HOST / SET / "holds").mkdir(exist_ok=True)
    (three.store / HOST / SET / "holds" / "odd.json").write_text("[]")
    lines = three.prune("--yes")
    assert set(_verdicts(lines).values()) == {"stays"}
    assert any("cannot be understood" in line["text"] for line in lines if line["event"] == "note")
    assert _chains(three) == chains


def test_a_clock_that_is_ahead_ends_no_hold_and_no_waiting(three: Site) -> None:
    oldest, middle, newest = _chains(three)
    min(three.points.iterdir()).unlink()  # the run of the oldest counts as failed, or as under way
    three.add_pruner('retention.keep_chains = 1\nstrays_after = "7d"\ngrace = "0s"')
    options = ("--at", _points(three)[0], "--until", "in 30 days", "--name", "case", "--reason", "court")
    assert three.bkp("pruner", "hold", "add", f"{HOST}/{SET}", *options).returncode == 0
    with open_pruned(three.settings("pruner"), _CHOSEN) as opened:
        plan = opened.plan(datetime.now(UTC) + timedelta(days=400))
    assert plan.is_idle
    reasons = {each.chain.name: each.reason for each in plan.verdicts}
    assert (set(reasons), reasons[middle]) == ({middle, newest}, "held: case (court)")
    (stray,) = plan.strays
    assert (stray.stray.chain, "under way" in stray.reason) == (oldest, True)
    (said,) = [note for note in plan.notes if "hold case" in note]
    assert "nothing was saved after that" in said

    failed = datetime.now(UTC) + timedelta(days=8)  # the last of the runs that fail since
    (three.chains / newest / f"duplicity-full.{instant_name(failed)}.vol1.difftar.gpg").touch()
    with open_pruned(three.settings("pruner"), _CHOSEN) as opened:
        plan = opened.plan(failed + timedelta(hours=1))
    assert {each.stray.chain: each.goes for each in plan.strays} == {oldest: True, newest: False}
    assert not any(each.goes for each in plan.verdicts)

    later = datetime.now(UTC) + timedelta(days=400)
    with open_pruned(three.settings("pruner"), _CHOSEN) as opened:
        trusted = opened.plan(later, later)  # a person vouches for the clock
    assert not trusted.is_idle
    assert {each.chain.name: each.goes for each in trusted.verdicts} == {middle: True, newest: False}
    assert [each.goes for each in trusted.strays] == [True, True]
    at = json.loads(three.bkp("pruner", "prune", "--dry-run", "--json").stdout.splitlines()[0])["as_of"]
    saved = three.manifest()["finished_at"]
    assert datetime.fromisoformat(at) == datetime.fromisoformat(saved)
    assert three.bkp("pruner", "prune", "--dry-run", "--trust-clock").returncode == 0


def test_files_no_manifest_names_are_a_class_of_their_own_and_go_by_their_age(three: Site) -> None:
    oldest, _, newest = _chains(three)
    min(three.points.iterdir()).unlink()
    lines = three.prune("--yes")
    (strays,) = [line for line in lines if line["event"] == "strays"]
    assert (strays["chain"], strays["verdict"]) == (oldest, "stays")
    assert "under way" in strays["reason"]
    assert _chains(three) == [oldest, newest]
    three.add_pruner(f'{ONE}\nstrays_after = "0s"')
    lines = three.prune("--yes")
    assert lines[-1]["strays_deleted"] == len(strays["files"])
    assert lines[-1]["freed_bytes"] == strays["bytes"]
    assert _chains(three) == [newest]


def test_without_a_rule_nothing_goes_and_a_set_may_have_rules_of_its_own(three: Site) -> None:
    three.add_pruner('grace = "0s"')
    lines = three.prune("--yes")
    assert set(_verdicts(lines).values()) == {"stays"}
    assert "no rule" in _reason(lines, _chains(three)[0])
    own = f'[[sets]]\nname = "{SET}"\nhost = "{HOST}"\ntarget = "store"\nretention.keep_points = 2'
    three.add_pruner('grace = "0s"', own)
    assert sorted(_verdicts(three.prune("--yes")).values()) == ["goes", "stays", "stays"]


@pytest.mark.trial("S-11")
def test_who_may_delete_holds_no_secret_key(three: Site) -> None:
    with three.ring("host") as ring:
        (three.folder / "secret.asc").write_text(ring.export_secret(three.pairs.host))
    refused = three.bkp("pruner", "key", "import", str(three.folder / "secret.asc"), "--to", "pruner")
    assert refused.returncode == 17
    home = three.folder / "pruner/keys/pruner"
    shutil.rmtree(home)
    shutil.copytree(three.folder / "station/keys/station", home, ignore=_IGNORED)
    assert three.prune("--yes", exit_code=17)[-1]["chains_deleted"] == 0
    assert three.bkp("pruner", "key", "test").returncode == 17
    doctor = three.bkp("pruner", "doctor", "--json")
    findings = {each["what"]: each["level"] for each in json.loads(doctor.stdout)["findings"]}
    assert (doctor.returncode, findings["pruner's keys"]) == (2, "fault")


def test_a_pruner_is_told_what_it_lacks(three: Site) -> None:
    doctor = three.bkp("pruner", "doctor", "--json")
    levels = {each["what"]: each["level"] for each in json.loads(doctor.stdout)["findings"]}
    assert (levels["pruner's keys"], levels["marks"]) == ("ok", "ok")
    assert doctor.returncode < 2
    (three.store / "db9/files/points").mkdir(parents=True)
    (three.store / "db9/files/points/x").touch()
    text = three.file("pruner").read_text()
    three.file("pruner").write_text(text.replace(three.marks_table, "").replace("retention.keep_chains = 1", ""))
    doctor = three.bkp("pruner", "doctor", "--json")
    told = " ".join(each["text"] for each in json.loads(doctor.stdout)["findings"] if each["level"] == "warning")
    for words in ("db9", "there is no rule", "somebody restores"):
        assert words in told


@pytest.mark.parametrize(("answer", "chains"), [("n", 3), ("y", 1)])
def test_a_person_is_asked_and_a_program_has_to_be_sure(three: Site, answer: str, chains: int) -> None:
    unsure = three.bkp("pruner", "prune")
    assert (unsure.returncode, len(_chains(three))) == (2, 3)
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        asked = subprocess.run(
            three.command("pruner", "prune"), cwd=CHECKOUT, stdin=theirs, capture_output=True, text=True, check=False,
            timeout=_WAIT_SECONDS,
        )  # fmt: skip
    finally:
        os.close(ours)
        os.close(theirs)
    assert asked.returncode == 0, asked.stderr
    assert "Delete 2 chains" in asked.stdout + asked.stderr
    assert len(_chains(three)) == chains


@pytest.mark.trial("S-11")
def test_a_machine_that_is_no_pruner_deletes_nothing(three: Site) -> None:
    for role in ("host", "station"):
        refused = three.bkp(role, "prune", "--yes")
        assert (refused.returncode, len(_chains(three))) == (3, 3)
