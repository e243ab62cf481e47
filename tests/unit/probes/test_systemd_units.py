"""Units are told as systemd tells them; where it does not run that is said in so many words."""

from __future__ import annotations

import shutil
from pathlib import Path

from probes.child import run_program
from probes.patterns import Choice
from probes.systemd_units import judge_units, parse_units, read_units
from tests.unit.probes.visiting import Reader

# In the form of systemd 252: systemctl show --all --property=Id,LoadState,ActiveState,SubState,NRestarts,MemoryCurrent
RECORDED = """\
Id=ssh.service
LoadState=loaded
ActiveState=active
SubState=running
NRestarts=2
MemoryCurrent=5046272

Id=broken.service
NRestarts=5
MemoryCurrent=[not set]
LoadState=loaded
ActiveState=failed
SubState=failed

Id=plymouth.service
LoadState=not-found
ActiveState=inactive
SubState=dead
NRestarts=0
MemoryCurrent=18446744073709551615

Id=old.service
LoadState=loaded
ActiveState=inactive
SubState=dead
NRestarts=0
MemoryCurrent=18446744073709551615

Id=data.mount
LoadState=loaded
ActiveState=failed
SubState=failed
"""


def told(choice: Choice) -> dict[tuple[str, str], object]:
    return {(each.item, each.parameter): each.value for each in judge_units(parse_units(RECORDED), choice)}


def test_each_chosen_unit_is_told_with_its_state_and_every_failed_one_counts() -> None:
    assert told(Choice(include=(r"\.service$",))) == {
        ("systemd.failed_units", ""): 2.0,
        ("systemd.state", "ssh.service"): 0.0,
        ("systemd.state_text", "ssh.service"): "active (running)",
        ("systemd.restarts", "ssh.service"): 2.0,
        ("systemd.memory", "ssh.service"): 5046272.0,
        ("systemd.state", "broken.service"): 3.0,
        ("systemd.state_text", "broken.service"): "failed (failed)",
        ("systemd.restarts", "broken.service"): 5.0,
        ("systemd.state", "old.service"): 2.0,
        ("systemd.state_text", "old.service"): "inactive (dead)",
        ("systemd.restarts", "old.service"): 0.0,
    }


def test_units_are_chosen_by_expressions() -> None:
    units = {unit for _, unit in told(Choice(include=("^ssh", "mount$"), exclude=("^s",))) if unit}
    assert units == {"data.mount"}


def test_units_are_told_where_systemd_runs_and_elsewhere_that_it_does_not() -> None:
    reader = Reader(read_units)
    values = reader.read()
    if Path("/run/systemd/system").is_dir():
        assert reader.failures == []
        assert "systemd.failed_units" in values
    else:
        assert values == {}
        assert reader.failures == ["systemd does not run here: there is no /run/systemd/system"]


def test_the_command_is_one_systemctl_understands() -> None:
    assert shutil.which("systemctl"), "systemctl is missing: install the package systemd"
    ended = run_program(
        ["systemctl", "show", "--all", "--no-pager", "--property=Id,ActiveState", "--", "*.service"], 20
    )
    assert "nvalid" not in ended.errors
    assert "nrecognized" not in ended.errors
    assert ended.status == 0 or "not been booted with systemd" in ended.errors
