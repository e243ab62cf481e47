"""What the poller decides, and that dead devices take nothing from the living."""

from __future__ import annotations

from typing import Any

from benchmarks.polling import measure
from proxy.polling.lanes import LONGEST_PAUSE_SECONDS, pause_seconds
from proxy.polling.share import read_share


def body(**changes: Any) -> dict[str, Any]:
    device = {"host": "h", "address": "192.0.2.1", "snmp": {"community_file": "c"}}
    probes = [{"probe": "snmp.interfaces", "interval_seconds": 60.0, "parameters": {}}]
    return {"version": 1, "poll": device, "probes": probes} | changes


def test_a_dead_device_is_asked_less_and_less_but_once_a_minute_at_least() -> None:
    assert [pause_seconds(silences, 10.0) for silences in (1, 2, 3, 9)] == [20.0, 40.0, 60.0, 60.0]
    assert pause_seconds(1, 300.0) == 300.0, "a slow one at its own interval"
    assert pause_seconds(10_000, 1.0) == LONGEST_PAUSE_SECONDS


def test_what_of_a_document_cannot_be_done_is_named_and_the_rest_is_polled() -> None:
    probes = [
        {"probe": "snmp.interfaces", "interval_seconds": 60.0},
        {"probe": "cpu", "interval_seconds": 60.0},
        {"probe": "snmp.walk", "interval_seconds": 60.0, "parameters": {"columns": [{"name": "x", "oid": "ifIndex"}]}},
        {"probe": "snmp.interfaces", "interval_seconds": 0},
    ]
    plan = read_share([body(probes=probes)])["h"]
    assert [assignment.label for assignment in plan.assignments] == ["snmp.interfaces"]
    assert "no such probe" in plan.faults["cpu"]
    assert "1.3.6" in plan.faults["snmp.walk"]
    assert "interval_seconds" in plan.faults["snmp.interfaces 2"]


def test_a_document_of_another_form_hurts_no_other_host() -> None:
    strange: list[dict[str, Any]] = [body(poll={"host": "x"}), body(probes="all"), {}, body()]
    assert list(read_share(strange)) == ["h"]


async def test_the_living_keep_their_interval_while_others_are_dead() -> None:
    # Long enough that a machine that stands still for some seconds costs less than what may be missing.
    result = await measure(devices=40, dead=20, interval=1.0, seconds=20.0)
    assert result.kept_percent > 70, result
    assert result.distance_median < 2.0, result
