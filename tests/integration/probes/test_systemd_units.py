"""Units of a systemd that runs: what the probe tells changes as the units do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.processes import family
from tests.support.systemd_machine import systemd_machine
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.systemd_machine import SystemdMachine

PATIENCE_SECONDS: Final = 120.0
CHOSEN: Final = ("steady", "mortal", "failing", "restless", "unwanted")


def service(start: str, *more: str) -> str:
    return "\n".join(("[Unit]", "DefaultDependencies=no", "[Service]", f"ExecStart={start}", *more, ""))


UNITS: Final = {
    "test.target": "[Unit]\nDefaultDependencies=no\nWants=dbus.socket dbus.service absent.service "
    + " ".join(f"{name}.service" for name in CHOSEN),
    # A user without privileges asks systemd over the bus; systemd goes to it when both of these run.
    "dbus.socket": "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/dbus/system_bus_socket\n",
    "dbus.service": service(
        "/usr/bin/dbus-daemon --system --address=systemd: --nofork --nopidfile --systemd-activation",
        "Sockets=dbus.socket",
    ),
    "steady.service": service("/bin/sleep infinity", "Restart=always", "RestartSec=0"),
    "mortal.service": service("/bin/sleep infinity"),
    "failing.service": service("/bin/false"),
    # So many starts are too many however long this machine takes for them; systemd's own limit is ten seconds.
    "restless.service": "[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=5\n"
    + service("/bin/false", "Restart=on-failure", "RestartSec=0"),
    "unwanted.service": "[Unit]\nConditionPathExists=/never\n" + service("/bin/true"),
}


SETTLED: Final = {
    "systemd.state_text[restless.service]": "failed (failed)", "systemd.failed_units": 2,
    "systemd.state_text[steady.service]": "active (running)", "systemd.state_text[mortal.service]": "active (running)",
    "systemd.state_text[dbus.service]": "active (running)",
}  # fmt: skip
"""How the units stand once everything is begun that the target wants."""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SystemdMachine]:
    with systemd_machine(tmp_path_factory.mktemp("systemd"), UNITS) as booted:
        yield booted


def read(machine: SystemdMachine) -> dict[str, Any]:
    found = machine.read_units()
    assert found["failures"] == []
    values: dict[str, Any] = found["values"]
    return values


def read_until(machine: SystemdMachine, wanted: dict[str, Any]) -> dict[str, Any]:
    """Read until these values are told, and return all of that reading."""
    values: dict[str, Any] = {}

    def are_told() -> bool:
        values.clear()
        values.update(read(machine))
        return wanted.items() <= values.items()

    wait_until(are_told, PATIENCE_SECONDS, f"{wanted}; told was {values}")
    return values


def of(values: dict[str, Any], unit: str) -> dict[str, Any]:
    """Return a unit's values by what they measure, without its memory."""
    told = {key.removesuffix(f"[{unit}]"): value for key, value in values.items() if key.endswith(f"[{unit}]")}
    told.pop("systemd.memory", None)
    return told


def test_units_of_a_running_systemd_are_told_as_they_are(machine: SystemdMachine) -> None:
    # After five starts systemd gives the unit up.
    values = read_until(machine, SETTLED)
    running = {"systemd.state": 0, "systemd.state_text": "active (running)", "systemd.restarts": 0}
    failed = {"systemd.state": 3, "systemd.state_text": "failed (failed)"}
    assert of(values, "steady.service") == running
    assert of(values, "dbus.service") == running
    assert of(values, "failing.service") == {**failed, "systemd.restarts": 0}
    assert of(values, "restless.service") == {**failed, "systemd.restarts": 5}
    assert of(values, "unwanted.service") == {
        "systemd.state": 2, "systemd.state_text": "inactive (dead)", "systemd.restarts": 0,
    }  # fmt: skip
    assert of(values, "absent.service") == {}  # wanted by a unit, but there is no such file
    chosen = machine.read_units(include=[r"^test\."], exclude=[])["values"]
    assert chosen == {
        "systemd.failed_units": 2, "systemd.state[test.target]": 0,
        "systemd.state_text[test.target]": "active (active)",
    }  # fmt: skip


def test_memory_is_what_the_units_processes_use(machine: SystemdMachine) -> None:
    """Where the kernel counts memory for systemd; elsewhere systemd does not know it, and the probe says nothing."""
    counted = machine.run(
        "sh", "-c", "cat /sys/fs/cgroup/system.slice/dbus.service/memory.current"
        " /sys/fs/cgroup/memory/system.slice/dbus.service/memory.usage_in_bytes",
    ).stdout.split()  # fmt: skip
    told = read(machine).get("systemd.memory[dbus.service]")
    if counted:
        assert told is not None
        assert 1 << 16 < told < 1 << 28
        assert told == pytest.approx(float(counted[0]), rel=0.5)
    else:
        assert told is None


def test_a_unit_that_is_killed_stopped_and_started_changes_its_items(machine: SystemdMachine) -> None:
    state, text = "systemd.state[mortal.service]", "systemd.state_text[mortal.service]"
    before = read_until(machine, SETTLED | {state: 0})
    machine.systemctl("kill", "--signal=KILL", "mortal.service")
    values = read_until(machine, {state: 3, text: "failed (failed)"})
    assert values["systemd.failed_units"] == before["systemd.failed_units"] + 1
    machine.systemctl("start", "mortal.service")
    values = read_until(machine, {state: 0, text: "active (running)"})
    assert values["systemd.failed_units"] == before["systemd.failed_units"]
    machine.systemctl("stop", "mortal.service")
    assert read_until(machine, {state: 2, text: "inactive (dead)"})["systemd.restarts[mortal.service]"] == 0


def test_a_unit_that_systemd_starts_again_counts_how_often(machine: SystemdMachine) -> None:
    for number in (1, 2):
        machine.systemctl("kill", "--signal=KILL", "steady.service")
        values = read_until(machine, {"systemd.restarts[steady.service]": number, "systemd.state[steady.service]": 0})
    assert values["systemd.state_text[steady.service]"] == "active (running)"


def test_the_machine_leaves_nothing_behind(tmp_path: Path) -> None:
    with systemd_machine(tmp_path, UNITS) as booted:
        everybody = {one for one in family([booted.first]) if one.is_there}
        assert len(everybody) >= 3, everybody  # systemd, the bus, the steady one
        groups = booted.groups
        assert groups != []
    assert not [one for one in everybody if one.is_there]
    assert not [group for group in groups if group.exists()]
