"""R10: the active server cut off from the database, or from every proxy, in one direction or both, by real networks."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from core.runtime.logging import Log
from tests.trials.audit import Audit
from tests.trials.finding import Finding
from tests.trials.judging import judge
from tests.trials.network import HERE, network
from tests.trials.site import PROXIES, SERVERS
from tests.trials.stack import running_stack, until_true
from tests.trials.succession import REPLACED, TAKEOVER_SECONDS, ready_to_take_over, spread, taken_at

if TYPE_CHECKING:
    from tests.trials.judging import Verdict
    from tests.trials.network import Direction, Network
    from tests.trials.stack import Stack

UNREACHED_SECONDS: Final = 60.0
"""What it may take until a server that no proxy reaches has handed over."""
LONG_ROUNDS: Final = 5
WATCH_SECONDS: Final = 20.0
AUDITED: Final = "SELECT count(*) FROM audit WHERE action = 'server.handover' AND object = %s AND actor = %s"
log = Log("trial")


@dataclass
class Cuts:
    """What was cut, and the seconds until the lease was taken."""

    database: list[float] = field(default_factory=list)
    proxies: list[float] = field(default_factory=list)
    noticed: list[float] = field(default_factory=list)
    """From the cut until the health page said it."""
    harmless: int = 0
    epochs: list[int] = field(default_factory=list)
    """Those that were ended."""
    faults: list[str] = field(default_factory=list)


async def run(*, is_long: bool) -> list[Finding]:
    with network() as net:
        async with running_stack(network=net) as stack:
            audit = await asyncio.to_thread(Audit, stack)
            cuts = await cut_wires(stack, net, is_long=is_long)
            await stack.drain()
            verdict = await asyncio.to_thread(judge, stack.plan, stack.dsn, stack.receiver.told)
            return [judge_cuts(cuts, audit, verdict)]


async def cut_wires(stack: Stack, net: Network, *, is_long: bool) -> Cuts:
    """Cut the active server off from one side after the other."""
    cuts = Cuts()
    for number in range(LONG_ROUNDS if is_long else 1):
        await _cut_from_database(stack, net, cuts, "in")
        await _cut_from_proxies(stack, net, cuts, "in" if number % 2 else "both")
        if is_long:
            await _cut_from_database(stack, net, cuts, "both")
            await _cut_from_database(stack, net, cuts, "out")
            await _cut_standby(stack, net, cuts)
            await _cut_one_proxy(stack, net, cuts)
    return cuts


def judge_cuts(cuts: Cuts, audit: Audit, verdict: Verdict) -> Finding:
    """Judge by SQL what the cuts did."""
    overlaps, old_writes, all_writes = audit.overlaps(), audit.old_writes(), audit.writes()
    pauses = _pauses(audit, cuts)
    if overlaps or old_writes:
        cuts.faults.append(f"{overlaps} reigns overlap, {old_writes} writes under epochs that were over")
    if max(cuts.database) > TAKEOVER_SECONDS:
        cuts.faults.append(f"a server cut off from the database was replaced after {max(cuts.database):.1f} s")
    if max(cuts.proxies) > UNREACHED_SECONDS:
        cuts.faults.append(f"a server that no proxy reached handed over after {max(cuts.proxies):.1f} s")
    return Finding(
        trial="partitions",
        injected=f"packets dropped between active server and database {len(cuts.database)} times, and every proxy "
        f"{len(cuts.proxies)} times, both ways and one way; {cuts.harmless} cuts that cost nobody the lease",
        required=f"overlap 0, lost 0, doubled 0; cut from the database: takeover ≤ {TAKEOVER_SECONDS:g} s; "
        "from the proxies: shown, then handed over",
        found=f"from the database: lease {spread(cuts.database)}; from the proxies: shown {spread(cuts.noticed)}, "
        f"lease {spread(cuts.proxies)}; no values stored for {spread(pauses)}; overlaps {overlaps}, "
        f"old writes {old_writes} of {all_writes}; {verdict.summary()}",
        faults=cuts.faults + verdict.faults(),
    )


def _pauses(audit: Audit, cuts: Cuts) -> list[float]:
    """Return for how long no values were stored around each change of reign."""
    reigns = {reign.epoch: reign for reign in audit.reigns()}
    pauses = []
    for epoch in cuts.epochs:
        old, new = reigns.get(epoch), reigns.get(epoch + 1)
        if old is None or new is None or old.last_values is None or new.first_values is None:
            cuts.faults.append(f"nothing was stored under epoch {epoch} or the next")
        else:
            pauses.append(new.first_values - old.last_values)
    return pauses


async def _cut_from_database(stack: Stack, net: Network, cuts: Cuts, direction: Direction) -> None:
    active, epoch = await ready_to_take_over(stack)
    log.info("cuts", between=f"{active} and the database", direction=direction)
    began = time.time()
    net.cut(active, HERE, direction)
    try:
        cuts.database.append(await taken_at(stack, epoch) - began)
        await stack.flowing()
    finally:
        net.heal(active)
    await _is_replaced(stack, cuts, active, epoch)


async def _cut_from_proxies(stack: Stack, net: Network, cuts: Cuts, direction: Direction) -> None:
    """Nobody reaches the active server; it says so, and hands over although its heart beats."""
    active, epoch = await ready_to_take_over(stack)
    log.info("cuts", between=f"{active} and the proxies", direction=direction)
    began = time.time()
    for proxy in PROXIES:
        net.cut(active, proxy, direction)
    try:
        await until_true(lambda: _says(stack, active, "no part"), UNREACHED_SECONDS, "the note on the health page")
        cuts.noticed.append(time.time() - began)
        cuts.proxies.append(await taken_at(stack, epoch) - began)
        await stack.flowing()
        ((audited,),) = await stack.query(AUDITED, (f"epoch/{epoch}", f"server {active}"))
        if audited != 1:
            cuts.faults.append(f"{audited} entries of the audit log tell of the hand-over by {active}")
    finally:
        net.heal(active)
    await _is_replaced(stack, cuts, active, epoch)


async def _cut_standby(stack: Stack, net: Network, cuts: Cuts) -> None:
    """A standby that loses the database and comes back takes nothing from anybody."""
    active, epoch = await ready_to_take_over(stack)
    (standby,) = (server for server in SERVERS if server != active)
    net.cut(standby, HERE)
    try:
        await _keeps(stack, cuts, epoch, f"{standby} cut from the database")
    finally:
        net.heal(standby)
    await _keeps(stack, cuts, epoch, f"{standby} back at the database")
    cuts.harmless += 1


async def _cut_one_proxy(stack: Stack, net: Network, cuts: Cuts) -> None:
    """One of two proxies does not reach the active server: it is named, and the lease stays."""
    active, epoch = await ready_to_take_over(stack)
    net.cut(active, PROXIES[0])
    try:
        wanted = "some parts do not reach"
        await until_true(lambda: _says(stack, active, wanted), UNREACHED_SECONDS, "the note on the health page")
        await _keeps(stack, cuts, epoch, f"{active} cut from {PROXIES[0]}")
    finally:
        net.heal(active)
    await stack.flowing()
    cuts.harmless += 1


async def _keeps(stack: Stack, cuts: Cuts, epoch: int, what: str) -> None:
    """Watch for a while that nobody takes the lease."""
    loop = asyncio.get_running_loop()
    end = loop.time() + WATCH_SECONDS
    while loop.time() < end:
        found, holder, _ = await stack.lease()
        if found != epoch:
            cuts.faults.append(f"{what}: {holder} has taken the lease, epoch {found}")
            return
        await asyncio.sleep(0.2)


async def _says(stack: Stack, server: str, text: str) -> bool:
    """Tell whether the health page of a server has this text among its own notes."""
    health = await stack.health(server)
    return any(text in note for part in health["parts"] if part["name"] == server for note in part["notes"])


async def _is_replaced(stack: Stack, cuts: Cuts, server: str, epoch: int) -> None:
    """The old server ends by itself once it sees the database again; then it comes back as a standby."""
    cuts.epochs.append(epoch)
    code = await stack.parts[server].ended()
    if code != REPLACED:
        cuts.faults.append(f"the old {server} ended with {code}: {stack.parts[server].end_of_log(600)}")
    await stack.start(server)
    await stack.flowing()
