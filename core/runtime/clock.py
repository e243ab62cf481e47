"""Time as something handed in, so that tests advance it instead of sleeping."""

from __future__ import annotations

import asyncio
import heapq
import time
from itertools import count
from typing import Final, Protocol

_LEAST_SKEW_US: Final = 500_000
_LONGEST_QUESTION_SECONDS: Final = 1.0


class Clock(Protocol):
    """Where a part of Watchkeep gets its time from."""

    def now_us(self) -> int:
        """Return the instant, µs since 1970 UTC; it may jump when somebody sets the machine's clock."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back, from an arbitrary origin."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`; at once (but letting others run) when they are zero or negative."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_us(self) -> int:
        """Return the instant, µs since 1970 UTC."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        await asyncio.sleep(max(0.0, seconds))


class SharedClock:
    """A machine's clock, set right by one that several machines share; only its instants, never its seconds.

    Differences up to half a second are left alone, since instants shall not jump for nothing.
    """

    def __init__(self, own: Clock) -> None:
        self._own = own
        self._offset_us = 0

    @property
    def skew_seconds(self) -> float:
        """How far the machine's own clock is ahead of the shared one; 0 when they agree or nothing was heard yet."""
        return -self._offset_us / 1_000_000

    def heard(self, at_us: int, asked: float, answered: float) -> None:
        """Take note of what the shared clock said: `at_us`, somewhere between these two monotonic instants."""
        if answered - asked > _LONGEST_QUESTION_SECONDS:
            return
        offset_us = at_us + round((answered - asked) / 2 * 1_000_000) - self._own.now_us()
        if abs(offset_us - self._offset_us) > _LEAST_SKEW_US:
            self._offset_us = offset_us if abs(offset_us) > _LEAST_SKEW_US else 0

    def now_us(self) -> int:
        """Return the shared clock's instant."""
        return self._own.now_us() + self._offset_us

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return self._own.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        await self._own.sleep(seconds)


class ManualClock:
    """A clock for tests: it stands until it is advanced, and wakes its sleepers in the order they are due."""

    def __init__(self, now_us: int = 1_700_000_000_000_000, monotonic: float = 1000.0) -> None:
        self._now_us = now_us
        self._monotonic = monotonic
        self._order = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now_us(self) -> int:
        """Return the instant, µs since 1970 UTC."""
        return self._now_us

    def monotonic(self) -> float:
        """Return seconds that only `advance` moves."""
        return self._monotonic

    @property
    def sleepers(self) -> int:
        """How many tasks are asleep: what a test waits for before it advances."""
        return sum(1 for _, _, sleeper in self._sleepers if not sleeper.done())

    async def sleep(self, seconds: float) -> None:
        """Return when the clock was advanced by `seconds`."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic + seconds, next(self._order), sleeper))
        await sleeper

    async def advance(self, seconds: float) -> None:
        """Move both times on; whoever is due runs at its own instant, in order, and may go to sleep again."""
        end = self._monotonic + seconds
        await self._let_others_run()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, sleeper = heapq.heappop(self._sleepers)
            self._move_to(due)
            if not sleeper.done():
                sleeper.set_result(None)
                await self._let_others_run()
        self._move_to(end)

    def jump(self, seconds: float) -> None:
        """Move the instant only, as somebody setting the machine's clock does."""
        self._now_us += round(seconds * 1_000_000)

    def _move_to(self, monotonic: float) -> None:
        step = max(0.0, monotonic - self._monotonic)
        self._now_us += round(step * 1_000_000)
        self._monotonic += step

    @staticmethod
    async def _let_others_run() -> None:
        for _ in range(10):  # a woken task gets this many turns of the loop to reach its next sleep
            await asyncio.sleep(0)
