"""What `bkp` promises on the command line before anything is done."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from backup.command.__main__ import COMMANDS, cli
from backup.command.options import DATA_VARIABLE, VARIABLE, set_of
from backup.errors import ConfigInvalid, exit_codes
from backup.settings.backup_set import SetSettings
from backup.settings.document import BackupSettings
from backup.settings.source import CommandSettings
from backup.settings.target import TargetSettings
from core.model.counting import counted, counted_of
from tests.support.backup_toml import SMALLEST

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CliRunner:
    """Somebody on a machine that has no configuration at any place."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    return CliRunner()


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself_with_examples(runner: CliRunner, name: str) -> None:
    shown = runner.invoke(cli, [name, "--help"])
    assert shown.exit_code == 0
    assert f"bkp {name}" in shown.output or "bkp completion" in shown.output


def test_nothing_is_made_that_others_may_change_whatever_the_umask(tmp_path: Path) -> None:
    (tmp_path / "backup.toml").write_text(SMALLEST)
    command = [sys.executable, "-m", "backup.command", "run", "files", "--config", str(tmp_path / "backup.toml")]
    done = subprocess.run(command, umask=0, capture_output=True, check=False, timeout=300)
    assert done.returncode == 10, done.stderr  # it has no keys, and says so where others look
    made = [each for each in tmp_path.rglob("*") if each.name != "backup.toml"]
    assert {"state", "files.json"} <= {each.name for each in made}
    assert [each for each in made if each.stat().st_mode & 0o022] == []


def test_help_lists_every_command(runner: CliRunner) -> None:
    shown = runner.invoke(cli, ["--help"]).output
    assert all(f"\n  {name}" in shown for name in COMMANDS)


def test_the_sample_is_a_configuration_and_has_every_setting(runner: CliRunner) -> None:
    sample = runner.invoke(cli, ["sample"]).output
    assert tomllib.loads(sample) == {"host": "web1"}
    every = "\n".join(line.removeprefix("# ") for line in sample.splitlines())
    assert all(f"\n{name} = " in every for name in ("catch_up", "keep_weekly", "max_block_size", "option_file"))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_completion(runner: CliRunner, shell: str) -> None:
    assert "_BKP_COMPLETE" in runner.invoke(cli, ["completion", shell]).output


def test_words_are_completed_without_importing_a_command(runner: CliRunner) -> None:
    completed = runner.invoke(
        cli, prog_name="bkp", env={"_BKP_COMPLETE": "bash_complete", "COMP_WORDS": "bkp re", "COMP_CWORD": "1"}
    )
    assert "restore" in completed.output


def _completed(runner: CliRunner, words: str) -> str:
    return runner.invoke(
        cli, prog_name="bkp",
        env={"_BKP_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)},
    ).output  # fmt: skip


def test_sets_and_restore_points_are_completed_and_trouble_offers_nothing(runner: CliRunner, tmp_path: Path) -> None:
    for point in ("20261120T170000Z", "20261121T170000Z"):
        for host in ("web1", "db1"):
            file = tmp_path / "store" / host / "files" / "points" / f"{point}.json.asc"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    (tmp_path / "backup.toml").write_text(
        f'host = "web1"\n[[targets]]\nname = "store"\nkind = "folder"\nfolder = "{tmp_path}/store"\n'
        '[[sets]]\nname = "files"\ntarget = "store"\n'
    )
    assert _completed(runner, "bkp ls ").split() == ["plain,db1/files", "plain,files"]
    assert _completed(runner, "bkp ls files --at 2026").split() == ["plain,20261121T170000Z", "plain,20261120T170000Z"]
    assert _completed(runner, "bkp diff db1/files 20261120").split() == ["plain,20261120T170000Z"]
    (tmp_path / "backup.toml").write_text("broken")
    assert _completed(runner, "bkp ls ").strip() == _completed(runner, "bkp ls files --at ").strip() == ""


def test_the_manual_page_has_every_command_option_and_exit_code_and_troff_takes_it(runner: CliRunner) -> None:
    page = runner.invoke(cli, ["man"]).stdout
    for name in COMMANDS:
        assert f".SS bkp {name}" in page
    assert r"\-\-dry\-run" in page
    for code, meaning in exit_codes().items():
        assert f".B {code}\n" in page
        assert meaning.replace("-", r"\-").replace("'", r"\(aq") in page
    assert not any(line.startswith(("'", ".. ")) for line in page.splitlines())


@pytest.mark.parametrize("command", [["status"], ["list"], ["verify"], ["doctor"], ["run", "files"]])
def test_without_a_configuration_a_command_says_where_one_is_looked_for(runner: CliRunner, command: list[str]) -> None:
    plain = runner.invoke(cli, command)
    assert plain.exit_code == 3
    assert "/etc/watchkeep/backup.toml" in plain.stderr
    assert "restore-station/backup.toml" in plain.stderr
    assert "backup/backup.toml" in plain.stderr
    told = runner.invoke(cli, [*command, "--json"])
    assert told.exit_code == 3
    assert json.loads(told.stdout)["error"]["kind"] == "ConfigInvalid"


def test_a_set_is_found_by_its_name_or_with_its_host_and_at_one_target_without_being_configured() -> None:
    target = TargetSettings(name="store", kind="swift", auth_url="x", user="y", key_file="z", container="c")  # type: ignore[arg-type]  # a path is not needed here
    known = SetSettings(name="files", host="web1", target="store")
    settings = BackupSettings(host="safe", targets=(target,), sets=(known,))
    assert set_of(settings, "files") is known
    assert set_of(settings, "web1/files") is known
    other = set_of(settings, "db1/files")
    assert (other.host, other.name, other.target) == ("db1", "files", "store")
    for wrong in ("mail", "../files", "db1/..", "a/b/c", "/files"):
        with pytest.raises(ConfigInvalid):
            set_of(settings, wrong)


@pytest.mark.parametrize("is_named", [True, False])
def test_the_files_of_a_local_installation_are_found_by_what_a_command_is_for(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_named: bool
) -> None:
    data = tmp_path / ("elsewhere" if is_named else "var")
    if is_named:
        monkeypatch.setenv(DATA_VARIABLE, str(data))
    for folder, host in (("restore-station", "station1"), ("backup", "web1")):
        (data / folder).mkdir(parents=True)
        (data / folder / "backup.toml").write_text(f'host = "{host}"\n')
    assert json.loads(runner.invoke(cli, ["status", "--json"]).stdout)["host"] == "web1"
    (data / "backup" / "backup.toml").unlink()
    assert json.loads(runner.invoke(cli, ["list", "--json"]).stdout) == {"sets": [], "unread": []}
    assert runner.invoke(cli, ["status"]).exit_code == 3


def test_one_thing_is_told_in_the_singular() -> None:
    assert [counted(number, "restore point") for number in (0, 1, 2)] == [
        "0 restore points", "1 restore point", "2 restore points",
    ]  # fmt: skip
    assert [counted_of(number, "file systems the guest mounted") for number in (1, 2)] == [
        "1 file system the guest mounted", "2 file systems the guest mounted",
    ]  # fmt: skip
    assert counted_of(1, "recoveries through 2 WAL segments") == "1 recovery through 2 WAL segments"


def test_a_station_names_sets_of_several_hosts_that_are_called_alike(tmp_path: Path) -> None:
    store = TargetSettings(name="store", kind="folder", folder=tmp_path)
    first, second, own = (SetSettings(name="files", target="store", host=host) for host in ("web1", "web2", None))
    station = BackupSettings(host="safe", targets=(store,), sets=(first, second))
    assert set_of(station, "web2/files") == second
    with pytest.raises(ConfigInvalid, match="web1/files, web2/files"):
        set_of(station, "files")
    assert set_of(replace(station, sets=(first, own)), "files") == own
    for twice in ((first, first), (own, replace(own, host="safe"))):
        with pytest.raises(ValueError, match="there twice"):
            replace(station, sets=twice)
    saved = [replace(each, command=CommandSettings(arguments=("/bin/true",))) for each in (first, own)]
    with pytest.raises(ValueError, match="there twice"):  # their states and caches would be one
        replace(station, sets=tuple(saved))
