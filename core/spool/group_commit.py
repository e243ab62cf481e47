"""Many wait for one fsync."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class GroupCommit:
    """Runs `commit` for whoever waits: one at a time, shared by all who came before it began."""

    def __init__(self, commit: Callable[[], Coroutine[None, None, None]]) -> None:
        self._commit = commit
        self._running: asyncio.Task[None] | None = None

    async def until(self, is_reached: Callable[[], bool]) -> None:
        """Return when `is_reached()`; raises what a commit raised meanwhile.

        Cancelling one who waits does not stop the commit the others wait for.
        """
        while not is_reached():
            if self._running is None:
                self._running = asyncio.create_task(self._commit(), name="spool fsync")
                self._running.add_done_callback(self._finish)
            await asyncio.shield(self._running)

    def _finish(self, task: asyncio.Task[None]) -> None:
        self._running = None
        if not task.cancelled():
            task.exception()  # retrieved even when everybody who waited was cancelled
