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


async def test_a_task_that_goes_on_after_a_group_failed_is_not_taken_for_cancelled() -> None:
    async def fail_while_the_group_is_left() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_fail())

    async def go_on() -> str:
        try:
            await asyncio.create_task(fail_while_the_group_is_left())
        except* ValueError:
            pass
        honour_cancellation()
        return "went on"

    assert await asyncio.create_task(go_on()) == "went on"


async def _fail() -> None:
    await asyncio.sleep(0)
    raise ValueError
