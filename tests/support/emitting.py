"""A source of a test's own: real outbox, real link, values the test chooses."""

from __future__ import annotations

import asyncio
from array import array
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.model.item import ItemDescription
from core.runtime.clock import SystemClock
from core.runtime.counters import Counters
from core.security.keys import read_public
from core.spool.outbox import Outbox
from core.spool.spool import SpoolLimits
from core.wire.publisher import Publisher, Upstream
from tests.trials.source import Greeting, Memory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path
    from uuid import UUID

    from core.runtime.clock import Clock
    from core.security.keys import KeyPair


@dataclass(frozen=True)
class Emitter:
    """Publishes what it is told to, at once."""

    outbox: Outbox
    publisher: Publisher
    clock: Clock

    def publish(self, values: Mapping[str, float]) -> int:
        """Append one batch, by item key, measured now; return that instant (µs)."""
        descriptions = [ItemDescription(key=key, type="number", unit="", description="") for key in values]
        numbers = array("I", self.outbox.describe(descriptions))
        now = self.clock.now_us()
        self.outbox.publish(numbers, [now] * len(numbers), array("d", values.values()))
        self.publisher.notify()
        return now

    @property
    def unstored(self) -> int:
        """How many records are not known to be stored."""
        return sum(ranges.count for ranges in self.outbox.spool.unstored().values())


@asynccontextmanager
async def emitting(
    folder: Path,
    *,
    name: str,
    source: UUID,
    keys: KeyPair,
    upstreams: Sequence[tuple[str, str]],
    clock: Clock | None = None,
) -> AsyncIterator[Emitter]:
    """Run a source until the block ends; `upstreams` are (endpoint, public key), the preferred one first."""
    clock = clock or SystemClock()
    outbox = Outbox.open(folder / "spool", source, SpoolLimits(), clock)
    greeting = Greeting(name, outbox, Memory(folder / "epoch"))
    greeting.upstreams = [Upstream(endpoint=endpoint, key=read_public(key)) for endpoint, key in upstreams]
    publisher = Publisher(
        spool=outbox.spool, keys=keys, greeter=greeting, clock=clock, counters=Counters(), upstreams=greeting.upstreams
    )
    greeting.publisher = publisher
    running = asyncio.create_task(publisher.run())
    try:
        yield Emitter(outbox, publisher, clock)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        outbox.close()
