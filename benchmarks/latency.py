"""From a value over its threshold, measured at a source, to the webhook received: through proxy, server, PostgreSQL.

`python -m benchmarks.latency` takes under a minute; `--long` measures five times 200 events each way, medians and their
spread; `--json` prints one object. Every event waits for the one before, at random instants, first alone, then beside
5,000 values a second; with `--load half` beside half of what the same processes can store, measured in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.site import process
from benchmarks.spread import print_spread, summarise
from core.wire.curve import load_or_create
from server.inventory.apply import apply, check_documents, propose
from server.store.database import Database, DatabaseOptions
from server.store.definitions import Author
from tests.integration.media.receiver import open_receiver
from tests.support.emitting import emitting
from tests.trials.site import PROXIES, SOURCES
from tests.trials.stack import running_stack
from watchkeep.definition_files import read_places

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.media.receiver import Received
    from tests.support.emitting import Emitter
    from tests.trials.stack import Stack

AIM_P95_SECONDS: Final = 0.1
AIM_P95_LOADED_SECONDS: Final = 0.5
ZABBIX_SECONDS: Final = 3.0
"""What Zabbix needed for the same on this machine, measured before."""
LOAD_VALUES: Final = 5000
FLOOD_ITEMS: Final = 1000
FLOOD_HOLD_BYTES: Final = 4 << 20
CEILING_SECONDS: Final = 8.0
SETTLE_SECONDS: Final = 4.0
HIGH, LOW = 150.0, 50.0
LONGEST_PAUSE_SECONDS: Final = 0.25
WAIT_SECONDS: Final = 30.0
ITEM: Final = "bench.latency"
DEFINITIONS: Final = """
kind: template
name: latency
items:
  - {{item: {item}}}
triggers:
  - name: Too high
    expression: last({item}) > 100
    severity: disaster
---
kind: host
name: {host}
templates: [latency]
---
kind: receiver
name: latency
webhook: {{url: "{url}", allow_private: true}}
severities: [disaster]
"""
STAGES: Final = """
SELECT o.key::text, extract(epoch FROM e.stored_at)::float8,
       extract(epoch FROM pg_xact_commit_timestamp(e.xmin))::float8
FROM outbox o JOIN event e ON e.id = o.event_id
"""


@dataclass(frozen=True, kw_only=True)
class Passed:
    """One event: seconds since 1970 when it was measured and received, and the key of its notice."""

    measured: float
    received: float
    key: str


class Bell:
    """Rings when a notice comes: the receiver's end of the race."""

    def __init__(self) -> None:
        self._ring: asyncio.Future[tuple[float, str]] | None = None

    def hear(self, notice: Received) -> None:
        """Note when a notice came, if one is waited for."""
        if self._ring is not None and not self._ring.done():
            self._ring.set_result((time.time(), notice.key))

    async def event(self, emitter: Emitter, value: float) -> Passed:
        """Publish a value that changes the trigger's state, wait for its notice."""
        self._ring = asyncio.get_running_loop().create_future()
        measured_us = emitter.publish({ITEM: value})
        received, key = await asyncio.wait_for(self._ring, WAIT_SECONDS)
        return Passed(measured=measured_us / 1e6, received=received, key=key)


async def measure(events: int, repetitions: int, *, is_half: bool) -> dict[str, Any]:
    """Run the whole chain and return the figures of both runs; `is_half`: beside half of what can be stored."""
    async with AsyncExitStack() as opened:
        stack = await opened.enter_async_context(
            running_stack(sources=2, has_load=False, counters=249, batches_per_second=LOAD_VALUES / 250)
        )
        receiver = await opened.enter_async_context(open_receiver())
        bell = Bell()
        receiver.on_receive = bell.hear
        host, source = stack.site.sources[1]
        await define(stack, DEFINITIONS.format(item=ITEM, host=host, url=receiver.url()))
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="watchkeep-latency-")))
        emitter = await opened.enter_async_context(
            emitting(
                folder,
                name=host,
                source=source,
                keys=load_or_create(stack.plan.key_file(host)),
                upstreams=[(stack.site.endpoint(PROXIES[0]), stack.site.public_key(PROXIES[0]))],
            )
        )
        await begin(bell, emitter)
        ceiling = await measure_ceiling(stack) if is_half else 0.0
        quiet = [await series(stack, bell, emitter, events) for _ in range(repetitions)]
        if is_half:
            opened.enter_context(flooding(stack, ceiling / 2))
            await asyncio.sleep(SETTLE_SECONDS)
        else:
            await start_load(stack)
        stored, began = await stored_values(stack), time.perf_counter()
        loaded = [await series(stack, bell, emitter, events) for _ in range(repetitions)]
        load = (await stored_values(stack) - stored) / (time.perf_counter() - began)
    runs = [{"quiet": one, "loaded": other} for one, other in zip(quiet, loaded, strict=True)]
    found = summarise(runs) | {"events": events, "load_values_per_second": round(load)}
    return found | ({"ceiling_values_per_second": round(ceiling)} if is_half else {})


async def measure_ceiling(stack: Stack) -> float:
    """Return how many values a second are stored when one source sends all it can."""
    with flooding(stack, None):
        await asyncio.sleep(SETTLE_SECONDS)
        stored, began = await stored_values(stack), time.perf_counter()
        await asyncio.sleep(CEILING_SECONDS)
        rate = (await stored_values(stack) - stored) / (time.perf_counter() - began)
    await asyncio.sleep(SETTLE_SECONDS)  # what the proxy holds is stored
    return rate


async def stored_values(stack: Stack) -> int:
    """Return how many values lie in hot history."""
    ((count,),) = await stack.query("SELECT coalesce(sum(cardinality(items)), 0)::int8 FROM history_batch")
    return int(count)


@contextmanager
def flooding(stack: Stack, values_per_second: float | None) -> Iterator[None]:
    """Have the first source send within the block, so many values a second; None: as many as it is let."""
    name, source = stack.site.sources[0]
    file = stack.plan.data / "flood.json"
    file.write_text(
        json.dumps(
            {
                "data": str(stack.plan.data),
                "upstream": [stack.site.endpoint(PROXIES[0]), stack.site.public_key(PROXIES[0])],
                "sources": [[name, str(source)]],
                "items": FLOOD_ITEMS,
                "hold_bytes": FLOOD_HOLD_BYTES,
                "pause_seconds": 0.0 if values_per_second is None else FLOOD_ITEMS / values_per_second,
                "interval_seconds": 0.0,
            }
        )
    )
    with process("benchmarks.flood", str(file), log=stack.site.folder / "flood.log"):
        yield


async def define(stack: Stack, text: str) -> None:
    """Bring definitions into force, as `watchkeep apply` does."""
    file = stack.site.folder / "latency.yaml"
    file.write_text(text)
    documents, faults = read_places([str(file)])
    async with Database(DatabaseOptions(dsn=stack.dsn, server="bench", max_connections=1), purpose="bench") as database:
        proposal = await propose(database, check_documents(documents), via="file")
        if faults or proposal.faults:
            raise RuntimeError([*faults, *proposal.faults])
        await apply(database, proposal, Author(name="bench", via="file"))


async def begin(bell: Bell, emitter: Emitter) -> None:
    """Publish low and high until the first notice: the trigger is bound to the new item."""
    for _ in range(round(WAIT_SECONDS)):
        emitter.publish({ITEM: LOW})
        try:
            async with asyncio.timeout(1.0):
                await bell.event(emitter, HIGH)
        except TimeoutError:
            continue
        await bell.event(emitter, LOW)
        return
    raise RuntimeError("no notice came at all")


async def start_load(stack: Stack) -> None:
    """Have the first source publish beside; the second one is ours."""
    replace(stack.plan, sources=stack.plan.sources[:1]).write(stack.site.config_file(SOURCES))
    await stack.start(SOURCES)
    await stack.flowing()


async def series(stack: Stack, bell: Bell, emitter: Emitter, events: int) -> dict[str, float]:
    """Return the percentiles, in seconds, of so many events, and of their stages."""
    passed = []
    for number in range(events):
        await asyncio.sleep(random.uniform(0, LONGEST_PAUSE_SECONDS))
        passed.append(await bell.event(emitter, LOW if number % 2 else HIGH))
    if events % 2:
        await bell.event(emitter, LOW)
    stages = {key: (begun, stored) for key, begun, stored in await stack.query(STAGES)}
    whole = [each.received - each.measured for each in passed]
    return {
        "p50": statistics.median(whole),
        "p95": percentile(whole, 95),
        "max": max(whole),
        "measured_to_transaction_p50": statistics.median(stages[each.key][0] - each.measured for each in passed),
        "transaction_p50": statistics.median(stages[each.key][1] - stages[each.key][0] for each in passed),
        "committed_to_received_p50": statistics.median(each.received - stages[each.key][1] for each in passed),
    }


def percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("--long", action="store_true", help="five times 200 events in each run")
    parser.add_argument(
        "--load", choices=("5000", "half"), default="5000", help="values a second beside, or half of what can be stored"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args()
    events, repetitions = (200, 5) if chosen.long else (60, 1)
    found = asyncio.run(measure(events, repetitions, is_half=chosen.load == "half"))
    found |= {"aim_p95": AIM_P95_SECONDS, "aim_p95_loaded": AIM_P95_LOADED_SECONDS, "zabbix": ZABBIX_SECONDS}
    if chosen.json:
        print(json.dumps(found))
        return 0
    machine = f"Python {sys.version.split()[0]}, {os.cpu_count()} cores"
    print(f"value over threshold → webhook, {found['events']} events a run, {machine}")
    beside = f"{found['load_values_per_second']:,} values/s beside"
    if "ceiling_values_per_second" in found:
        print(f"  one source that sends all it can: {found['ceiling_values_per_second']:,} values/s stored")
    for name, told in (("quiet", "nothing else"), ("loaded", beside)):
        row = {key: seconds * 1000 for key, seconds in found[name].items()}
        print(f"  {told:26} p50 {row['p50']:5.0f} ms   p95 {row['p95']:5.0f} ms   max {row['max']:5.0f} ms")
        print(
            f"  {'of it, p50':26} to the transaction {row['measured_to_transaction_p50']:.0f} ms, to its commit"
            f" {row['transaction_p50']:.0f} ms, to the receiver {row['committed_to_received_p50']:.0f} ms"
        )
    aims = f"aim p95 ≤ {AIM_P95_SECONDS:g} s, with values beside ≤ {AIM_P95_LOADED_SECONDS:g} s"
    print(f"  {aims}; Zabbix {ZABBIX_SECONDS:g} s here")
    print_spread(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
