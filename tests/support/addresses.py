"""The addresses of this machine: they stand still while a browser is open.

Chromium breaks off all it is fetching when one comes or goes (ERR_NETWORK_CHANGED), also one that it does not use.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

_WAIT_SECONDS = 240.0  # it ends what hangs; the longest use of a browser takes two minutes on a busy machine


@contextmanager
def addresses_stand_still() -> Iterator[None]:
    """Wait until nobody changes the addresses; nobody does before this ends."""
    with ExitStack() as standing:
        with _locked("coming", fcntl.LOCK_SH):  # who waits to change them goes first
            standing.enter_context(_locked("addresses", fcntl.LOCK_SH))
        yield


@contextmanager
def addresses_change() -> Iterator[None]:
    """Wait until no browser is open; none opens before this ends."""
    with _locked("coming", fcntl.LOCK_EX), _locked("addresses", fcntl.LOCK_EX):
        yield


@contextmanager
def _locked(name: str, how: int) -> Iterator[None]:
    path = Path(tempfile.gettempdir()) / f"watchkeep-{name}-{os.getuid()}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        wait_until(lambda: _took(descriptor, how), _WAIT_SECONDS, f"the lock {path}")
        yield
    finally:
        os.close(descriptor)


def _took(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
