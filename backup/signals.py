"""SIGINT and SIGTERM as an exception, so that what is half done is cleared away before we end."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from backup.errors import Cancelled

if TYPE_CHECKING:
    from collections.abc import Iterator

_asked: list[Cancelled] = []


@contextmanager
def cancelled_by_signals() -> Iterator[None]:
    """Raise Cancelled in the main thread at the first SIGINT, SIGTERM or SIGHUP; later ones wait for the clearing.

    SIGINT is a person's (Ctrl-C, `bkp cancel`); the others are of who ends with the machine or the agent.
    """

    def cancel(number: int, _frame: object) -> None:
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        _asked[:] = [Cancelled(f"ended by {signal.Signals(number).name}", is_asked_for=number == signal.SIGINT)]
        raise _asked[0]

    before = {each: signal.signal(each, cancel) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        _asked.clear()


def demand_going_on() -> None:
    """Raise Cancelled when a signal came and nobody heard: Python drops what is raised while it forks or clears away.

    While an exception is on its way already, what is asked here belongs to the clearing, and goes on.
    """
    if _asked and sys.exc_info()[0] is None:
        raise _asked[0]
