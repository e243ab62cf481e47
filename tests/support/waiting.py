"""Waiting for a promised condition instead of sleeping.

The limits only end a test that hangs: a busy machine may take long for anything. The clock is read before each look, so
that a pause between the two fails nothing that has come true.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

PATIENCE_SECONDS = 60.0

Found = TypeVar("Found")


async def until(
    condition: Callable[[], bool], timeout_seconds: float = PATIENCE_SECONDS, what: str = "the condition"
) -> None:
    """Return as soon as `condition()` is true, looking every 10 ms; fail after the timeout, naming `what`."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        is_late = time.monotonic() > deadline
        if condition():
            return
        if is_late:
            raise AssertionError(f"{what} did not come true within {timeout_seconds} s")
        await asyncio.sleep(0.01)


async def until_found(
    look: Callable[[], Awaitable[Found | None]],
    timeout_seconds: float = PATIENCE_SECONDS,
    what: str = "what was looked for",
) -> Found:
    """Return the first answer of `look` that is not None, asking every 20 ms; fail after the timeout, naming `what`."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        is_late = time.monotonic() > deadline
        if (found := await look()) is not None:
            return found
        if is_late:
            raise AssertionError(f"{what} was not found within {timeout_seconds} s")
        await asyncio.sleep(0.02)


def wait_until(
    condition: Callable[[], bool], timeout_seconds: float = PATIENCE_SECONDS, what: str = "the condition"
) -> None:
    """The same for tests that do not run in an event loop."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        is_late = time.monotonic() > deadline
        if condition():
            return
        if is_late:
            raise AssertionError(f"{what} did not come true within {timeout_seconds} s")
        time.sleep(0.01)
