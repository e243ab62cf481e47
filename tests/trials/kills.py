"""R1, R2: kill -9 of every part under load, at random and aimed; nothing is lost, nothing doubled, no event either."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from core.runtime.logging import Log
from tests.trials.blows import Missed, choose
from tests.trials.finding import Finding
from tests.trials.judging import judge
from tests.trials.site import POSTGRES, SERVERS
from tests.trials.stack import running_stack, until_true

if TYPE_CHECKING:
    from tests.trials.blows import Blow
    from tests.trials.stack import Stack

SHORT_KILLS: Final = 30
LONG_KILLS: Final = 200
REPLACED: Final = 3
"""The exit code of a server that found another one in its place."""
log = Log("trial")


@dataclass
class Campaign:
    """What was dealt out so far."""

    dealt: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    own_ends: list[str] = field(default_factory=list)
    """Parts that ended by themselves and had no right to."""


async def run(*, is_long: bool) -> list[Finding]:
    kills = LONG_KILLS if is_long else SHORT_KILLS
    seed = int(os.environ.get("TRIAL_SEED", random.randrange(1 << 32)))
    chance = random.Random(seed)
    random.seed(seed)
    campaign = Campaign()
    began = time.monotonic()
    async with running_stack() as stack:
        await _warm_up(stack)
        for blow in choose(kills + kills // 5, chance):
            await _deal(stack, blow, campaign, chance)
            if campaign.dealt.total() == kills:
                break
        await _raise_the_fallen(stack, campaign)
        await stack.drain()
        await until_true(lambda: _is_everything_told(stack), 180, "the last webhook")
        verdict = await asyncio.to_thread(judge, stack.plan, stack.dsn, stack.receiver.told)
    dealt = campaign.dealt.total()
    faults = verdict.faults() + campaign.own_ends
    if dealt < kills:  # a fifth more were chosen, for those whose moment does not come
        faults.append(f"only {dealt} of {kills} blows hit: {dict(campaign.missed)}")
    return [
        Finding(
            trial="kills",
            injected=f"{dealt} kills of {len(campaign.dealt)} kinds in {time.monotonic() - began:.0f} s, seed {seed}",
            required="lost 0, doubled 0; every event once, every notice told",
            found=verdict.summary(),
            faults=faults,
        )
    ]


async def _warm_up(stack: Stack) -> None:
    """Return when every host's trigger has resolved once: from then on its events are judged."""
    resolved = (
        "SELECT count(DISTINCT p.host_id) FROM event e JOIN problem p ON p.id = e.problem_id WHERE kind = 'resolved'"
    )

    async def look() -> bool:
        ((hosts,),) = await stack.query(resolved)
        return int(hosts) == len(stack.plan.sources)

    await until_true(look, 180, "the first events")


async def _deal(stack: Stack, blow: Blow, campaign: Campaign, chance: random.Random) -> None:
    """Strike, start again what fell; two of three times let values flow before the next, else strike into recovery."""
    await _raise_the_fallen(stack, campaign)
    try:
        fallen = await blow.strike(stack)
    except Missed as error:
        campaign.missed[f"{blow.name}: {error}"] += 1
        log.warning("a blow missed", blow=blow.name, error=error)
        await _raise_the_fallen(stack, campaign)
        return
    campaign.dealt[blow.name] += 1
    log.info("struck", blow=blow.name, number=campaign.dealt.total())
    await asyncio.sleep(chance.uniform(0, 1))
    for name in sorted(fallen, key=lambda name: name != POSTGRES):
        await stack.start(name)
    if chance.random() < 2 / 3:
        await stack.flowing()


async def _raise_the_fallen(stack: Stack, campaign: Campaign) -> None:
    """Start again what ended by itself: a server that was replaced may, nothing else."""
    if not stack.postgres.is_alive():
        await stack.start(POSTGRES)
    for part in stack.parts.values():
        if part.is_running or part.process is None:
            continue
        code = part.process.returncode
        if code is not None and code >= 0 and not (part.name in SERVERS and code == REPLACED):
            campaign.own_ends.append(f"{part.name} ended by itself with {code}: {part.end_of_log(600)}")
        await part.start()


async def _is_everything_told(stack: Stack) -> bool:
    ((untold,),) = await stack.query("SELECT count(*) FROM outbox WHERE sent_at IS NULL")
    return int(untold) == 0
