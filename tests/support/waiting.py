"""Waiting for a promised condition instead of sleeping."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Found = TypeVar("Found")


async def until(condition: Callable[[], bool], timeout_seconds: float = 10.0, what: str = "the condition") -> None:
    """Return as soon as `condition()` is true, looking every 10 ms; fail after the timeout, naming `what`."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {timeout_seconds} s")
        await asyncio.sleep(0.01)


async def until_found(
    look: Callable[[], Awaitable[Found | None]], timeout_seconds: float = 10.0, what: str = "what was looked for"
) -> Found:
    """Return the first answer of `look` that is not None, asking every 20 ms; fail after the timeout, naming `what`."""
    deadline = time.monotonic() + timeout_seconds
    while (found := await look()) is None:
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} was not found within {timeout_seconds} s")
        await asyncio.sleep(0.02)
    return found


def wait_until(condition: Callable[[], bool], timeout_seconds: float = 10.0, what: str = "the condition") -> None:
    """The same for tests that do not run in an event loop."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {timeout_seconds} s")
        time.sleep(0.01)
