from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from watchkeep.__main__ import COMMANDS, cli

if TYPE_CHECKING:
    from pathlib import Path


def run(*arguments: str, stdin: str | None = None, data: Path | None = None) -> tuple[int, str, str]:
    environment = {"WATCHKEEP_DATA": str(data)} if data else {}
    result = CliRunner().invoke(cli, arguments, input=stdin, env=environment)
    return result.exit_code, result.stdout, result.stderr


def test_help_lists_every_command_without_importing_one() -> None:
    program = (
        "import sys\nfrom watchkeep.__main__ import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('server', 'rich', 'aiohttp', 'psycopg', 'numpy')])"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert found.stdout.splitlines()[-1] == "[]"
    assert all(re.search(rf"^  {name} ", found.stdout, re.MULTILINE) for name in COMMANDS)


@pytest.mark.parametrize("name", ["apply", "completion", "diff"])
def test_every_command_explains_itself_with_examples(name: str) -> None:
    code, text, _ = run(name, "--help")
    assert code == 0
    assert "Examples:" in text
    assert f"watchkeep {name}" in text


def test_the_table_names_commands() -> None:
    for name in ("apply", "completion", "diff"):
        assert isinstance(cli.get_command(click.Context(cli), name), click.Command)


def test_a_misspelt_command_is_a_usage_error() -> None:
    code, _, error = run("aply")
    assert code == 2
    assert "apply" in error or "No such command" in error


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_completion_prints_code_for_the_shell(shell: str) -> None:
    code, text, _ = run("completion", shell)
    assert code == 0
    assert "_WATCHKEEP_COMPLETE" in text


def test_completion_offers_commands_and_options() -> None:
    def complete(words: str, place: int) -> str:
        environment = {"_WATCHKEEP_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(place)}
        program = [sys.executable, "-m", "watchkeep"]
        return subprocess.run(
            program, env=os.environ | environment, capture_output=True, text=True, check=True, timeout=120
        ).stdout

    assert "plain,diff" in complete("watchkeep di", 1)
    assert "plain,--prune" in complete("watchkeep apply --pr", 2)


def test_all_faults_of_the_files_are_told_without_an_installation(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: hst\nname: a\n")
    (tmp_path / "b.yml").write_text("kind: host\nname: [1\n")
    for command in ("diff", "apply"):
        code, _, error = run(command, str(tmp_path), data=tmp_path)
        assert code == 2
        assert "a.yaml:1:1: kind: there is no kind 'hst'" in error
        assert "Did you mean 'host'?" in error
        assert re.search(r"b\.yml:[23]:", error)
        assert "2 faults; nothing was changed" in error


def test_json_tells_faults_as_data(tmp_path: Path) -> None:
    code, text, _ = run("diff", "--json", "-", stdin="kind: host\nnam: a\n", data=tmp_path)
    assert code == 2
    told = json.loads(text)
    assert told["changes"] == []
    assert told["errors"][0] | {"message": ""} == {
        "file": "(standard input)", "line": 2, "column": 1, "path": "nam", "message": "",
        "remedy": "Did you mean 'name'?",
    }  # fmt: skip


@pytest.mark.parametrize("content", [None, "", "x: ["])
def test_a_missing_installation_is_named_with_its_remedy(tmp_path: Path, content: str | None) -> None:
    (tmp_path / "a.yaml").write_text("kind: host\nname: a\n")
    if content is not None:
        (tmp_path / "installation.json").write_text(content)
    code, _, error = run("apply", str(tmp_path / "a.yaml"), data=tmp_path)
    assert code == 2
    assert str(tmp_path) in error
    assert "watchkeep up" in error
    code, text, _ = run("apply", "--json", str(tmp_path / "a.yaml"), data=tmp_path)
    assert code == 2
    assert "watchkeep up" in json.loads(text)["message"]


def test_places_that_hold_nothing_are_faults(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    for place, message in (("nothere", "does not exist"), ("folder", "no .yaml file"), ("empty.yaml", "no definition")):
        code, _, error = run("diff", str(tmp_path / place), data=tmp_path)
        assert code == 2
        assert message in error
