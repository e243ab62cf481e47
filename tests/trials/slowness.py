"""R7: a consumer that takes 1 KB/s stops its sender by credit; at full speed again nothing is missing."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from core.model.record import HEADER_BYTES
from core.wire.limits import WINDOW_BYTES
from tests.support.slow_wire import slow_wire
from tests.trials.finding import Finding
from tests.trials.judging import judge
from tests.trials.site import PROXIES, SOURCES
from tests.trials.stack import running_stack, until_true

if TYPE_CHECKING:
    from tests.trials.stack import Stack

SLOW_HOST: Final = "127.0.0.2"
SLOW_BYTES_PER_SECOND: Final = 1000
SHORT_BYTES: Final = 8 << 20
LONG_BYTES: Final = 128 << 20
"""How much the source holds before the consumer is fast again: more than the credit of a link."""
MOST_GROWTH_BYTES: Final = 64 << 20
SOURCE: Final = "source1"
COUNTERS: Final = 4000
RECORD_BYTES: Final = HEADER_BYTES + 16 * COUNTERS


async def run(*, is_long: bool) -> list[Finding]:
    wanted = LONG_BYTES if is_long else SHORT_BYTES
    async with AsyncExitStack() as opened:
        stack = await opened.enter_async_context(
            running_stack(sources=1, has_load=False, counters=COUNTERS, batches_per_second=20.0, wave_batches=0)
        )
        ports = [stack.site.ports[f"{proxy} {use}"] for proxy in PROXIES for use in ("control", "data")]
        wire = await opened.enter_async_context(slow_wire(SLOW_HOST, "127.0.0.1", ports))
        slow = tuple((endpoint.replace("127.0.0.1", SLOW_HOST), key) for endpoint, key in stack.plan.proxies)
        stack.plan = replace(stack.plan, proxies=slow)
        stack.plan.write(stack.site.config_file(SOURCES))
        await stack.start(SOURCES)
        await stack.flowing()
        await until_true(
            lambda: _holds(stack, at_most=RECORD_BYTES * 10), 120, "the storing of what waited for the start"
        )
        before = _memory(stack)
        wire.bytes_per_second, passed = SLOW_BYTES_PER_SECOND, wire.passed_bytes
        in_flight = 0.0

        async def holds_enough() -> bool:
            nonlocal in_flight
            in_flight = max(in_flight, stack.status()["sources"][SOURCE]["counters"].get("link.in_flight_bytes", 0))
            return _held_bytes(stack) >= wanted and in_flight > 0

        await until_true(holds_enough, 120 + wanted / 100_000, f"{wanted} bytes waiting at the source")
        growth = {part: size - before[part] for part, size in _memory(stack).items()}
        trickled = wire.passed_bytes - passed
        wire.bytes_per_second = None
        await stack.drain(300)
        verdict = await asyncio.to_thread(judge, stack.plan, stack.dsn, stack.receiver.told)
    faults = verdict.faults()
    faults += [f"{part} grew by {size} bytes" for part, size in growth.items() if size >= MOST_GROWTH_BYTES]
    if not 0 < in_flight <= WINDOW_BYTES + RECORD_BYTES:
        faults.append(f"{in_flight} bytes were under way, the credit is {WINDOW_BYTES}")
    most = max(growth.values())
    return [
        Finding(
            trial="slowness",
            injected=f"proxies that take {SLOW_BYTES_PER_SECOND} B/s until {wanted >> 20} MiB wait; then full speed",
            required="lost 0, doubled 0; memory grows by less than 64 MiB",
            found=f"{verdict.summary()}; under way at most {in_flight / 2**20:.1f} MiB, {trickled} bytes trickled;"
            f" memory grew by at most {most / 2**20:.1f} MiB",
            faults=faults,
        )
    ]


def _held_bytes(stack: Stack) -> int:
    return int(stack.status()["sources"][SOURCE]["unstored"]) * RECORD_BYTES


async def _holds(stack: Stack, *, at_most: int) -> bool:
    return _held_bytes(stack) <= at_most


def _memory(stack: Stack) -> dict[str, int]:
    """Resident bytes of the source's process and of the proxies', by part."""
    found = {}
    for part in (SOURCES, *PROXIES):
        status = Path(f"/proc/{stack.parts[part].pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
        found[part] = int(line.split()[1]) * 1024
    return found
