"""A set whose tree is saved in parts side by side: one restore point over all of them, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest

from backup.browse.difference import compare_points
from backup.browse.finding import find_paths, pattern_of
from backup.browse.listing import list_files, open_lists, runs_up_to
from backup.errors import ConfigInvalid, EngineFailed, ObjectMissing
from backup.model import Kind, Status
from backup.proof.drill import drill
from backup.restoring.forecast import forecast
from backup.restoring.restore import restore
from backup.restoring.verify import Depth, verify
from backup.restoring.wanted import Wanted
from backup.settings.backup_set import SetSettings
from backup.station.station import open_station
from tests.support.backup_site import fingerprint
from tests.support.backups import CHECKOUT, HOST, PLACE, SET, change, demand_same, new_site
from tests.support.disaster import follow
from tests.support.holding import ENCRYPTING, HeldGpg, a_newer_file
from tests.support.processes import family
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backup.station.station import Station
    from tests.support.backups import Pairs, Site
    from tests.support.processes import Living
    from tests.support.swift import Swift

pytestmark = pytest.mark.timeout(300)

_CHOSEN = SetSettings(name=SET, host=HOST, target="store")
_NOISE = 400_000
_WAIT_SECONDS = 60.0


def _fill(data: Path) -> None:
    """Names that mean something to duplicity's patterns, that are no text, and folders nobody may write to."""
    for name in ("a[1]*?", "a1xx", "odd \udcff", "plain", "shut"):
        (data / name / "deep").mkdir(parents=True)
        (data / name / "deep" / "noise").write_bytes(os.urandom(_NOISE))
        (data / name / "words").write_text(f"{name!a}\n")
        if name != "shut":
            (data / name / "deep" / "left.out").write_text("not to be saved")
    (data / "plain" / "link").symlink_to("deep")
    (data / "empty").mkdir()
    (data / "shut" / "deep").chmod(0o555)
    (data / "shut").chmod(0o510)
    (data / "plain\n").write_text("an odd neighbour")


def _grow(data: Path) -> None:
    change(data / "a1xx" / "words", "changed\n")
    (data / "new" / "folder").mkdir(parents=True)
    (data / "new" / "folder" / "file").write_text("new\n")
    (data / "odd \udcff" / "deep" / "noise").rename(data / "plain" / "moved")


def _shrink(data: Path) -> None:
    for name in ("a[1]*?", "a1xx", "odd \udcff"):
        shutil.rmtree(data / name)
    (data / "plain" / "deep").chmod(0o700)


def _copy_but_for_what_is_left_out(data: Path, look: Path) -> None:
    subprocess.run(["cp", "-a", str(data), str(look)], check=True, timeout=60)
    for each in look.rglob("*.out"):
        status = each.parent.stat()
        each.unlink()
        os.utime(each.parent, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.fixture(scope="module")
def grown(pairs: Pairs) -> Iterator[Site]:
    """A full and two incrementals in two parts; how the data looked at each lies in `look-0` to `look-2`."""
    with new_site(pairs) as site:
        site.cut_into(2)
        with site.file("host").open("a") as file:
            file.write('paths.exclude = ["*.out"]\n')
        for number, step in enumerate((_fill, _grow, _shrink)):
            step(site.data)
            look = site.folder / f"look-{number}"
            _copy_but_for_what_is_left_out(site.data, look)
            record = site.run()
            assert (record.status, record.kind) == (Status.OK, Kind.INCREMENTAL if number else Kind.FULL)
        yield site


@pytest.fixture
def station(grown: Site) -> Iterator[Station]:
    with open_station(grown.settings("station"), _CHOSEN) as opened:
        yield opened


def _inside(site: Site, *names: str) -> PurePosixPath:
    return PurePosixPath(str(site.data)[1:], *names)


def _listed(site: Site) -> list[PurePosixPath]:
    """What the second part has."""
    ((*listed,),) = site.manifest()["consistency"]["parts"]
    return [PurePosixPath(path[1:]) for path in listed]


def _entries(top: Path) -> set[str]:
    return {str(path.relative_to(top)) for path in top.rglob("*")}


def test_every_point_comes_back_as_it_was(grown: Site, station: Station, tmp_path: Path) -> None:
    points = station.catalogue().points
    assert len(points) == 3
    for number, point in enumerate(points):
        made = restore(station, point, Wanted(path=None, to=tmp_path / str(number)))
        back = made.to / _inside(grown)
        assert fingerprint(back) == fingerprint(grown.folder / f"look-{number}")
        more = made.entries - (point.manifest.counts.entries - 1)  # the root itself is counted as one
        assert more >= 0 if number else more == 0, "what is left of what was listed may be counted once too few"


def test_everything_lies_in_exactly_one_part_but_for_the_folders_above(grown: Site, station: Station) -> None:
    points = station.catalogue().points
    with open_lists(station, runs_up_to(points, points[0])) as lists:
        found = [(each.path, each.part) for each in lists.changes(points[0].manifest)]
    twice = {path for path, part in found if part == "part-1"} & {path for path, part in found if part == "part-2"}
    assert twice == {str(each) for path in _listed(grown) for each in path.parents if each.name}
    there = {str(_inside(grown, each)) for each in _entries(grown.folder / "look-0")}
    assert {path for path, _ in found if path.startswith(f"{_inside(grown)}/")} == there
    by_part = {part: sum(each.size_bytes for each in points[0].manifest.volumes if each.part == part)
               for part in points[0].manifest.parts}  # fmt: skip
    assert min(by_part.values()) > 0.5 * max(by_part.values())


def test_one_path_needs_only_the_parts_it_lies_in(grown: Site, station: Station, tmp_path: Path) -> None:
    points = station.catalogue().points
    (listed, *_) = _listed(grown)
    wanted = Wanted(path=listed, to=tmp_path / "one")
    coming = forecast(station, points, points[0], wanted)
    assert {name.split("/")[-2] for name, _ in coming.fetched} == {"part-2"}
    assert coming.missing == ()
    made = restore(station, points[0], wanted)
    assert fingerprint(made.to) == fingerprint(grown.folder / "look-0" / listed.relative_to(_inside(grown)))

    whole = restore(station, points[0], Wanted(path=_inside(grown), to=tmp_path / "folder"))
    assert fingerprint(whole.to) == fingerprint(grown.folder / "look-0")


def test_browsing_sees_one_tree(grown: Site, station: Station) -> None:
    points = station.catalogue().points
    for number, point in enumerate(points):
        below = list_files(station, points, point, _inside(grown))
        there = {str(_inside(grown, each)) for each in _entries(grown.folder / f"look-{number}")}
        assert {each.path for each in below} == there | {str(_inside(grown))}
    differing = compare_points(station, points, points[0], points[1], _inside(grown))
    said = {(each.path.removeprefix(f"{_inside(grown)}/"), each.how) for each in differing if each.after or each.before}
    assert {("new/folder/file", "added"), ("plain/moved", "added"), ("a1xx/words", "changed")} <= said
    found = find_paths(station, points, points, pattern_of("noise"))
    assert {path: len(one) for path, (one,) in
            ((path, [each.points for each in versions]) for path, versions in found.versions.items())} == {
        str(_inside(grown, name, "deep", "noise")): number
        for name, number in (("a[1]*?", 2), ("a1xx", 2), ("odd \udcff", 1), ("plain", 3), ("shut", 3))
    }  # fmt: skip


def test_it_is_verified_proven_and_restored_by_hand(grown: Site, station: Station, tmp_path: Path) -> None:
    report = verify(station, Depth.DECRYPTED)
    assert (report.damages, report.strays, len(report.restorable)) == ((), (), 3)
    assert report.files == 3 * 2 * 2 + sum(1 for each in grown.chains.rglob("*.difftar.gpg"))
    with open_station(grown.settings("station"), _CHOSEN) as other:
        proof = drill(other)
    assert proof.status is Status.OK
    assert proof.evidence is not None
    assert proof.evidence.checks[0].looked_at == len(_entries(grown.folder / "look-2")) + len(_inside(grown).parts)

    with grown.ring("station") as ring:
        follow("parts by hand", tmp_path, CHAIN_FOLDER=grown.chains / grown.manifest()["chain"], **ring.environment())
    assert fingerprint(tmp_path / "by-hand" / _inside(grown)) == fingerprint(grown.folder / "look-2")


def test_damage_of_one_part_costs_the_points_that_need_it_and_a_full_follows(grown: Site, tmp_path: Path) -> None:
    store = shutil.copytree(grown.store, tmp_path / "store")
    (gone,) = store.rglob("part-2/duplicity-full.*.vol1.difftar.gpg")
    content = gone.read_bytes()
    gone.write_bytes(content[:-1000] + bytes(1000))
    restored = grown.bkp("station", "restore", f"{HOST}/{SET}", "--target", str(store), "--to", str(tmp_path / "back"))
    assert restored.returncode != 0
    assert f"{gone.relative_to(store)} is not what was sent" in restored.stderr
    gone.unlink()
    ended = grown.bkp("station", "verify", f"{HOST}/{SET}", "--target", str(store), "--json")
    (report,) = json.loads(ended.stdout)["sets"]
    assert ended.returncode == 53
    assert [each["name"] for each in report["damages"]] == [str(gone.relative_to(store))]
    assert len(report["lost"]) == 3


@pytest.mark.parametrize("which", [1, 2])
def test_a_part_without_one_of_its_runs_does_not_come_back_as_of_the_one_before(
    grown: Site, tmp_path: Path, which: int
) -> None:
    """duplicity restores the newest that it finds; the other parts would be of another moment."""
    store = shutil.copytree(grown.store, tmp_path / "store")
    runs = sorted(store.rglob("part-2/duplicity-inc.*.manifest.gpg"))
    gone = runs[which - 1]
    for each in gone.parent.glob(gone.name.replace("manifest.gpg", "*")):
        each.unlink()
    back = tmp_path / "back"
    ended = grown.bkp("station", "restore", f"{HOST}/{SET}", "--target", str(store), "--to", str(back))
    assert ended.returncode == ObjectMissing.exit_code, ended.stderr
    assert gone.name.split(".to.")[0] in ended.stderr
    assert not back.exists()


@pytest.fixture
def site(pairs: Pairs) -> Iterator[Site]:
    """A site in two parts that has saved nothing."""
    with new_site(pairs) as made:
        made.cut_into(2)
        _fill(made.data)
        yield made


@contextmanager
def _begun(site: Site) -> Iterator[subprocess.Popen[bytes]]:
    """Begin a run whose parts both wait once one of them has sent something, until the block ends."""
    with (
        (site.folder / "told").open("wb") as told,
        HeldGpg(site.folder, ENCRYPTING, since=a_newer_file(site.chains, "*.vol*")) as held,
    ):
        run = subprocess.Popen(
            site.command("host", "run", SET, "--json"), cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=told,
            stderr=subprocess.STDOUT, start_new_session=True, env=held.environment,
        )  # fmt: skip
        wait_until(
            lambda: run.poll() is not None or (held.is_held and len(_duplicities(run)) == 2),
            _WAIT_SECONDS,
            "two duplicities that send",
        )
        assert run.poll() is None, (site.folder / "told").read_text()
        yield run


def _duplicities(run: subprocess.Popen[bytes]) -> list[Living]:
    return [each for each in family([run.pid]) if "--name=part-" in each.command and "--log-fd" in each.command]


def _demand_ended(everybody: set[Living]) -> None:
    """Nothing that a run had started outlives it; but who is held needs a look to see that nobody wants it."""
    held = {each for each in everybody if "held-gpg" in each.command or each.command.startswith("sleep ")}
    assert not any(each.is_there for each in everybody - held)
    _wait_for_the_end_of(held)


def _wait_for_the_end_of(everybody: set[Living]) -> None:
    wait_until(lambda: not any(each.is_there for each in everybody), _WAIT_SECONDS, "the end of all it started")


def _slow(site: Site) -> None:
    for name in ("plain", "a1xx"):
        (site.data / name / "more").write_bytes(os.urandom(12 << 20))


def test_however_a_run_is_broken_off_nothing_counts_and_the_next_is_good(site: Site) -> None:
    _slow(site)
    with _begun(site) as run:
        one, *_ = _duplicities(run)
        everybody = family([run.pid])
        (part,) = [each for each in ("part-1", "part-2") if f"--name={each}" in one.command]
        os.kill(one.pid, signal.SIGKILL)
        assert run.wait(_WAIT_SECONDS) == EngineFailed.exit_code
        _demand_ended(everybody)
    what = "what is in no other part" if part == "part-1" else repr(str(site.data))[:-1]
    assert f"saving set {SET!r} ({part} of 2: {what}" in (site.folder / "told").read_text()
    assert site.state()["last_run"]["status"] == "failed"

    with _begun(site) as run:
        everybody = family([run.pid])
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        _wait_for_the_end_of(everybody)

    with _begun(site) as run:
        everybody = family([run.pid])
        assert site.bkp("host", "cancel", SET).returncode == 0
        run.wait(_WAIT_SECONDS)
        _demand_ended(everybody)
    assert site.state()["last_run"]["status"] == "cancelled"
    assert not list(site.store.rglob("duplicity-*"))
    assert not list(site.chains.rglob("part-*/*")), "what was taken back left folders"

    for each in site.data.rglob("more"):
        each.unlink()
    assert site.run().kind is Kind.FULL
    assert len(list(site.points.iterdir())) == 1


def test_another_number_of_parts_or_other_paths_begin_a_new_full_and_say_so(site: Site) -> None:
    assert site.run().kind is Kind.FULL
    site.cut_into(1)
    record = site.run()
    assert (record.kind, record.reason) == (Kind.FULL, "side_by_side is 1 now, the chain before was begun with 2")
    assert site.manifest()["form"] == "watchkeep-backup-1"
    assert not list((site.chains / str(record.chain)).glob("part-*"))
    site.cut_into(2)
    assert site.run().kind is Kind.FULL
    file = site.file("host")
    file.write_text(file.read_text().replace(f'"{site.data}"', f'"{site.data}", "/etc/hostname"'))
    assert site.run().reason == "paths.roots are others, and the chain before is cut into parts by them"

    chains = sorted(each.name for each in site.chains.iterdir())
    stray = site.chains / chains[-2] / "part-2" / "duplicity-full.20200101T000000Z.vol1.difftar.gpg"
    stray.write_bytes(b"left by a run that was killed")
    os.utime(stray, (0, 0))
    site.add_pruner('retention.keep_chains = 1\ngrace = "0s"\nstrays_after = "1d"')
    done = site.prune("--yes")
    assert done[-1]["chains_deleted"] == 3
    assert [each.name for each in site.chains.iterdir()] == chains[-1:]


def test_two_targets_hold_the_same_parts(pairs: Pairs, swift: Swift) -> None:
    with new_site(pairs) as site:
        site.cut_into(2)
        _fill(site.data)
        container = swift.new_container()
        for role in ("host", "station"):
            (site.folder / role / "swift.key").write_text(swift.key)
            text = site.file(role).read_text().replace('target = "store"\n', 'target = "cloud"\nalso = ["store"]\n')
            site.file(role).write_text(
                f'{text}[[targets]]\nname = "cloud"\nkind = "swift"\nauth_url = "{swift.auth_url}"\nuser ='
                f' "{swift.user}"\nkey_file = "swift.key"\ncontainer = "{container}"\n'
            )
        record = site.run()
        assert (record.status, record.missing_at) == (Status.OK, ())
        for name in ("cloud", "store"):
            with open_station(site.settings("station"), replace(_CHOSEN, target=name)) as station:
                made = restore(
                    station, station.catalogue().newest(), Wanted(path=None, to=site.folder / f"back-{name}")
                )
            demand_same(made.to / _inside(site), site.data)


def test_what_cannot_be_cut_is_refused(site: Site) -> None:
    file = site.file("host")
    text = file.read_text()
    file.write_text(text.replace(f'paths.roots = ["{site.data}"]', 'postgresql.database = "shop"'))
    with pytest.raises(ConfigInvalid, match=r"sets\[0\].*side_by_side: only what .*sets.paths"):
        site.settings()
    file.write_text(text.replace("side_by_side = 2", "side_by_side = 17"))
    with pytest.raises(ConfigInvalid, match="side_by_side: expected at most 16, found 17"):
        site.settings()
    assert PLACE.part("20261121T041600Z", "part-2").endswith("/chains/20261121T041600Z/part-2")
