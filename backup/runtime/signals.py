"""SIGINT and SIGTERM as an exception, so that what is half done is cleared away before we end."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from backup.errors import Cancelled, Overdue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_asked: list[Cancelled] = []


@contextmanager
def cancelled_by_signals(time_limit: timedelta | None = None) -> Iterator[None]:
    """Raise Cancelled in the main thread at the first SIGINT, SIGTERM or SIGHUP; later ones wait for the clearing.

    SIGINT is a person's (Ctrl-C, `bkp cancel`); the others are of who ends with the machine or the agent. With a time
    limit Overdue is raised when it is over, in the same way: whatever is waited for then is waited for no longer.
    """
    ending = _ENDING if time_limit is None else (*_ENDING, signal.SIGALRM)

    def cancel(number: int, _frame: object) -> None:
        for each in ending:
            signal.signal(each, signal.SIG_IGN)
        if number == signal.SIGALRM:
            _asked[:] = [Overdue(f"it was not done within its time limit ({time_limit})")]
        else:
            _asked[:] = [Cancelled(f"ended by {signal.Signals(number).name}", is_asked_for=number == signal.SIGINT)]
        raise _asked[0]

    before = {each: signal.signal(each, cancel) for each in ending}
    seconds = 0.0 if time_limit is None else time_limit.total_seconds()
    timer = signal.setitimer(signal.ITIMER_REAL, seconds) if seconds else None
    try:
        yield
    finally:
        if timer is not None:
            signal.setitimer(signal.ITIMER_REAL, *timer)
        for each, handler in before.items():
            signal.signal(each, handler)
        _asked.clear()


def demand_going_on() -> None:
    """Raise Cancelled when a signal came and nobody heard: Python drops what is raised while it forks or clears away.

    While an exception is on its way already, what is asked here belongs to the clearing, and goes on.
    """
    if _asked and sys.exc_info()[0] is None:
        raise _asked[0]
