"""SIGINT and SIGTERM as an exception, so that what is half done is cleared away before we end."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from backup.errors import Cancelled

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def cancelled_by_signals() -> Iterator[None]:
    """Raise Cancelled in the main thread at the first SIGINT, SIGTERM or SIGHUP; later ones wait for the clearing.

    SIGINT is a person's (Ctrl-C, `bkp cancel`); the others are of who ends with the machine or the agent.
    """

    def cancel(number: int, _frame: object) -> None:
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        raise Cancelled(f"ended by {signal.Signals(number).name}", is_asked_for=number == signal.SIGINT)

    before = {each: signal.signal(each, cancel) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
