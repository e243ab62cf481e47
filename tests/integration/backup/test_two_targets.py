"""Two targets of one set: the same restore points at both, and what becomes of them when one is away."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from swiftclient import client

from backup.command.__main__ import cli
from backup.errors import ConfigInvalid, ObjectMissing, TargetAway, TargetDiffers, TargetFull
from backup.model import Kind, Status
from backup.targets.disk_mark import MARK
from tests.support.backups import CHECKOUT, HOST, PLACE, SET, change, demand_same, fill, new_site
from tests.support.faulty_swift import FaultySwift
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

    from tests.support.backups import Pairs, Site
    from tests.support.faulty_swift import Fault
    from tests.support.swift import Swift

_LIES: tuple[Fault, ...] = ("lost put", "cut put")


@pytest.fixture
def twice(pairs: Pairs) -> Iterator[Site]:
    """A site whose set goes to the folders `store` and `second`."""
    with new_site(pairs) as site:
        fill(site.data)
        _add_second(site, f'kind = "folder"\nfolder = "{site.folder / "second"}"')
        yield site


def _add_second(site: Site, target: str) -> None:
    for role in ("host", "station"):
        file = site.file(role)
        text = file.read_text().replace('target = "store"\n', 'target = "store"\nalso = ["second"]\n')
        file.write_text(text + f'[[targets]]\nname = "second"\n{target}\n')


@contextmanager
def _away(site: Site, name: str) -> Iterator[None]:
    """Unmount a target's disk."""
    place = site.folder / name
    place.rename(place.with_name(f"{name}.away"))
    place.symlink_to(place / "nowhere")
    try:
        yield
    finally:
        place.unlink()
        place.with_name(f"{name}.away").rename(place)


def _points(site: Site, name: str) -> list[str]:
    listed = site.bkp("station", "list", SET, "--target", name, "--json")
    assert listed.returncode == 0, listed.stderr
    return sorted(point["at"] for point in json.loads(listed.stdout)["points"] if point["broken"] is None)


def _demand_restorable(site: Site, name: str) -> None:
    back = site.folder / f"back-{name}"
    restored = site.bkp("station", "restore", SET, "--target", name, "--to", str(back))
    assert restored.returncode == 0, restored.stderr
    demand_same(back / str(site.data)[1:], site.data)


def _files(top: Path) -> dict[str, bytes]:
    """Return everything at a target but the mark of its disk."""
    files = (path for path in top.rglob("*") if path.is_file() and path.name != MARK)
    return {str(path.relative_to(top)): path.read_bytes() for path in files}


def test_both_hold_the_same_files_and_each_restores_by_itself(twice: Site) -> None:
    twice.run()
    change(twice.data / "empty", "no more")
    record = twice.run()
    assert (record.kind, record.status, record.missing_at) == (Kind.INCREMENTAL, Status.OK, ())
    assert _files(twice.store) == _files(twice.folder / "second")
    verified = twice.bkp("station", "verify", SET, "--json")
    assert [each["set"] for each in json.loads(verified.stdout)["sets"]] == [
        f"{HOST}/{SET} at store",
        f"{HOST}/{SET} at second",
    ]
    _demand_restorable(twice, "second")


def test_one_that_is_away_fails_the_run_and_the_other_copy_is_whole_and_counts(twice: Site) -> None:
    twice.run()
    change(twice.data / "empty", "while one was away")
    with _away(twice, "second"), pytest.raises(TargetAway, match="whole at 'store', but missing at 'second'"):
        twice.run()
    last = twice.state()["last_run"]
    assert (last["status"], last["exit_code"], last["missing_at"]) == ("failed", TargetAway.exit_code, ["second"])
    assert (len(_points(twice, "store")), len(_points(twice, "second"))) == (2, 1)
    _demand_restorable(twice, "store")


def test_one_that_lost_its_points_gets_the_chain_again_and_that_is_told(twice: Site) -> None:
    twice.run()
    for each in ("points", "chains"):
        shutil.rmtree(twice.folder / "second" / HOST / SET / each)
    assert twice.run().kind is Kind.INCREMENTAL
    assert _files(twice.store) == _files(twice.folder / "second")
    assert (
        "1 restore point had vanished from target 'second'; it got all of them again from the other target"
        in (twice.state()["reminders"])
    )
    assert twice.state()["vanished"] == []


def test_the_first_being_away_the_chain_goes_on_at_the_second_and_the_first_gets_it_later(twice: Site) -> None:
    twice.run()
    change(twice.data / "empty", "while the first was away")
    with _away(twice, "store"):
        with pytest.raises(TargetAway, match="whole at 'second', but missing at 'store'"):
            twice.run()
        assert twice.state()["last_run"]["kind"] == "incremental"
        back = twice.folder / "back"
        restored = twice.bkp("station", "restore", SET, "--to", str(back))
        assert restored.returncode == 0, restored.stderr
        assert "read from target 'second'" in restored.stderr
        listed = twice.bkp("station", "list", "--json")
        (row,) = json.loads(listed.stdout)["sets"]
        assert (listed.returncode, len(row["points"])) == (TargetAway.exit_code, 2)
        verified = twice.bkp("station", "verify", "--json")
        assert verified.returncode == TargetAway.exit_code
        assert [each["set"] for each in json.loads(verified.stdout)["sets"]] == [f"{HOST}/{SET} at second"]
        demand_same(back / str(twice.data)[1:], twice.data)
    newest = twice.bkp("station", "restore", SET, "--to", str(twice.folder / "newest"))
    assert newest.returncode == 0, newest.stderr  # the first is back, and behind: the second's is newer
    demand_same(twice.folder / "newest" / str(twice.data)[1:], twice.data)
    change(twice.data / "empty", "both are there")
    assert twice.run().kind is Kind.INCREMENTAL
    assert len(_points(twice, "store")) == 3
    assert _files(twice.store) == _files(twice.folder / "second")
    journal = [json.loads(file.read_text()) for file in (twice.folder / "host/work" / SET / "runs").iterdir()]
    assert {(each["status"], tuple(each["missing_at"])) for each in journal} == {("ok", ())}
    _demand_restorable(twice, "store")


def test_a_chain_never_forks_when_the_targets_are_away_in_turns(twice: Site) -> None:
    twice.run()
    change(twice.data / "empty", "at the first alone")
    with _away(twice, "second"), pytest.raises(TargetAway):
        twice.run()
    change(twice.data / "empty", "at the second alone")
    with _away(twice, "store"), pytest.raises(TargetAway):
        twice.run()
    assert twice.state()["last_run"]["kind"] == "full"
    assert "may be at 'store'" in twice.state()["last_run"]["reason"]
    change(twice.data / "empty", "at both")
    assert twice.run().status is Status.OK
    assert set(_points(twice, "second")) < set(_points(twice, "store"))
    for name in ("store", "second"):
        assert twice.bkp("station", "verify", SET, "--target", name, "--depth", "read").returncode == 0
        _demand_restorable(twice, name)


def test_damage_at_either_begins_a_new_chain_at_both(twice: Site) -> None:
    twice.run()
    volume = next((twice.folder / "second" / PLACE.chains).glob("*/*.vol1.difftar.gpg"))
    volume.unlink()
    record = twice.run()
    assert (record.kind, record.status) == (Kind.FULL, Status.OK)
    assert "damaged" in (record.reason or "")
    _demand_restorable(twice, "second")


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_a_restore_goes_on_at_the_other_copy_whatever_of_the_first_is_damaged(twice: Site) -> None:
    twice.run()
    for part in (".manifest.gpg", ".vol2.difftar.gpg"):
        (damaged,) = (twice.store / PLACE.chains).glob(f"*/*{part}")
        whole = damaged.read_bytes()
        _flip(damaged)
        back = twice.folder / f"back{part}"
        restored = twice.bkp("station", "restore", SET, "--to", str(back))
        assert restored.returncode == 0, restored.stderr
        assert "begins anew at target 'second'" in restored.stderr
        assert "all of it came from target 'second'" in restored.stderr
        demand_same(back / str(twice.data)[1:], twice.data)
        damaged.write_bytes(whole)


def _called(site: Site, *arguments: str, role: str = "station") -> Result:
    return CliRunner().invoke(cli, [*arguments, "--config", str(site.file(role))])


def test_looking_goes_on_at_the_other_copy_too(twice: Site, caplog: pytest.LogCaptureFixture) -> None:
    twice.run()
    dry_run = ("restore", SET, "--to", str(twice.folder / "back"), "--dry-run")
    (damaged,) = (twice.store / PLACE.chains).glob("*/*sigtar.gpg")
    whole = damaged.read_bytes()
    _flip(damaged)
    for command in (("ls", SET, "-r"), ("diff", SET, "now", "/"), ("find", "noise", "--set", SET), dry_run):
        shown = _called(twice, *command)
        assert shown.exit_code == 0, (command, shown.output)
        assert "begins anew at target 'second'" in caplog.text, command
        caplog.clear()
        assert ("nothing differs" if command[0] == "diff" else "noise" if command[0] != "restore" else "3 files") in (
            shown.stdout
        )
        (note,) = (twice.store / HOST / SET / "damage").iterdir()
        assert "That is target store's copy. A restore goes on at second" in _called(twice, "list", SET).stdout
        note.unlink()
    damaged.write_bytes(whole)
    volumes = [next((top / PLACE.chains).glob("*/*vol2.difftar.gpg")) for top in (twice.store, twice.folder / "second")]
    volumes[0].unlink()
    assert _called(twice, *dry_run).exit_code == 0
    volumes[1].unlink()
    nowhere = _called(twice, *dry_run)
    assert nowhere.exit_code == ObjectMissing.exit_code
    assert "MISSING" in nowhere.stdout
    with _away(twice, "store"):
        assert _called(twice, "ls", SET).exit_code == 0


def test_a_drill_proves_the_other_copy_and_notes_the_damage_where_it_is(twice: Site) -> None:
    twice.run()
    _flip(next((twice.store / PLACE.chains).glob("*/*vol2.difftar.gpg")))
    drilled = twice.bkp("station", "drill", SET)
    assert drilled.returncode == 0, drilled.stderr
    assert "begins anew at target 'second'" in drilled.stderr
    state = json.loads((twice.folder / "station/state/drills" / HOST / f"{SET}.json").read_text())
    assert (state["last_drill"]["status"], state["last_drill"]["error"]) == ("ok", None)
    (note,) = (twice.store / HOST / SET / "damage").iterdir()
    assert "vol2.difftar.gpg is not what was sent" in note.read_text()
    assert not (twice.folder / "second" / HOST / SET / "damage").exists()
    assert twice.run().kind is Kind.FULL


@pytest.mark.parametrize("is_other_there", [True, False])
def test_a_target_lost_in_the_middle_of_a_restore_is_left_for_the_other(twice: Site, is_other_there: bool) -> None:
    twice.run()
    (hanging,) = (twice.store / PLACE.chains).glob("*/*vol2.difftar.gpg")
    hanging.unlink()
    os.mkfifo(hanging)  # a disk that does not answer any more, and then is gone
    back = twice.folder / "back"
    with subprocess.Popen(
        twice.command("station", "restore", SET, "--to", str(back)), cwd=CHECKOUT, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as restoring:  # fmt: skip
        pipe = -1

        def is_read() -> bool:
            nonlocal pipe
            try:
                pipe = os.open(hanging, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                return False
            return True

        wait_until(is_read, 60, "the second volume being read")
        assert list(twice.folder.glob(".bkp-restoring-*/restored"))
        with _away(twice, "store"):
            if not is_other_there:
                (twice.folder / "second").rename(twice.folder / "gone")
                (twice.folder / "second").symlink_to("/nowhere")
            os.close(pipe)
            _, errors = restoring.communicate(timeout=60)
    if is_other_there:
        assert restoring.returncode == 0, errors
        assert "begins anew at target 'second'" in errors
        demand_same(back / str(twice.data)[1:], twice.data)
    else:
        assert restoring.returncode == TargetAway.exit_code, errors
        assert "at target 'store': " in errors
        assert "; at target 'second': " in errors
        assert not back.exists()
    assert not list(twice.folder.glob(".bkp-restoring-*"))


def test_an_older_copy_is_never_taken_for_the_newest(twice: Site) -> None:
    twice.run()
    change(twice.data / "empty", "only at the first")
    with _away(twice, "second"), pytest.raises(TargetAway):
        twice.run()
    newest = max((twice.store / PLACE.chains).glob("*/*inc*.vol1.difftar.gpg"))
    newest.unlink()
    restored = twice.bkp("station", "restore", SET, "--to", str(twice.folder / "back"))
    assert restored.returncode == ObjectMissing.exit_code
    assert "its newest is" in restored.stderr
    assert not (twice.folder / "back").exists()


@pytest.mark.trial("B-2")
def test_a_second_that_loses_what_it_took_is_never_called_whole(pairs: Pairs, swift: Swift) -> None:
    with FaultySwift(swift).running() as faulty, new_site(pairs) as site:
        fill(site.data)
        _add_second(
            site,
            f'kind = "swift"\nauth_url = "{faulty.auth_url}"\nuser = "{swift.user}"\nkey_file = "swift.key"\n'
            f'container = "{swift.new_container()}"\ntimeout = "60s"',
        )
        for role in ("host", "station"):
            (site.folder / role / "swift.key").write_text(swift.key)
        faulty.path_part = "vol2.difftar"
        for faulty.fault in _LIES:
            with pytest.raises((ObjectMissing, TargetDiffers), match="missing at 'second'"):
                site.run()
        faulty.fault = "none"
        assert site.run().status is Status.OK
        _demand_restorable(site, "second")


def test_a_second_without_room_fails_the_run_with_its_own_code_and_the_first_goes_on(
    pairs: Pairs, swift: Swift
) -> None:
    container = swift.new_container()
    owner = client.Connection(authurl=swift.auth_url, user=swift.user, key=swift.key, auth_version="1", retries=0)
    owner.put_container(container, headers={"X-Container-Meta-Quota-Bytes": "1000"})
    with new_site(pairs) as site:
        fill(site.data)
        _add_second(
            site,
            f'kind = "swift"\nauth_url = "{swift.auth_url}"\nuser = "{swift.user}"\nkey_file = "swift.key"\n'
            f'container = "{container}"\ntimeout = "60s"',
        )
        (site.folder / "host" / "swift.key").write_text(swift.key)
        for is_full in (False, True):  # the first is refused while it is sent, the second does not try
            with pytest.raises(TargetFull, match="whole at 'store', but missing at 'second'"):
                site.run(is_full_asked=is_full)
        assert site.state()["restore_points"] == 2


def test_a_hold_at_one_holds_at_both_until_it_is_lifted_and_each_is_pruned(twice: Site) -> None:
    twice.add_pruner(
        'retention.keep_chains = 1\ngrace = "0s"',
        more=f'[[targets]]\nname = "second"\nkind = "folder"\nfolder = "{twice.folder / "second"}"\n'
        f'[[sets]]\nname = "{SET}"\nhost = "{HOST}"\ntarget = "store"\nalso = ["second"]\n',
    )
    twice.run()
    change(twice.data / "empty", "second")
    twice.run(is_full_asked=True)
    places = [twice.store, twice.folder / "second"]
    adding = ("hold", "add", f"{HOST}/{SET}", "--reason", "audit", "--name", "audit")
    with _away(twice, "second"):
        for _ in range(2):
            added = _called(twice, *adding, role="host")  # which keeps no register
            assert added.exit_code == 57, added.output
        assert "every chain of web1/files stays at store" in added.stdout
        assert "is not set at target 'second': " in added.stderr
    with _away(twice, "store"):
        end = twice.prune("--yes", exit_code=TargetAway.exit_code)[-1]
        assert (end["chains_deleted"], f"{HOST}/{SET}" in end["failed"]) == (0, True)
    lines = twice.prune("--yes")
    assert lines[-1]["chains_deleted"] == 0
    assert any("missing at second" in line["text"] for line in lines if line["event"] == "note")
    assert "missing at second" in _called(twice, "hold", "list", role="host").stderr
    assert _called(twice, *adding, role="pruner").exit_code == 0
    assert _called(twice, *adding, role="pruner").exit_code == ConfigInvalid.exit_code
    assert all((place / HOST / SET / "holds" / "audit.json").exists() for place in places)
    assert twice.prune("--yes")[-1]["chains_deleted"] == 0
    lifted = twice.bkp("pruner", "hold", "remove", f"{HOST}/{SET}", "audit")
    assert lifted.returncode == 0, lifted.stderr
    assert not any((place / HOST / SET / "holds" / "audit.json").exists() for place in places)
    assert twice.prune("--yes")[-1]["chains_deleted"] == 2
    assert _files(twice.store) == _files(twice.folder / "second")


def test_an_older_run_under_the_newest_ones_names_is_no_restore_point(twice: Site) -> None:
    """Whoever may write at a target needs no key for that: each of the files is as its host encrypted and signed it."""
    twice.run()
    change(twice.data / "empty", "newest")
    twice.run(is_full_asked=True)
    old, new = sorted((twice.store / PLACE.chains).iterdir())
    whole = twice.folder / "whole"
    new.rename(whole)
    new.mkdir()
    before, now = (next(each.glob("*.manifest.gpg")).name.split(".")[1] for each in (old, whole))
    for each in old.iterdir():
        shutil.copy(each, new / each.name.replace(before, now))
    restored = twice.bkp("station", "restore", SET, "--to", str(twice.folder / "back"))
    assert restored.returncode == 0, restored.stderr
    assert "begins anew at target 'second'" in restored.stderr
    demand_same(twice.folder / "back" / str(twice.data)[1:], twice.data)
    (note,) = (twice.store / HOST / SET / "damage").iterdir()
    assert "is of another run" in note.read_text()
    alone = twice.bkp("station", "restore", SET, "--target", "store", "--to", str(twice.folder / "alone"))
    assert alone.returncode == TargetDiffers.exit_code
    assert not (twice.folder / "alone").exists()
    note.unlink()
    shutil.rmtree(new)
    whole.rename(new)
    shutil.copy(next(old.glob("*.sigtar.gpg")), next(new.glob("*.sigtar.gpg")))
    drilled = twice.bkp("station", "drill", SET)
    assert drilled.returncode == 0, drilled.stderr
    assert "begins anew at target 'second'" in drilled.stderr
