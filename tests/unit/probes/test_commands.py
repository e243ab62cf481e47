"""Programs and plugins: only what this machine allows, no shell, bounded in time and output, nothing left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.config.reader import ConfigError, check_table
from probes.command import Parameters as CommandParameters
from probes.command import run_command
from probes.nagios_plugin import Figure, parse_figures, parse_output, run_plugin
from probes.nagios_plugin import Parameters as PluginParameters
from probes.visit import Visit
from tests.support.waiting import wait_until
from tests.unit.probes.visiting import Reader

SHELL = [Path("/bin/sh")]


def run(script: str, *, allowed: list[Path] = SHELL, **parameters: Any) -> Reader:
    table = {"command": ["/bin/sh", "-c", script], "name": "it", **parameters}
    chosen = check_table(table, CommandParameters, Path("x"))
    return Reader(run_command, parameters=chosen, visit=Visit(commands=allowed))


def check(script: str, **parameters: Any) -> Reader:
    chosen = check_table({"command": ["/bin/sh", "-c", script], "name": "it", **parameters}, PluginParameters, Path())
    return Reader(run_plugin, parameters=chosen, visit=Visit(commands=SHELL))


def test_a_program_that_prints_a_number_is_an_item() -> None:
    values = run("echo ' 12.5 '").read()
    assert (values["command.value[it]"], values["command.status[it]"]) == (12.5, 0.0)
    assert 0 < float(values["command.seconds[it]"]) < 30


def test_a_text_comes_as_it_is_and_json_entry_by_entry() -> None:
    assert run("printf 'two\\nlines\\n'", output="text").read()["command.text[it]"] == "two\nlines"
    values = run("""echo '{"a": 1, "b": {"c": 2.5, "d": "x"}, "e": true, "f": null, "g": [1]}'""", output="json").read()
    assert {key.removeprefix("command."): value for key, value in values.items() if ":" in key} == {
        "value[it:a]": 1.0,
        "value[it:b.c]": 2.5,
        "text[it:b.d]": "x",
        "value[it:e]": 1.0,
    }


def test_a_document_is_kept_whole_in_its_canonical_form() -> None:
    values = run("""echo '{"b": [1, {"c": null}], "a": 2.50}'""", output="document").read()
    assert values["command.document[it]"] == '{"a":2.5,"b":[1,{"c":null}]}'


@pytest.mark.parametrize(
    ("script", "parameters", "failure"),
    [
        ("echo words", {}, "it printed no number but 'words'"),
        ("echo 7", {"output": "json"}, "it printed no JSON object but '7'"),
        (
            "echo '{} {}'",
            {"output": "document"},
            "it printed no document: '{} {}' is no JSON document: Extra data: line 1 column 4 (char 3)",
        ),
        ("echo 7; echo 'no such table' >&2; exit 4", {}, "it ended with status 4: no such table"),
        ("head -c 70000 /dev/zero", {"output": "json"}, "it printed more than 64 KiB: nothing of it is used"),
    ],
)
def test_what_a_program_does_wrong_is_said(script: str, parameters: dict[str, Any], failure: str) -> None:
    reader = run(script, **parameters)
    assert "command.value[it]" not in reader.read()
    assert reader.failures == [failure]


def test_a_program_at_its_timeout_is_killed_with_everything_it_started(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    reader = run(f"sleep 600 & echo $! >> {file}; echo $$ >> {file}; sleep 600", timeout="5s")
    reader.read()
    assert reader.failures == ["/bin/sh did not end within 5 s and was killed"]
    assert_gone(file)


def test_what_a_program_leaves_behind_is_killed_and_not_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "pids"
    assert run(f"sleep 600 & echo $! >> {file}; echo 7", timeout="60s").read()["command.value[it]"] == 7.0
    assert_gone(file)


def assert_gone(file: Path) -> None:
    """Fail unless the processes whose numbers are in `file` are dead; who reaps them is not our business."""

    def is_dead(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
        except OSError:
            return True

    pids = [int(line) for line in file.read_text().splitlines()]
    assert pids
    wait_until(lambda: all(is_dead(pid) for pid in pids), what="the end of all")


def test_a_flood_of_output_is_cut_and_does_not_hold_the_program_up() -> None:
    reader = run("head -c 3000000 /dev/zero | tr '\\0' x", output="text")
    assert len(str(reader.read()["command.text[it]"])) == 64 * 1024
    assert reader.failures == ["it printed more than 64 KiB: the rest is left out"]


def test_the_agents_environment_input_and_folder_are_not_the_programs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    text = run("env; pwd; cat; ls /proc/$$/fd", output="text").read()["command.text[it]"]
    lines = str(text).splitlines()
    known = {"PATH", "LANG", "HOME", "PWD", "SHLVL", "_", "OLDPWD"}
    assert {line.partition("=")[0] for line in lines if "=" in line} <= known
    assert "/" in lines
    assert {line for line in lines if line.isdigit()} <= {"0", "1", "2", "3"}


def test_arguments_reach_the_program_as_they_are_no_shell_reads_them() -> None:
    parameters = CommandParameters(command=("/bin/echo", "$HOME; ls *", "a  b"), name="it", output="text")
    reader = Reader(run_command, parameters=parameters, visit=Visit(commands=[Path("/bin")]))
    assert reader.read()["command.text[it]"] == "$HOME; ls * a  b"


@pytest.mark.parametrize(
    ("program", "allowed", "failure"),
    [
        ("/bin/sh", [], "this machine allows no commands; name them in `commands` of its agent.toml"),
        ("/bin/sh", ["/bin/echo", "/usr/lib"], "it is not among `commands` in the agent.toml of this machine"),
        ("/usr/lib/../../bin/sh", ["/usr/lib"], "write its absolute path, without .. in it"),
        ("sh", ["/bin"], "write its absolute path"),
        ("/bin/shell", ["/bin/sh"], "it is not among"),
        ("/bin/no-such-program", ["/bin"], "/bin/no-such-program: No such file or directory"),
    ],
)
def test_only_what_this_machine_allows_is_started(program: str, allowed: list[str], failure: str) -> None:
    parameters = CommandParameters(command=(program, "-c", "echo 1"), name="it")
    reader = Reader(run_command, parameters=parameters, visit=Visit(commands=[Path(each) for each in allowed]))
    assert reader.read() == {}
    assert len(reader.failures) == 1
    assert failure in reader.failures[0]


def test_a_program_that_everybody_may_change_is_refused_and_one_that_is_none_said(tmp_path: Path) -> None:
    program = tmp_path / "check"
    program.write_text("#!/bin/sh\necho 5\n")
    parameters = CommandParameters(command=(str(program),), name="it")
    reader = Reader(run_command, parameters=parameters, visit=Visit(commands=[tmp_path]))
    program.chmod(0o777)
    assert reader.read() == {}
    assert f"chmod o-w {program}" in reader.failures[0]
    program.chmod(0o644)
    assert reader.read() == {}
    assert reader.failures == [f"{program} cannot be started: Permission denied"]
    program.chmod(0o755)
    assert reader.read()["command.value[it]"] == 5.0


def test_a_timeout_out_of_bounds_and_an_empty_command_are_faults_of_the_definition() -> None:
    with pytest.raises(ConfigError, match=r"timeout: expected 100ms to 60s"):
        check_table({"command": ["/x"], "name": "it", "timeout": "5m"}, CommandParameters, Path())
    with pytest.raises(ConfigError, match="expected at least the program"):
        check_table({"command": [], "name": "it"}, CommandParameters, Path())


@pytest.mark.parametrize("status", [0, 1, 2, 3])
def test_a_plugin_is_its_exit_status_its_first_line_and_its_figures(status: int) -> None:
    reader = check(f"echo 'DISK OK - free | /=2643MB;5948;5958;0;5968 time=0.5ms'; echo more; exit {status}")
    values = reader.read()
    assert reader.failures == []
    assert values.pop("nagios.seconds[it]")
    assert values == {
        "nagios.status[it]": float(status),
        "nagios.text[it]": "DISK OK - free",
        "nagios.value[it:/]": 2643 * 1024.0**2,
        "nagios.value[it:time]": 0.0005,
    }
    assert [reading.unit for reading in reader.readings if reading.item == "nagios.value"] == ["B", "s"]


def test_a_plugin_that_does_not_end_or_ends_oddly_is_unknown() -> None:
    reader = check("sleep 600", timeout="500ms")
    values = reader.read()
    assert values == {"nagios.status[it]": 3.0, "nagios.text[it]": "/bin/sh did not end within 0.5 s and was killed"}
    assert reader.failures == ["/bin/sh did not end within 0.5 s and was killed"]
    reader = check("echo broken >&2; exit 127")
    values = reader.read()
    assert (values["nagios.status[it]"], values["nagios.text[it]"]) == (3.0, "broken")
    assert reader.failures == ["it ended with status 127, which is none of a plugin's"]


@pytest.mark.parametrize(
    ("data", "figures"),
    [
        ("a=1 b=2%;80;90", [Figure("a", 1.0, ""), Figure("b", 2.0, "%")]),
        ("'it''s free'=1.5GB;;;0; 'x y'=-3c", [Figure("it's free", 1.5 * 1024**3, "B"), Figure("x y", -3.0, "")]),
        ("a=U b= =5 c=1.2.3 d=1e3", [Figure("d", 1000.0, "")]),
        ("a=1 a=2 rpm=900rpm", [Figure("a", 1.0, ""), Figure("rpm", 900.0, "rpm")]),
        ("", []),
    ],
)
def test_performance_data_are_read_and_what_is_none_left_out(data: str, figures: list[Figure]) -> None:
    assert parse_figures(data) == figures


def test_figures_may_stand_after_the_long_text_too() -> None:
    text, figures = parse_output("OK | a=1\nlong text\nmore | b=2\nc=3\n")
    assert (text, [figure.label for figure in figures]) == ("OK", ["a", "b", "c"])
