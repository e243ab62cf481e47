"""Cancellations that Python 3.11 loses, found again."""

from __future__ import annotations

import asyncio


def honour_cancellation() -> None:
    """Raise CancelledError when the running task was asked to end and what it awaited swallowed that.

    asyncio.wait_for, which psycopg uses, loses a cancellation that arrives just as the wait ends
    (https://github.com/python/cpython/issues/86296), and a TaskGroup one that meets a failing child; the task would
    run on for ever. Call it after such a wait and in loops that go on after a failed group.

    The other way round, a TaskGroup whose child fails while the group is being left never takes back the cancellation
    it asked of its own task, which then looks cancelled for ever. So a task that goes on after a group has failed runs
    that group in a task of its own: `await asyncio.create_task(...)`.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
