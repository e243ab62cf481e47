"""Commands that go through all sets go on while a target is away: it is named once, and the exit code tells."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from backup.command.__main__ import cli
from backup.errors import TargetAway
from tests.support.backup_site import backup_site, bkp, bkp_ok

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result

    from tests.support.backup_site import BackupSite


@pytest.fixture(scope="module")
def half() -> Iterator[BackupSite]:
    """A site whose set `far` is at a disk that is away, and needs an old key; `near` and a copy of it are not."""
    with backup_site() as site:
        for name in ("near", "far"):
            site.add_folder_target(name)
            (site.folder / name).mkdir()
            (site.folder / name / "words").write_text(name)
            site.add_paths_set(name, name, [site.folder / name])
        site.write()
        bkp_ok("run", "far", config=site.host)
        bkp_ok("key", "rotate", "station", config=site.station)
        (site.folder / "new.asc").write_text(bkp("key", "export", "station", config=site.station).output)
        bkp_ok("key", "import", str(site.folder / "new.asc"), config=site.host)
        bkp_ok("run", "near", config=site.host)
        place = site.folder / "target-far"
        place.rename(site.folder / "unmounted")
        place.symlink_to(place / "nowhere")
        yield site


def called(site: BackupSite, *arguments: str) -> Result:
    return CliRunner().invoke(cli, [*arguments, "--config", str(site.station)])


@pytest.mark.parametrize(
    "command", ["list", "sets", "find words", "verify", "predict", "drill", "hold list", "key retire"]
)
def test_what_answers_is_read_and_what_is_away_named_once(half: BackupSite, command: str) -> None:
    shown = called(half, *command.split())
    assert shown.exit_code == TargetAway.exit_code, shown.output
    assert shown.stderr.count("nowhere") + shown.stderr.count("target-far") == 1, shown.stderr
    assert "target 'far' cannot be read" in shown.stderr
    assert ("no hold" if command == "hold list" else "near") in shown.stdout
    document = json.loads(called(half, *command.split(), "--json").stdout)
    assert [(each["target"], each["exit_code"]) for each in document["unread"]] == [("far", TargetAway.exit_code)]


def test_no_key_is_let_go_while_a_target_that_may_need_it_is_away(half: BackupSite) -> None:
    keys = json.loads(called(half, "key", "retire", "--json").stdout)["keys"]
    (old,) = [key["fingerprint"] for key in keys if key["name"].startswith("safe") and not key["needed_by"]]
    refused = called(half, "key", "retire", old, "--yes")
    assert refused.exit_code == TargetAway.exit_code, refused.output
    assert "it stays" in refused.stderr
    assert old in called(half, "key", "list").stdout


def test_what_is_configured_is_named_with_the_target_that_is_away_and_not_asked_for_there(half: BackupSite) -> None:
    text = half.station.read_text()
    half.station.write_text(f'{text}[[sets]]\nname = "far"\nhost = "web1"\ntarget = "far"\n')
    try:
        listed = called(half, "list")
        assert "target 'far' cannot be read, nor web1/far: " in listed.stderr
        assert "not known" in listed.stdout
        drilled = called(half, "drill")
        assert "web1/far: NOT proven: its target is away" in drilled.stderr
        assert drilled.exit_code == TargetAway.exit_code
        half.station.write_text(half.station.read_text().replace("target-near", "target-far"))
        for command in (["list"], ["find", "words"], ["verify"]):
            nothing = called(half, *command)
            assert nothing.exit_code == TargetAway.exit_code
            assert "none of the targets can be read: near: " in nothing.stderr
        assert "web1" in called(half, "sets").stdout  # what the configuration says, no target is needed for
    finally:
        half.station.write_text(text)


def test_of_several_sets_that_are_named_those_that_can_be_are_saved_listed_verified_and_proven(
    half: BackupSite,
) -> None:
    ran = bkp("run", "--all", "--json", config=half.host)
    assert ran.exit_code == TargetAway.exit_code, ran.errors
    ended = {line["set"]: line for line in map(json.loads, ran.output.splitlines()) if "phase" not in line}
    assert (ended["near"]["status"], ended["far"]["error"]["exit_code"]) == ("ok", TargetAway.exit_code)
    text = half.station.read_text()
    sets = "".join(f'[[sets]]\nname = "{name}"\nhost = "web1"\ntarget = "{name}"\n' for name in ("far", "near"))
    half.station.write_text(text + sets)
    try:
        for command in ("list", "verify", "drill"):
            told = called(half, command, "far", "near")
            assert told.exit_code == TargetAway.exit_code, told.output
            assert "web1/near" in told.stdout
            assert "web1/far" in told.stderr
        found = json.loads(called(half, "list", "far", "near", "--json").stdout)
        assert [(each["set"], len(each["points"])) for each in found["sets"]] == [("near", 2)]
        assert [(each["set"], each["exit_code"]) for each in found["unread"]] == [("web1/far", TargetAway.exit_code)]
    finally:
        half.station.write_text(text)
