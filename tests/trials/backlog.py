"""R3: the servers were away for hours; the spools drain in the backlog lane while live values keep arriving."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from core.model.record import HEADER_BYTES
from tests.support.files import sizes_in
from tests.trials.finding import Finding
from tests.trials.judging import judge
from tests.trials.site import PROXIES, SERVERS, SOURCES
from tests.trials.stack import running_stack, until_true

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tests.trials.stack import Stack

SHORT_BATCHES: Final = 2_500
LONG_BATCHES: Final = 30_000
"""Of the past, from each source."""
SHORT_RATE: Final = 4.0
LONG_RATE: Final = 10.0
"""Live batches a second from each source."""
AWAY_SECONDS: Final = 7_200.0
LIVE_SECONDS: Final = 2.0
LOADED_LIVE_SECONDS: Final = 30.0
"""In the short form, which other tests may slow down."""
WAITING_PART: Final = 1 / 4
"""Of live values that wait for the backlog's end half wait for half of it or longer. When half wait for less than a
quarter, that tells waiting from being slow, also when something was held up for seconds."""
DRAIN_FACTOR: Final = 5.0
# When a batch was measured and when its transaction was committed, seconds since 1970; of the past, and of now.
PAST: Final = """
SELECT source_id, count(*)::int8, sum(cardinality(items))::int8,
       extract(epoch FROM min(pg_xact_commit_timestamp(xmin)))::float8,
       extract(epoch FROM max(pg_xact_commit_timestamp(xmin)))::float8
FROM history_batch WHERE first_at < to_timestamp(%s) GROUP BY source_id
"""
LIVE: Final = """
SELECT source_id, extract(epoch FROM last_at)::float8, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8
FROM history_batch WHERE first_at >= to_timestamp(%s)
"""


@dataclass(frozen=True, kw_only=True)
class Drain:
    """How the backlog came: `values` in `seconds`; `delays` in seconds, float64[n], of live batches made meanwhile."""

    values: int
    seconds: float
    delays: NDArray[np.float64]

    @property
    def rate(self) -> float:
        return self.values / self.seconds

    def summary(self, live_rate: float) -> str:
        p50, p95 = np.percentile(self.delays, (50, 95))
        return (
            f"a backlog of {self.values} values drained in {self.seconds:.1f} s, {self.rate:,.0f}/s, "
            f"{self.rate / live_rate:.0f} times the live rate; {len(self.delays)} live batches meanwhile in SQL after "
            f"p50 {p50:.2f} s, p95 {p95:.2f} s, max {self.delays.max():.2f} s"
        )


async def run(*, is_long: bool) -> list[Finding]:
    batches, rate = (LONG_BATCHES, LONG_RATE) if is_long else (SHORT_BATCHES, SHORT_RATE)
    async with running_stack(wave_batches=0, batches_per_second=rate) as stack:
        live_rate = rate * stack.plan.counters * len(stack.plan.sources)
        past_until = await _go_away(stack, batches)
        for server in SERVERS:
            await stack.start(server)
        drain = await _watch(stack, batches * len(stack.plan.sources), past_until)
        await stack.drain()
        verdict = await asyncio.to_thread(judge, stack.plan, stack.dsn, stack.receiver.told)
    faults = verdict.faults()
    latest = float(drain.delays.max())
    if latest > (LIVE_SECONDS if is_long else LOADED_LIVE_SECONDS):
        faults.append(f"a live batch came after {latest:.1f} s")
    if np.median(drain.delays) > max(WAITING_PART * drain.seconds, LIVE_SECONDS / 2):
        faults.append(f"live batches waited for the backlog: {drain.summary(live_rate)}")
    if drain.rate < DRAIN_FACTOR * live_rate:
        faults.append(f"the backlog drained at {drain.rate:,.0f} values a second, live ones came at {live_rate:,.0f}")
    return [
        Finding(
            trial="backlog",
            injected=f"servers away; {drain.values} values of {AWAY_SECONDS / 3600:g} h ago in the proxies' custody, "
            f"{live_rate:,.0f} values a second live, boots that began in the outage",
            required=f"lost 0, doubled 0; live within {LIVE_SECONDS:g} s; drain ≥ {DRAIN_FACTOR:g} times the live rate",
            found=f"{drain.summary(live_rate)}; lost {verdict.lost}, doubled {verdict.doubled} of {verdict.appended}",
            faults=faults,
        )
    ]


async def _go_away(stack: Stack, batches: int) -> float:
    """Stop the servers; let the sources, in new boots, hand the proxies an outage's values; return when those end.

    The sources go on with live ones.
    """
    await stack.parts[SOURCES].stop()
    for server in SERVERS:
        await stack.parts[server].stop()
    past_from = time.time() - AWAY_SECONDS
    past_until = past_from + AWAY_SECONDS / 2
    plan = replace(stack.plan, past_batches=batches, past_from=past_from, past_until=past_until)
    plan.write(stack.site.config_file(SOURCES))
    await stack.start(SOURCES)
    record_bytes = HEADER_BYTES + 16 * plan.counters
    wanted_bytes = record_bytes * batches * len(plan.sources)

    async def is_in_custody() -> bool:
        return sum(sum(sizes_in(stack.site.data(proxy) / "spool")) for proxy in PROXIES) >= wanted_bytes

    await until_true(is_in_custody, 300, "the backlog in the proxies' custody")
    return past_until


async def _watch(stack: Stack, batches: int, past_until: float) -> Drain:
    """Wait until the whole backlog is stored; return how it came, by the instants of the commits."""
    found: list[tuple[int, int, int, float, float]] = []

    async def look() -> bool:
        nonlocal found
        await asyncio.sleep(0.5)  # looking costs the database work that is not the trial's
        found = [(*row,) for row in await stack.query(PAST, (past_until,))]
        return sum(count for _, count, *_ in found) >= batches

    await until_true(look, 600, "the backlog in the database")
    spans = {source: (first, last) for source, _, _, first, last in found}
    begin, end = min(first for first, _ in spans.values()), max(last for _, last in spans.values())
    # A source's live values are awaited from when its proxy's link was up again, which its backlog shows.
    delays = [
        committed - measured
        for source, measured, committed in await stack.query(LIVE, (past_until,))
        if source in spans and spans[source][0] <= measured <= end
    ]
    values = sum(value_count for _, _, value_count, *_ in found)
    return Drain(values=values, seconds=max(end - begin, 0.001), delays=np.array(delays, np.float64))
