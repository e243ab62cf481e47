"""A document is done as far as it can be; what cannot is named."""

from __future__ import annotations

from typing import Any

import pytest

from agent.document import DEFAULT_BODY, DocumentError, read_document
from probes.network import Parameters
from probes.registry import find_probe


def labels(*entries: Any) -> tuple[dict[str, float], tuple[str, ...]]:
    document = read_document({"version": 3, "probes": list(entries)}, find_probe)
    return {a.label: a.interval_seconds for a in document.assignments}, document.faults


def test_the_built_in_document_samples_all_probes_of_the_host_every_ten_seconds_and_itself_every_minute() -> None:
    document = read_document(DEFAULT_BODY, find_probe)
    assert {a.label: a.interval_seconds for a in document.assignments} == {
        "cpu": 10, "memory": 10, "filesystems": 10, "network": 10, "processes": 10, "disks": 10, "swap": 10,
        "agent": 60,
    }  # fmt: skip
    assert document.faults == ()


def test_parameters_become_the_probes_own() -> None:
    document = read_document(
        {"probes": [{"probe": "network", "interval_seconds": 5, "parameters": {"interfaces": ["eth0"]}}]}, find_probe
    )
    assert document.assignments[0].parameters == Parameters(interfaces=("eth0",))


def test_an_unknown_probe_or_parameter_is_named_and_the_rest_runs() -> None:
    found, faults = labels(
        {"probe": "weather", "interval_seconds": 10},
        {"probe": "network", "interval_seconds": 10, "parameters": {"interface": "eth0"}},
        {"probe": "cpu", "interval_seconds": 10, "parameters": {"fast": True}},
        {"probe": "memory", "interval_seconds": 20},
    )
    assert found == {"memory": 20.0, "agent": 60.0}
    assert len(faults) == 3
    assert "probes[0] (weather): this agent has no such probe" in faults[0]
    assert "probes[1] (network): parameters.interface: unknown setting; expected one of interfaces" in faults[1]
    assert "probes[2] (cpu): parameters.fast: unknown setting; there are none here" in faults[2]


@pytest.mark.parametrize(
    "entry",
    [
        3,
        None,
        {},
        {"probe": 7},
        {"probe": "cpu"},
        {"probe": "cpu", "interval_seconds": "10"},
        {"probe": "cpu", "interval_seconds": 0},
        {"probe": "cpu", "interval_seconds": float("nan")},
        {"probe": "cpu", "interval_seconds": 1e9},
        {"probe": "cpu", "interval_seconds": True},
        {"probe": "cpu", "interval_seconds": 10, "parameters": []},
        {"probe": "cpu", "interval_seconds": 10, "paramters": {}},
        {"probe": "filesystems", "interval_seconds": 10, "parameters": {"mounts": "/"}},
    ],
)
def test_an_entry_of_another_form_is_a_fault_that_hurts_no_other(entry: Any) -> None:
    found, faults = labels(entry, {"probe": "memory", "interval_seconds": 20})
    assert found == {"memory": 20.0, "agent": 60.0}
    assert len(faults) == 1
    assert faults[0].startswith("probes[0]")


@pytest.mark.parametrize("body", [{}, {"probes": None}, {"probes": {"cpu": 1}}, {"probes": [{}] * 1001}])
def test_a_document_without_a_list_of_probes_is_refused_as_a_whole(body: dict[str, Any]) -> None:
    with pytest.raises(DocumentError, match="list of at most 1000"):
        read_document(body, find_probe)


def test_the_same_probe_with_the_same_parameters_runs_once_at_the_shorter_interval() -> None:
    found, _ = labels({"probe": "cpu", "interval_seconds": 60}, {"probe": "cpu", "interval_seconds": 5})
    assert found == {"cpu": 5.0, "agent": 60.0}


def test_the_same_probe_with_other_parameters_runs_beside_it() -> None:
    found, _ = labels(
        {"probe": "network", "interval_seconds": 60},
        {"probe": "network", "interval_seconds": 5, "parameters": {"interfaces": ["lo"]}},
        {"probe": "agent", "interval_seconds": 5},
    )
    assert found == {"network": 60.0, "network 2": 5.0, "agent": 5.0}
