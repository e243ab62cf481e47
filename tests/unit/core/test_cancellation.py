"""A lost cancellation is found again."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from core.runtime.cancellation import honour_cancellation


async def test_a_cancellation_that_a_wait_has_swallowed_is_raised_after_all() -> None:
    reached = asyncio.Event()

    async def swallow() -> None:
        reached.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        honour_cancellation()

    task = asyncio.create_task(swallow())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_task_nobody_cancelled_goes_on() -> None:
    honour_cancellation()
