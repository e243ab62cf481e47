"""A visit remembers totals and is patient only once with what hangs."""

from __future__ import annotations

import threading

import pytest

from probes.visit import ProbeFailedError, Visit
from tests.support.waiting import wait_until


def test_a_call_that_hangs_is_given_up_and_not_tried_again_until_it_has_come_back() -> None:
    visit = Visit()
    gate = threading.Event()
    calls: list[int] = []

    def hang() -> int:
        calls.append(1)
        gate.wait(100)
        return 7

    with pytest.raises(ProbeFailedError, match=r"/nfs did not answer within 0.05 s"):
        visit.call_patiently("/nfs", hang, 0.05)
    with pytest.raises(ProbeFailedError, match="has not answered since"):
        visit.call_patiently("/nfs", hang, 0.05)
    wait_until(lambda: bool(calls), what="the call")
    assert len(calls) == 1
    assert visit.call_patiently("/other", lambda: 3, 60.0) == 3
    gate.set()
    visit._stuck["/nfs"].join(60)
    assert visit.call_patiently("/nfs", hang, 60.0) == 7


def test_an_operating_system_error_becomes_a_failure_that_names_the_thing() -> None:
    def fail() -> int:
        raise PermissionError(13, "Permission denied")

    with pytest.raises(ProbeFailedError, match="/x: Permission denied"):
        Visit().call_patiently("/x", fail, 60.0)


def test_totals_not_seen_in_a_read_are_forgotten() -> None:
    visit = Visit()
    for at in (1.0, 2.0, 3.0):
        visit.begin(at)
        visit.rate(f"interface {at}", 1.0)
    assert len(visit._totals) == 1
    assert len(visit._last_totals) == 1
