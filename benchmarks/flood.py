"""Sources that publish as fast as they are allowed to, through the real Outbox and Publisher.

`python -m benchmarks.flood FILE`; FILE is JSON: data (folder), upstream ([endpoint, key]), sources ([name, uuid] each),
items (a source's), hold_bytes (what a source's spool may hold before it waits), pause_seconds (between two batches of
a source), interval_seconds (how far apart the instants of two batches are, beginning weeks ago; 0: the true time). Runs
until SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from core.model.item import ItemDescription
from core.model.record import HEADER_BYTES
from core.runtime.clock import SystemClock
from core.runtime.counters import Counters
from core.security.keys import read_public
from core.spool.outbox import Outbox
from core.spool.spool import SpoolLimits
from core.wire.curve import load_or_create
from core.wire.greeter import HeartbeatFacts, HelloFacts
from core.wire.publisher import Publisher, Upstream

if TYPE_CHECKING:
    from core.wire.greeter import AckKind
    from core.wire.messages import Acknowledgements, Configuration, Welcome

SPOOL_BYTES: Final = 256 << 20
FULL_PAUSE_SECONDS: Final = 0.002
BACK_US: Final = 30 * 86400 * 1_000_000
"""How long ago instants of a set interval begin: they may run for weeks before they reach the present."""


@dataclass
class Greeting:
    """What a source says on its link."""

    name: str
    outbox: Outbox

    def hello(self) -> HelloFacts:
        """Say who this is."""
        return HelloFacts(
            role="agent", name=self.name, source=self.outbox.source.bytes, boots=tuple(self.outbox.held_boots()),
            configuration=0, epoch=0, software="flood",
        )  # fmt: skip

    def welcomed(self, welcome: Welcome) -> None:
        """Nothing is rolled back here."""

    def acknowledged(self, kind: AckKind, acks: Acknowledgements) -> None:
        """The publisher has marked it in the spool."""

    async def configured(self, message: Configuration) -> None:
        """A flood takes no orders."""

    def epoch_seen(self, epoch: int) -> None:
        """Forgotten at once."""

    def heartbeat(self) -> HeartbeatFacts:
        """Say how much is held."""
        spool = self.outbox.spool
        return HeartbeatFacts(
            boot=self.outbox.boot, number=self.outbox.last_number, held_records=spool.held_records,
            held_bytes=spool.held_bytes, oldest_at=spool.oldest_at or 0,
        )  # fmt: skip


async def flood(plan: dict[str, Any], name: str, source: UUID) -> None:
    """Publish every item once per batch, again and again, waiting while too much is held."""
    clock = SystemClock()
    folder = Path(plan["data"]) / name
    outbox = Outbox.open(folder, source, SpoolLimits(max_bytes=SPOOL_BYTES), clock)
    endpoint, key = plan["upstream"]
    publisher = Publisher(
        spool=outbox.spool, keys=load_or_create(Path(plan["data"]) / f"{name}.key"),
        upstreams=[Upstream(endpoint=endpoint, key=read_public(key))], greeter=Greeting(name, outbox), clock=clock,
        counters=Counters(),
    )  # fmt: skip
    count = plan["items"]
    numbers = outbox.describe([ItemDescription(key=f"load[{place}]") for place in range(count)])
    items = array("I", numbers)
    values = array("d", [place % 97 + 0.25 for place in range(count)])
    held_most = max(plan["hold_bytes"] // (HEADER_BYTES + 16 * count), 4)
    interval_us = round(plan["interval_seconds"] * 1e6)
    at_us = clock.now_us() - BACK_US
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(publisher.run())
        while True:
            at_us = at_us + interval_us if interval_us else clock.now_us()
            outbox.publish(items, [at_us] * count, values)
            publisher.notify()
            await asyncio.sleep(plan["pause_seconds"])
            # By its records: a file that is still written stays whole until all of it is stored and it is full.
            while outbox.spool.held_records > held_most:
                await clock.sleep(FULL_PAUSE_SECONDS)


async def run(plan: dict[str, Any]) -> None:
    """Run every source until SIGTERM."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with asyncio.TaskGroup() as tasks:
        for name, uuid in plan["sources"]:
            tasks.create_task(flood(plan, name, UUID(uuid)))


if __name__ == "__main__":
    try:
        asyncio.run(run(json.loads(Path(sys.argv[1]).read_text())))
    except asyncio.CancelledError:
        sys.exit(0)
