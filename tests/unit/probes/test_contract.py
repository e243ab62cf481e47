"""What every probe promises, whatever it measures."""

from __future__ import annotations

import math
import re
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from core.config.reader import ConfigError, check_table
from probes.registry import all_items, find_probe, probe_names
from tests.unit.probes.visiting import Reader

if TYPE_CHECKING:
    from probes.declaration import Probe

UNITS = {"B", "B/s", "bit/s", "%", "1/s", "s", "d", ""}


def probe_of(name: str) -> Probe:
    probe = find_probe(name)
    assert probe is not None
    return probe


def needs_parameters(name: str) -> bool:
    """Whether there is something the probe must be told: then its own tests read it."""
    return any(
        each.default is MISSING and each.default_factory is MISSING for each in fields(probe_of(name).parameters)
    )


# Not every host has backups or systemd; tests of their own say what these probes do where there are some and not.
ELSEWHERE = {"backup", "drill", "pruning", "systemd.units", "verification"}
READY = [
    name
    for name in probe_names()
    if not needs_parameters(name) and name not in ELSEWHERE and not probe_of(name).polls  # a device is read by a proxy
]
TOLD = [name for name in probe_names() if needs_parameters(name)]
OF_PROC = sorted(
    {"cpu", "disks", "filesystems", "inventory", "memory", "network", "processes", "swap", "uptime"} & set(READY)
)


def test_there_is_no_probe_under_an_unknown_name() -> None:
    assert find_probe("weather") is None


def test_every_item_of_every_probe_has_its_own_key_a_known_unit_and_a_one_line_description() -> None:
    keys = [item.key for _, item in all_items()]
    assert len(keys) == len(set(keys)) >= 40
    for _, item in all_items():
        assert re.fullmatch(r"[a-z]+(\.[a-z0-9_]+)+", item.key)
        assert item.unit in UNITS
        assert 8 < len(item.description) < 100
        assert item.description.isprintable()
        assert item.type in ("number", "text", "structured")


@pytest.mark.parametrize("name", probe_names())
def test_the_list_names_each_probe_as_it_names_itself(name: str) -> None:
    assert probe_of(name).name == name


@pytest.mark.parametrize("name", TOLD)
def test_what_a_probe_must_be_told_is_asked_for_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match="is missing; expected"):
        check_table({}, probe_of(name).parameters, Path("x"))


@pytest.mark.parametrize("name", READY)
def test_two_reads_of_this_host_yield_declared_finite_values_and_no_failure(name: str) -> None:
    reader = Reader(probe_of(name))
    reader.read()
    values = reader.read()
    declared = {item.key: item for item in reader.probe.items}
    assert reader.failures == []
    assert values or name in ("network", "disks")  # a machine without a network interface or a disk is one
    for key, value in values.items():
        plain, _, parameter = key.partition("[")
        assert bool(parameter) == bool(declared[plain].parameter)
        if declared[plain].type == "number":
            assert isinstance(value, float)
            assert math.isfinite(value)
            assert value >= 0
            assert declared[plain].unit != "%" or value <= 100.000001 or plain == "agent.cpu"


@pytest.mark.parametrize("name", OF_PROC)
def test_a_missing_proc_filesystem_is_a_failure_that_names_the_file_never_a_crash(name: str, tmp_path: Path) -> None:
    reader = Reader(probe_of(name), tmp_path / "nowhere")
    assert reader.read() == {}
    assert reader.failures
    assert all("nowhere" in failure and "No such file" in failure for failure in reader.failures)
