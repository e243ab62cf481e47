"""R9: the active server is killed, or frozen in its transaction; the standby takes over, the old one is harmless."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from core.runtime.clock import SystemClock
from core.runtime.counters import Counters
from core.security.authority import KeyRing, Peer
from core.wire.collector import Collector
from core.wire.curve import load_or_create
from core.wire.messages import Configuration, Hello, Welcome
from tests.support.waiting import until
from tests.trials.audit import Audit
from tests.trials.finding import Finding
from tests.trials.judging import judge
from tests.trials.site import PROXIES, SERVERS
from tests.trials.stack import running_stack, until_true
from tests.trials.succession import REPLACED, TAKEOVER_SECONDS, Takeovers, ready_to_take_over, taken_at
from tests.trials.takeovers import SHORT_BLOWS, deal, judge_campaign

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from core.wire.messages import SourceMessage
    from tests.trials.database_wire import Passage
    from tests.trials.stack import Stack

SHORT_REPETITIONS: Final = 2
LONG_REPETITIONS: Final = 50
HELD: Final = """
SELECT count(*) FROM pg_stat_activity a JOIN pg_locks l USING (pid)
WHERE a.pid = %s AND a.query ~ '^\\s*COPY history_batch' AND a.state = 'active' AND l.relation = 'lease'::regclass
"""


async def run(*, is_long: bool) -> list[Finding]:
    repetitions = LONG_REPETITIONS if is_long else SHORT_REPETITIONS
    async with running_stack() as stack:
        audit = await asyncio.to_thread(Audit, stack)
        killed, frozen = Takeovers(), Takeovers()
        for number in range(repetitions):
            await _kill_active(stack, killed)
            await _freeze_active(stack, frozen, wakes_late=number % 2 == 1)
        dealt = [] if is_long else [await _take_over_at_random(stack, audit)]
        old_writes, all_writes = audit.old_writes(), audit.writes()
        refused = await _command_with_old_epochs(stack)
        await stack.drain()
        verdict = await asyncio.to_thread(judge, stack.plan, stack.dsn, stack.receiver.told)
        epoch, _, _ = await stack.lease()
        audit.write_as(epoch - 1)
        can_notice = audit.old_writes() == old_writes + 1
    faults = verdict.faults()
    for name, takeovers in (("killed", killed), ("frozen", frozen)):
        if max(takeovers.seconds) > TAKEOVER_SECONDS:
            faults.append(f"{name}: a takeover took {max(takeovers.seconds):.1f} s")
    if old_writes or not all_writes or not can_notice:
        faults.append(f"{old_writes} writes under epochs that were over, of {all_writes} seen")
    faults += refused.faults + frozen.faults
    return [
        *dealt,
        Finding(
            trial="fence: killed",
            injected=f"kill -9 of the active server under load, {repetitions} times",
            required=f"takeover within {TAKEOVER_SECONDS:g} s",
            found=killed.summary(),
        ),
        Finding(
            trial="fence: frozen",
            injected=f"SIGSTOP inside COPY of an ingest transaction, SIGCONT after the takeover, {repetitions} times",
            required=f"takeover within {TAKEOVER_SECONDS:g} s; writes under the old epoch 0; the old server ends",
            found=f"{frozen.summary()}; writes of old epochs {old_writes} of {all_writes}; {verdict.summary()}",
            faults=faults,
        ),
        Finding(
            trial="fence: commands",
            injected="a server and a proxy of an old epoch welcome and command",
            required="refused, counted, nothing changes",
            found=refused.summary,
            faults=refused.faults,
        ),
    ]


async def _take_over_at_random(stack: Stack, audit: Audit) -> Finding:
    """Deal the blows of the trial `takeovers` here, where everything runs already; its long form has its own ground."""
    chance = random.Random()
    return judge_campaign(await deal(stack, SHORT_BLOWS, chance), audit, is_strict=False)


async def _kill_active(stack: Stack, takeovers: Takeovers) -> None:
    active, epoch = await ready_to_take_over(stack)
    began = time.time()
    await stack.kill(active)
    takeovers.seconds.append(await taken_at(stack, epoch) - began)
    await stack.start(active)
    await stack.flowing()


async def _freeze_active(stack: Stack, takeovers: Takeovers, *, wakes_late: bool) -> None:
    """Freeze it inside COPY, wake it after the takeover: at once, or only when the new one stores values."""
    active, epoch = await ready_to_take_over(stack)
    part = stack.parts[active]
    began = 0.0

    async def freeze(passage: Passage) -> None:
        nonlocal began

        async def is_inside() -> bool:
            ((count,),) = await stack.query(HELD, (passage.backend,))
            return int(count) > 0

        # Before it is frozen: what it copies is held back already, and soon after the takeover ends its connection.
        await until_true(is_inside, 15, "the stalled COPY that holds the epoch")
        part.send(signal.SIGSTOP)
        began = time.time()

    await asyncio.wait_for(stack.wires[active].aim("copy", freeze), 60)
    takeovers.seconds.append(await taken_at(stack, epoch) - began)
    if wakes_late:
        await stack.flowing()
    woken = time.monotonic()
    part.send(signal.SIGCONT)
    code = await part.ended()
    takeovers.ends.append(time.monotonic() - woken)
    assert code == REPLACED, f"{active} ended with {code}:\n{part.end_of_log()}"
    if "did not end in order" in part.end_of_log():
        takeovers.faults.append(f"the old {active} had to be ended: {part.end_of_log()[-1000:]}")
    await stack.start(active)
    await stack.flowing()


# ── Commands of an epoch that is over ──────────────────────────────────────────────────────────────────────────────


@dataclass
class Refused:
    summary: str = ""
    faults: list[str] = field(default_factory=list)


class Pretender:
    """A collector's Receiver that welcomes under `epoch`, keeps what it hears, and stores nothing."""

    def __init__(self, role: str, epoch: int) -> None:
        self.role = role
        self.epoch = epoch
        self.hellos: Counter[bytes] = Counter()
        self.welcomed: list[bytes] = []

    async def greet(self, peer: Peer, _hello: Hello) -> Welcome:
        self.hellos[peer.key] += 1
        return Welcome(role=self.role, epoch=self.epoch)

    async def receive(self, _peer: Peer, _records: bytes) -> None:
        """What comes is not acknowledged, so it stays with whoever sent it."""

    async def heard(self, peer: Peer, message: SourceMessage) -> None:
        if isinstance(message, Hello):
            self.welcomed.append(peer.key)


@asynccontextmanager
async def pretending(stack: Stack, part: str, pretender: Pretender, peers: list[Peer]) -> AsyncIterator[Collector]:
    """Serve on the ports and with the keys of `part`, which must be down."""
    collector = Collector(
        keys=load_or_create(stack.site.key_file(part)), authority=KeyRing(peers), bind_host="127.0.0.1",
        control_port=stack.site.ports[f"{part} control"], data_port=stack.site.ports[f"{part} data"],
        clock=SystemClock(), receiver=pretender, counters=Counters(),
    )  # fmt: skip
    serving = asyncio.create_task(collector.run())
    try:
        await asyncio.wait_for(collector.ready.wait(), 60)
        collector.stand(role=pretender.role, epoch=pretender.epoch, is_active=True)
        yield collector
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def _command_with_old_epochs(stack: Stack) -> Refused:
    """Let an old server, and then an old proxy, be all there is to connect to."""
    refused = Refused()
    epoch, _, _ = await stack.lease()
    before = await _proxy_counters(stack)
    for server in SERVERS:
        await stack.kill(server)
    proxies = [
        Peer(key=load_or_create(stack.site.key_file(proxy)).public, role="proxy", name=proxy, source=None)
        for proxy in PROXIES
    ]
    nobody = {"full": True, "peers": [], "documents": []}
    old = Pretender("server", epoch - 1)
    async with pretending(stack, SERVERS[0], old, proxies):
        await until(lambda: all(old.hellos[proxy.key] >= 2 for proxy in proxies), 120, "each proxy's second hello")
    present = Pretender("server", epoch)
    refusals = {proxy: _refusals(stack, proxy) for proxy in PROXIES}
    async with pretending(stack, SERVERS[0], present, proxies) as collector:
        await until(lambda: len(set(present.welcomed)) == len(proxies), 120, "the proxies")
        for peer in proxies:
            assert await collector.send(peer.key, Configuration(epoch=epoch - 1, version=1 << 30, body=nobody))
        # Only queued so far: whoever closes now may close before it has left.
        await until(
            lambda: all(_refusals(stack, proxy) > refusals[proxy] for proxy in PROXIES), 120, "the proxies' refusals"
        )
    for server in SERVERS:
        await stack.start(server)
    await stack.flowing()
    after = await _proxy_counters(stack)
    for proxy in PROXIES:
        for name in ("link.stale_epochs", "link.stale_commands"):
            if after[proxy].get(name, 0) <= before[proxy].get(name, 0):
                refused.faults.append(f"{proxy}: {name} did not grow: {before[proxy]} {after[proxy]}")
    refused.summary = "proxies: " + ", ".join(
        f"{name} {sum(after[proxy].get(name, 0) - before[proxy].get(name, 0) for proxy in PROXIES):.0f}"
        for name in ("link.stale_epochs", "link.stale_commands")
    )
    await _command_sources(stack, epoch, refused)
    return refused


def _refusals(stack: Stack, proxy: str) -> int:
    """Return how many commands of an old epoch the log of a proxy speaks of."""
    return stack.parts[proxy].log_file.read_text().count("A command of an epoch that is over was refused")


async def _command_sources(stack: Stack, epoch: int, refused: Refused) -> None:
    """A proxy that lags behind commands the sources."""
    names = [name for name, _ in stack.plan.sources]

    def commands() -> list[float]:
        return [stack.status()["sources"][name]["counters"].get("link.stale_commands", 0) for name in names]

    before = commands()
    for proxy in PROXIES:
        await stack.kill(proxy)
    peers = [
        Peer(key=load_or_create(stack.plan.key_file(name)).public, role="agent", name=name, source=uuid.bytes)
        for name, uuid in stack.plan.sources
    ]
    lagging = Pretender("proxy", epoch - 1)
    async with pretending(stack, PROXIES[0], lagging, peers) as collector:
        await until(lambda: len(set(lagging.welcomed)) == len(peers), 120, "the sources")
        for peer in peers:
            assert await collector.send(peer.key, Configuration(epoch=epoch - 1, version=1 << 30, body={}))
        await until(lambda: all(now > then for now, then in zip(commands(), before, strict=True)), 60, "the refusals")
    refused.summary += f"; sources: link.stale_commands {sum(commands()) - sum(before):.0f}"
    for proxy in PROXIES:
        await stack.start(proxy)
    await stack.flowing()


async def _proxy_counters(stack: Stack) -> dict[str, Any]:
    """Return the counters of each proxy as the active server shows them; waits until both have reported."""
    found: dict[str, Any] = {}

    async def look() -> bool:
        nonlocal found
        health = await stack.health()
        found = {part["name"]: part["counters"] for part in health["parts"] if part["kind"] == "proxy"}
        return all("link.sessions" in found.get(proxy, {}) for proxy in PROXIES)

    await until_true(look, 60, "the proxies' counters")
    return found
