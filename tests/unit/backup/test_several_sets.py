"""Commands that take any number of sets name them alike, and end with the worst that happened to one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from backup.command.__main__ import cli
from backup.errors import (
    BackupDamaged,
    DrillFailed,
    KeyMissing,
    NoRun,
    SetBusy,
    SourceFailed,
    TargetAway,
    TargetRefused,
    worst,
)
from tests.support.backup_toml import SMALLEST

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result

    from backup.errors import BackupError

MORE = '[[sets]]\nname = "more"\ntarget = "store"\npaths.roots = ["/etc/ssl"]\n'
ELSEWHERE = '[[sets]]\nname = "theirs"\nhost = "db1"\ntarget = "store"\n'


@pytest.fixture
def call(tmp_path: Path) -> Callable[..., Result]:
    """Call `bkp` at the host of the sets files and more, which has no keys; set theirs is another's."""
    file = tmp_path / "backup.toml"
    file.write_text(SMALLEST + MORE + ELSEWHERE)
    return lambda *words, **more: CliRunner().invoke(cli, [*words, "--config", str(file)], **more)


@pytest.mark.parametrize(
    ("happened", "code"),
    [
        ((), 0),
        ((TargetAway, SetBusy), 20),
        ((TargetAway, TargetRefused), 21),
        ((SourceFailed, KeyMissing), 30),
        ((KeyMissing, TargetAway, DrillFailed, BackupDamaged), 54),
    ],
)
def test_of_several_exit_codes_the_worst_is_what_says_that_a_backup_is_not_good(
    happened: tuple[type[BackupError], ...], code: int
) -> None:
    assert worst([0, *(each.exit_code for each in happened), 0]) == code


@pytest.mark.parametrize("command", ["run", "verify", "drill", "status", "list", "prune", "predict", "hold list"])
def test_what_takes_several_sets_says_so_in_the_same_words(command: str) -> None:
    shown = CliRunner().invoke(cli, [*command.split(), "--help"]).stdout
    assert f"Usage: cli {command} [OPTIONS] [SETS]...\n" in shown
    assert "SETS" in shown.partition("\n")[2]


def test_a_run_without_a_set_names_those_there_are_and_how_all_are_saved(call: Callable[..., Result]) -> None:
    asked = call("run")
    assert asked.exit_code == 2
    assert "--all. There are: files, more\n" in asked.stderr
    assert call("run", "files", "--all").exit_code == 2


def test_a_set_that_is_not_there_is_named_before_any_is_saved(call: Callable[..., Result], tmp_path: Path) -> None:
    refused = call("run", "files", "moer")
    assert (refused.exit_code, "there is no backup set 'moer'" in refused.stderr) == (3, True)
    assert not (tmp_path / "state").exists()


def test_each_set_is_tried_though_one_before_failed_and_every_line_says_of_which_it_is(
    call: Callable[..., Result],
) -> None:
    told = call("run", "--all", "--json")
    assert told.exit_code == KeyMissing.exit_code
    lines = [json.loads(line) for line in told.stdout.splitlines()]
    assert [line["set"] for line in lines if "error" in line] == ["files", "more"]
    assert {line["set"] for line in lines} == {"files", "more"}
    assert "2 of 2 sets failed: files, more" in told.stderr
    once = call("run", "files", "web1/files")
    assert once.stderr.count("bkp: ") == 1


def test_a_set_that_is_said_twice_or_with_its_host_is_one(call: Callable[..., Result], tmp_path: Path) -> None:
    unheard = call("cancel", "web1/files")
    assert (unheard.exit_code, "no run of set 'files'" in unheard.stderr) == (NoRun.exit_code, True)
    (tmp_path / "store").mkdir()
    assert call("hold", "add", "files", "--reason", "case").exit_code == 0
    assert len(json.loads(call("hold", "list", "files", "web1/files", "--json").stdout)["holds"]) == 1


def test_the_status_of_some_sets_is_of_these_alone(call: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "more.json").write_text(json.dumps({"last_run": {"status": "ok"}}))
    assert call("status").exit_code == 1
    shown = call("status", "more", "--json")
    assert (shown.exit_code, [row["set"] for row in json.loads(shown.stdout)["sets"]]) == (0, ["more"])
    unknown = call("status", "more", "web2/more")
    assert (unknown.exit_code, "known: web1/files, web1/more, db1/theirs" in unknown.stderr) == (3, True)


def test_a_name_is_offered_once_and_of_sets_of_the_configuration_where_no_other_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[..., Result]
) -> None:
    del call  # it wrote the configuration
    points = tmp_path / "store" / "db2" / "old" / "points"
    points.mkdir(parents=True)
    (points / "20261120T170000Z.json.asc").touch()
    monkeypatch.chdir(tmp_path)

    def offered(words: str) -> list[str]:
        environment = {
            "_BKP_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        }
        return CliRunner().invoke(cli, prog_name="bkp", env=environment).output.replace("plain,", "").split()

    assert offered("bkp run ") == ["files", "more", "theirs"]
    assert offered("bkp drill ") == ["db2/old", "files", "more", "theirs"]
    assert offered("bkp drill files ") == ["db2/old", "more", "theirs"]
