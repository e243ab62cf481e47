"""Damage at the target is found, named, its cost told, and a new full follows by itself (B-3)."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from backup.model import Kind, instant_name
from backup.restoring.verify import Depth
from backup.restoring.verify import verify as verify_set
from backup.station.station import open_station
from tests.support.backup_site import bkp
from tests.support.backups import SET, change, demand_same

if TYPE_CHECKING:
    from pathlib import Path

    from backup.restoring.verify import Report
    from tests.support.backups import Site
    from tests.support.grown_backups import Grown

pytestmark = pytest.mark.trial("B-3")


@pytest.fixture
def copy(grown: Grown, tmp_path: Path) -> Path:
    """A copy of the folder target that may be damaged."""
    return shutil.copytree(grown.site.folder / "target-store", tmp_path / "copy")


def verify(grown: Grown, copy: Path, depth: str, code: int = 53) -> Any:
    ended = bkp("verify", "web1/files", "--target", str(copy), "--depth", depth, "--json", config=grown.site.station)
    assert ended.exit_code == code, ended.output + ended.errors
    (report,) = ended.document["sets"]
    assert report["depth"] == depth
    return report


def volumes(copy: Path) -> list[Path]:
    """Return one data volume of each run, oldest first."""
    (chain,) = (copy / "web1" / "files" / "chains").iterdir()
    full = sorted(chain.glob("duplicity-full.*.vol1.*"))
    return full + sorted(chain.glob("duplicity-inc.*.vol1.*"))


@pytest.mark.parametrize("target", ["folder", "swift"])
def test_what_was_sent_is_read_back_and_found_whole(grown: Grown, target: str) -> None:
    name = {"folder": "web1/files", "swift": "web1/cloud"}[target]
    ended = bkp("verify", name, *grown.at(target), "--depth", "read", "--json", config=grown.site.station)
    assert ended.exit_code == 0, ended.output + ended.errors
    (report,) = ended.document["sets"]
    assert report["restorable"] == [point["at"] for point in grown.points(target)]
    assert report["bytes_read"] > 1_500_000
    assert report["lost"] == report["damages"] == report["strays"] == []


def test_the_deepest_look_decrypts_and_restores_the_newest_point_aside(grown: Grown, copy: Path) -> None:
    report = verify(grown, copy, "decrypted", 0)
    assert len(report["restorable"]) == 3
    assert list((grown.site.folder / "station" / "work").iterdir()) == []


def test_a_deleted_volume_is_named_with_every_point_that_needs_it(grown: Grown, copy: Path) -> None:
    gone = volumes(copy)[1]
    gone.unlink()
    report = verify(grown, copy, "stored")
    points = [point["at"] for point in grown.points("folder")]
    (damage,) = report["damages"]
    assert damage["name"].endswith(gone.name)
    assert "missing" in damage["what"]
    assert damage["kills"] == report["lost"] == points[1:]
    assert report["restorable"] == points[:1]


def test_one_flipped_bit_is_found_by_reading_and_costs_the_whole_chain_when_it_is_the_fulls(
    grown: Grown, copy: Path
) -> None:
    flipped = volumes(copy)[0]
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    assert verify(grown, copy, "stored", 0)["damages"] == []  # and says that it did not read
    report = verify(grown, copy, "read")
    (damage,) = report["damages"]
    assert damage["name"].endswith(flipped.name)
    assert len(damage["kills"]) == 3
    assert report["restorable"] == []


def test_a_manifest_that_was_changed_or_is_missing_costs_its_point_and_those_after_it(grown: Grown, copy: Path) -> None:
    manifests = sorted((copy / "web1" / "files" / "points").iterdir())
    manifests[1].write_text(manifests[1].read_text().replace('"entries": ', '"entries": 1'))
    report = verify(grown, copy, "stored")
    named = {damage["name"].rpartition("/")[2]: damage for damage in report["damages"]}
    assert set(named) == {manifests[1].name, manifests[2].name}
    assert "changed after it was signed" in named[manifests[1].name]["what"]
    assert len(report["restorable"]) == 1
    manifests[1].unlink()
    assert len(verify(grown, copy, "stored")["restorable"]) == 1


def test_a_whole_run_without_its_manifest_is_told_for_what_it_may_be(grown: Grown, copy: Path) -> None:
    points = [point["at"] for point in grown.points("folder")]
    assert verify(grown, copy, "stored", 0)["unsigned"] == []
    manifests = sorted((copy / "web1" / "files" / "points").iterdir())
    manifests[2].unlink()
    report = verify(grown, copy, "stored", 0)
    assert (report["restorable"], report["unsigned"]) == (points[:2], points[2:])
    told = bkp("verify", "web1/files", "--target", str(copy), config=grown.site.station)
    assert "here whole, newer than what can be restored of" in told.output
    for each in manifests[:2]:
        each.unlink()
    assert verify(grown, copy, "stored", 50)["unsigned"] == points


def test_a_newest_manifest_that_an_earlier_look_saw_is_known_to_be_gone_until_a_newer_chain_comes(
    site: Site,
) -> None:
    site.run()
    site.run()
    newest = site.manifest()["at"]
    manifest = site.points / f"{newest}.json.asc"
    assert site.bkp("station", "verify", SET).returncode == 0
    signed = manifest.read_bytes()
    manifest.unlink()
    for _ in range(2):  # it is not forgotten by having been told
        done = site.bkp("station", "verify", SET)
        assert (done.returncode, f"points/{newest}.json.asc: it is gone" in done.stdout) == (53, True), done.stdout
    manifest.write_bytes(signed)
    assert site.bkp("station", "verify", SET).returncode == 0
    manifest.unlink()
    site.run()  # begins a new chain, which leaves the old one to retention
    for file in site.points.iterdir():
        if site.manifest()["at"] not in file.name:
            file.unlink()
    assert site.bkp("station", "verify", SET).returncode == 0


def look(site: Site) -> Report:
    """Read everything back at the station."""
    settings = site.settings("station")
    with open_station(settings, settings.find_set(SET)) as station:
        return verify_set(station, Depth.READ)


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("harm", [flip, lambda file: file.unlink()], ids=["flipped", "deleted"])
def test_whatever_is_harmed_is_named_with_its_cost_and_the_next_run_makes_a_new_full(site: Site, harm: Any) -> None:
    site.run()
    for pattern in ("*.vol1.difftar.gpg", "*.sigtar.gpg", "*.manifest.gpg", "*.json.asc"):
        full = site.manifest()["at"]
        change(site.data / "deep" / "er" / "words", f"before {pattern}\n")
        assert site.run().kind is Kind.INCREMENTAL
        newest = site.manifest()
        folder = site.points if pattern == "*.json.asc" else site.chains / newest["chain"]
        harmed = next(file for file in sorted(folder.glob(pattern)) if full in file.name)
        harm(harmed)
        report = look(site)
        assert any(damage.name.endswith(harmed.name) for damage in report.damages), report
        is_of_lists = pattern == "*.sigtar.gpg"
        assert {full, newest["at"]} <= {instant_name(at) for at in (report.unlisted if is_of_lists else report.lost)}
        assert not is_of_lists or not {full, newest["at"]} & {instant_name(at) for at in report.lost}
        change(site.data / "deep" / "er" / "words", f"after {pattern}\n")
        record = site.run()
        assert record.kind is Kind.FULL
        assert record.reason not in (None, "the first of this set", "a full was asked for")
        assert ("without which its points can be restored" in str(record.reason)) == (is_of_lists and harm is flip)
    assert look(site).fresh_full is None  # what is newest is whole
    demand_same(site.restore_plainly(site.folder / "back"), site.data)


def test_the_last_whole_chain_stays_while_the_newest_is_known_to_be_damaged(site: Site) -> None:
    site.run()
    whole = site.manifest()["chain"]
    site.run(is_full_asked=True)
    damaged = site.manifest()["chain"]
    site.add_pruner('retention.keep_chains = 1\ngrace = "0s"')
    assert [line["chain"] for line in site.prune("--dry-run") if line.get("verdict") == "goes"] == [whole]
    flip(next((site.chains / damaged).glob("*.vol2.*")))
    look(site)
    assert not any(line.get("verdict") == "goes" for line in site.prune("--yes"))
    assert site.run().kind is Kind.FULL
    assert {line["chain"] for line in site.prune("--yes") if line.get("verdict") == "goes"} == {whole, damaged}
    assert not any((site.store / "web1" / SET / "damage").glob("*"))


def test_a_station_that_may_only_read_says_what_to_run_on_the_host(site: Site) -> None:
    site.run()
    flip(next(site.chains.rglob("*.vol2.*")))
    (site.store / "web1" / SET / "damage").write_text("a file where the notes would be")
    report = look(site)
    assert report.fresh_full is not None
    assert f"bkp run {SET} --full" in report.fresh_full


def test_damaged_lists_that_a_point_does_not_need_do_not_keep_it_from_coming_back(site: Site) -> None:
    site.run()
    full = site.manifest()["at"]
    first = shutil.copytree(site.data, site.folder / "first")
    change(site.data / "deep" / "er" / "words", "second\n")
    site.run()
    newest = site.manifest()["at"]
    last = shutil.copytree(site.data, site.folder / "last")
    signatures = next(site.chains.rglob("duplicity-new*.sigtar.gpg"))
    content = signatures.read_bytes()
    signatures.unlink()  # duplicity alone restores the run before then, and ends well
    done = site.bkp("station", "restore", SET, "--to", str(site.folder / "back"))
    assert done.returncode == 0, done.stderr
    demand_same(site.folder / "back" / str(site.data)[1:], last)
    shutil.rmtree(site.folder / "back")
    signatures.write_bytes(content)
    for pattern, lost in (
        ("duplicity-full*.sigtar.gpg", []),
        ("duplicity-new*.sigtar.gpg", []),
        ("duplicity-inc.*.manifest.gpg", [newest]),
    ):
        for file in site.chains.rglob(pattern):
            file.write_bytes(file.read_bytes()[:-20])
        done = site.bkp("station", "restore", SET, "--at", full, "--to", str(site.folder / "back"))
        assert done.returncode == 0, done.stderr
        demand_same(site.folder / "back" / str(site.data)[1:], first)
        shutil.rmtree(site.folder / "back")
        report = look(site)
        assert [instant_name(at) for at in report.lost] == lost
        assert [instant_name(at) for at in report.restorable] == [at for at in (full, newest) if at not in lost]
        assert [instant_name(at) for at in report.unlisted] == [at for at in (full, newest) if at not in lost]
