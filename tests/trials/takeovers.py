"""R1, R9: random takeovers under load: killed, frozen, handed over, stopped, database restarted, cut from it."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from core.runtime.logging import Log
from tests.trials.audit import Audit
from tests.trials.finding import Finding
from tests.trials.judging import judge
from tests.trials.part import CHECKOUT
from tests.trials.site import POSTGRES
from tests.trials.stack import running_stack
from tests.trials.succession import REPLACED, TAKEOVER_SECONDS, ready_to_take_over, spread, taken_at
from watchkeep.installation import Installation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.trials.stack import Stack

SHORT_BLOWS: Final = 6
LONG_BLOWS: Final = 100
MIDDLE_SECONDS: Final = 3.0
HAND_OVER_SECONDS: Final = 1.0
LOADED_SECONDS: Final = 20.0
"""What a hand-over or a takeover may take in a test, whose machine may be busy with others."""
log = Log("trial")


@dataclass
class Campaign:
    """What was dealt, and what came of it: seconds to the lease, and without new values in the store, by kind."""

    dealt: Counter[str] = field(default_factory=Counter)
    taken: dict[str, list[float]] = field(default_factory=dict)
    epochs: dict[str, list[int]] = field(default_factory=dict)
    """The epochs that each kind of blow ended."""
    false_takeovers: int = 0
    faults: list[str] = field(default_factory=list)

    def note(self, kind: str, epoch: int, seconds: float) -> None:
        self.taken.setdefault(kind, []).append(seconds)
        self.epochs.setdefault(kind, []).append(epoch)


async def run(*, is_long: bool) -> list[Finding]:
    seed = int(os.environ.get("TRIAL_SEED", random.randrange(1 << 32)))
    async with running_stack() as stack:
        audit = await asyncio.to_thread(Audit, stack)
        campaign = await deal(stack, LONG_BLOWS if is_long else SHORT_BLOWS, random.Random(seed))
        await stack.drain()
        verdict = await asyncio.to_thread(judge, stack.plan, stack.dsn, stack.receiver.told)
        finding = judge_campaign(campaign, audit, is_strict=is_long)
    return [
        Finding(
            trial="takeovers",
            injected=f"{finding.injected}, seed {seed}",
            required=finding.required,
            found=f"{finding.found}; {verdict.summary()}",
            faults=finding.faults + verdict.faults(),
        )
    ]


def judge_campaign(campaign: Campaign, audit: Audit, *, is_strict: bool) -> Finding:
    """Judge what was dealt by SQL; `is_strict`: by the aims, else by what any loaded machine can keep."""
    values = {reign.epoch: reign for reign in audit.reigns()}
    lines, faults = [], list(campaign.faults)
    everything = [seconds for taken in campaign.taken.values() for seconds in taken]
    for kind, taken in campaign.taken.items():
        gaps = []
        for epoch in campaign.epochs[kind]:
            old, new = values.get(epoch), values.get(epoch + 1)
            if old is None or new is None or old.last_values is None or new.first_values is None:
                faults.append(f"{kind}: nothing was stored under epoch {epoch} or the next")
            else:
                gaps.append(new.first_values - old.last_values)
        lines.append(f"{kind}: lease {spread(taken)}, no values stored for {spread(gaps)}")
        bound = HAND_OVER_SECONDS if is_strict else LOADED_SECONDS
        if kind in PLANNED and max(gaps) > bound:
            faults.append(f"{kind}: the longest pause in storing was {max(gaps):.2f} s")
    zeros = {
        "overlaps": audit.overlaps(),
        "writes of old epochs": audit.old_writes(),
        "epochs given twice": audit.repeated_epochs(),
        "false takeovers": campaign.false_takeovers,
    }
    faults += [f"{name}: {count}" for name, count in zeros.items() if count]
    if max(everything) > (TAKEOVER_SECONDS if is_strict else LOADED_SECONDS):
        faults.append(f"a takeover took {max(everything):.1f} s")
    if is_strict and sorted(everything)[len(everything) // 2] > MIDDLE_SECONDS:
        faults.append(f"half of the takeovers took more than {MIDDLE_SECONDS:g} s")
    return Finding(
        trial="takeovers",
        injected=", ".join(f"{count} times {kind}" for kind, count in campaign.dealt.items()),
        required=f"overlap, old writes, false takeovers, lost, doubled 0; p50 ≤ {MIDDLE_SECONDS:g} s, "
        f"max ≤ {TAKEOVER_SECONDS:g} s; planned: values stored again ≤ {HAND_OVER_SECONDS:g} s",
        found=f"{len(everything)} takeovers, {spread(everything)}; {'; '.join(lines)}; "
        + ", ".join(f"{name} {count}" for name, count in zeros.items()) + f" of {audit.writes()} writes",
        faults=faults,
    )  # fmt: skip


async def deal(stack: Stack, count: int, chance: random.Random) -> Campaign:
    """Deal `count` blows, every kind as often as any other, give or take one, in a random order."""
    Installation(dsn=stack.dsn, url="", server="").write(stack.site.folder)
    campaign = Campaign()
    kinds: list[str] = []
    while len(kinds) < count:
        kinds += chance.sample(list(BLOWS), len(BLOWS))
    for kind in kinds[:count]:
        active, epoch = await ready_to_take_over(stack)
        await asyncio.sleep(chance.uniform(0, 0.5))  # anywhere between two heartbeats
        log.info("strikes", blow=kind, epoch=epoch, active=active)
        await BLOWS[kind](stack, Blow(kind, active, epoch, campaign))
        campaign.dealt[kind] += 1
        await stack.flowing()
        found, holder, _ = await stack.lease()
        wanted = epoch if kind == RESTARTED else epoch + 1
        if found != wanted:
            campaign.false_takeovers += found - wanted
            campaign.faults.append(f"{kind}: epoch {found} of {holder} instead of {wanted}: {_why(stack, holder)}")
    return campaign


def _why(stack: Stack, server: str) -> str:
    lines = stack.parts[server].log_file.read_text(errors="replace").splitlines()
    return next((line for line in reversed(lines) if "takes over" in line), "not said")


@dataclass(frozen=True)
class Blow:
    """One blow: at whom, in which epoch, and where its outcome goes."""

    kind: str
    active: str
    epoch: int
    campaign: Campaign


async def _kill(stack: Stack, blow: Blow) -> None:
    began = time.time()
    await stack.kill(blow.active)
    await _taken(stack, blow, began)
    await stack.start(blow.active)


async def _freeze(stack: Stack, blow: Blow) -> None:
    part = stack.parts[blow.active]
    began = time.time()
    part.send(signal.SIGSTOP)
    await _taken(stack, blow, began)
    await stack.flowing()
    part.send(signal.SIGCONT)
    await _ends_replaced(stack, blow)
    await stack.start(blow.active)


async def _hand_over(stack: Stack, blow: Blow) -> None:
    began = time.time()
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "watchkeep", "server", "handover", "--json", "--data", str(stack.site.folder),
        cwd=CHECKOUT, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, trouble = await asyncio.wait_for(child.communicate(), 180)
    outcome = json.loads(output or b"{}")
    if child.returncode != 0 or not outcome.get("handed_over") or outcome.get("by") != blow.active:
        blow.campaign.faults.append(f"{blow.kind}: exit code {child.returncode}: {outcome} {trouble.decode()[-300:]}")
    ((asked,),) = await stack.query("SELECT extract(epoch FROM asked_at)::float8 FROM lease_wish")
    await _taken(stack, blow, max(began, asked))
    await _ends_replaced(stack, blow)
    await stack.start(blow.active)


async def _stop(stack: Stack, blow: Blow) -> None:
    began = time.time()
    stack.parts[blow.active].send(signal.SIGTERM)
    await _taken(stack, blow, began)
    code = await stack.parts[blow.active].ended()
    if code != 0:
        blow.campaign.faults.append(f"{blow.kind}: it ended with {code}")
    await stack.start(blow.active)


async def _restart_database(stack: Stack, blow: Blow) -> None:  # noqa: ARG001 - like the others
    await asyncio.to_thread(stack.postgres.stop)
    await stack.start(POSTGRES)


async def _cut_from_database(stack: Stack, blow: Blow) -> None:
    began = time.time()
    await stack.wires[blow.active].close()
    try:
        await _taken(stack, blow, began)
        await stack.flowing()
    finally:
        await stack.wires[blow.active].open()
    await _ends_replaced(stack, blow)
    await stack.start(blow.active)


async def _taken(stack: Stack, blow: Blow, began: float) -> None:
    blow.campaign.note(blow.kind, blow.epoch, await taken_at(stack, blow.epoch) - began)


async def _ends_replaced(stack: Stack, blow: Blow) -> None:
    part = stack.parts[blow.active]
    code = await part.ended()
    if code != REPLACED or "did not end in order" in part.end_of_log():
        blow.campaign.faults.append(f"{blow.kind}: the old server ended with {code}: {part.end_of_log(600)}")


RESTARTED: Final = "database restarted"
HANDED_OVER: Final = "handed over by command"
STOPPED: Final = "stopped by SIGTERM"
PLANNED: Final = (HANDED_OVER, STOPPED)
BLOWS: Final[dict[str, Callable[[Stack, Blow], Awaitable[None]]]] = {
    "killed": _kill,
    "frozen and woken": _freeze,
    HANDED_OVER: _hand_over,
    STOPPED: _stop,
    RESTARTED: _restart_database,
    "cut from the database": _cut_from_database,
}
