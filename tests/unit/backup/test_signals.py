"""A signal that ends a run is heard, wherever it comes."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from backup.errors import Cancelled
from backup.runtime.signals import cancelled_by_signals, demand_going_on


class Clearing:
    """What Python clears away just when the signal comes: whatever is raised then is dropped."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(100):
            pass


def test_a_signal_whose_exception_python_dropped_is_heard_at_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    dropped: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", dropped.append)
    with cancelled_by_signals():
        demand_going_on()
        Clearing()
        assert len(dropped) == 1
        with pytest.raises(Cancelled, match="SIGINT") as told:
            demand_going_on()
        assert told.value.is_asked_for
    demand_going_on()  # what is done after it is another matter


def test_what_clears_up_after_a_signal_is_not_broken_off_again() -> None:
    cleared: list[str] = []

    def save() -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            demand_going_on()
        finally:
            demand_going_on()
            cleared.append("all of it")

    with pytest.raises(Cancelled, match="SIGTERM"), cancelled_by_signals():
        save()
    assert cleared == ["all of it"]
