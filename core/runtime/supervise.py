"""Keeping a task running."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.runtime.backoff import Backoff
from core.runtime.logging import Log

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from core.runtime.clock import Clock
    from core.runtime.counters import Counters

log = Log("supervise")


class PermanentFault(Exception):
    """Trying again cannot help; the message says what is wrong and what to do."""


@dataclass(frozen=True, kw_only=True)
class Supervisor:
    """Runs work again when it fails, waiting longer each time; a run longer than the cap counts as a success."""

    clock: Clock
    counters: Counters
    backoff: Backoff = field(default_factory=Backoff)
    fraction: Callable[[], float] = random.random

    async def keep_running(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work()` until it returns; count failures as `supervised.<name>.restarts` and log each with its trace.

        Cancellation and PermanentFault pass through.
        """
        delay = 0.0
        while True:
            began = self.clock.monotonic()
            try:
                await work()
                return
            except PermanentFault:
                raise
            except Exception as error:  # noqa: BLE001 - the one place where a bug in a part is survived
                if self.clock.monotonic() - began > self.backoff.cap_seconds:
                    delay = 0.0
                delay = self.backoff.next_delay(delay, self.fraction())
                self.counters.add(f"supervised.{name}.restarts")
                log.crash("A part failed and is started again", error, part_name=name, again_in_seconds=round(delay, 3))
            await self.clock.sleep(delay)
