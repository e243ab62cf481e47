"""Runs a daemon's coroutine until a signal says stop."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine


def run_until_signal(daemon: Coroutine[Any, Any, None]) -> None:
    """Run until it ends or SIGTERM or SIGINT cancels it; its own exceptions come out, as exception groups too."""
    asyncio.run(_run(daemon))


async def _run(daemon: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(daemon)
    is_stopped = False

    def stop() -> None:
        nonlocal is_stopped
        is_stopped = True
        task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        await task
    except asyncio.CancelledError:
        if not is_stopped:
            raise
