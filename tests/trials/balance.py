"""D3: three proxies serve unequal sources evenly; one is killed -9 and comes back; nothing lost, no flapping."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from core.runtime.logging import Log
from server.balancing.plan import TOLERANCE
from tests.trials.finding import Finding
from tests.trials.judging import judge
from tests.trials.stack import running_stack, until_true

if TYPE_CHECKING:
    from tests.trials.stack import Stack

PROXIES: Final = ("proxy1", "proxy2", "proxy3")
VICTIM: Final = "proxy2"
WEIGHTS: Final = (8, 2, 1, 6, 3, 1, 4, 2, 2)
"""What the sources publish in units, unequal by far; by their own lists proxy1 would carry twice an even share."""
FLOWING: Final = """
SELECT s.name FROM source s JOIN history_batch b ON b.source_id = s.id WHERE b.stored_at > %s GROUP BY s.name
"""
HOMES: Final = """
SELECT s.name, k.name FROM source_placement p JOIN source s ON s.id = p.source_id JOIN peer_key k ON k.key = p.home_key
"""
log = Log("trial")


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast the server evens out, how long it is watched for flapping, how long a phase may take at most."""

    every_seconds: int
    watch_seconds: float
    patience_seconds: float
    most_late_moves: int
    sources: int
    is_alternating: bool


# At two seconds a round what is measured is noise on a busy machine: a late move is no fault there.
SHORT: Final = Pace(
    every_seconds=2, watch_seconds=4, patience_seconds=240, most_late_moves=3, sources=30, is_alternating=True
)
LONG: Final = Pace(
    every_seconds=15, watch_seconds=240, patience_seconds=600, most_late_moves=0, sources=60, is_alternating=False
)


@dataclass
class Course:
    """What was seen of each phase."""

    found: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    moved: int = 0


async def run(*, is_long: bool) -> list[Finding]:
    pace = LONG if is_long else SHORT
    course = Course()
    async with running_stack(
        sources=pace.sources,
        proxies=PROXIES,
        server_settings={"balance_every": f"{pace.every_seconds}s"},
        is_alternating=pace.is_alternating,
        weights=WEIGHTS,
        batches_per_second=1.0,
        counters=30,
        wave_batches=0,
    ) as stack:
        await _even(stack, pace, course, "begin", PROXIES)
        orphans = [name for name, at in _upstreams(stack).items() if at == VICTIM]
        killed_at = await _now(stack)
        began = time.monotonic()
        await stack.kill(VICTIM)
        await _flowing(stack, orphans, killed_at)
        course.found.append(f"{VICTIM} killed: its {len(orphans)} sources flow after {time.monotonic() - began:.1f} s")
        await until_true(lambda: _is_nobody_at_home(stack, VICTIM), pace.patience_seconds, "new homes")
        await _even(stack, pace, course, "without it", tuple(proxy for proxy in PROXIES if proxy != VICTIM))
        await stack.start(VICTIM)
        await _even(stack, pace, course, "with it again", PROXIES)
        await _watch(stack, pace, course)
        # Who was moved just now is on its way.
        await until_true(lambda: _is_everybody_at_home(stack), pace.patience_seconds, "everybody at home")
        course.faults += await _shown_wrongly(stack, pace)
        await stack.drain()
        verdict = await asyncio.to_thread(judge, stack.plan, stack.dsn, stack.receiver.told)
    return [
        Finding(
            trial="balance",
            injected=f"{len(PROXIES)} proxies, {pace.sources} sources of weights 1 to 8; kill -9 of one, back again",
            required=f"max/mean ≤ {1 + TOLERANCE:g} each time, then no move; lost 0, doubled 0",
            found=f"{'; '.join(course.found)}; {verdict.summary()}",
            faults=verdict.faults() + course.faults,
        )
    ]


async def _even(stack: Stack, pace: Pace, course: Course, phase: str, proxies: tuple[str, ...]) -> None:
    """Wait until the sources' true load lies evenly on these proxies; note how long that took, and the moves."""
    began = time.monotonic()
    first = _imbalance(stack, proxies)

    async def is_even() -> bool:
        return _imbalance(stack, proxies) <= 1 + TOLERANCE

    try:
        await until_true(is_even, pace.patience_seconds, f"evenness {phase}")
    except AssertionError as error:
        course.faults.append(f"{error}: max/mean {_imbalance(stack, proxies):.2f}, {_upstreams(stack)}")
    seconds = time.monotonic() - began
    moved = await _moves(stack)
    last = _imbalance(stack, proxies)
    course.found.append(f"{phase}: max/mean {first:.2f} → {last:.2f} in {seconds:.0f} s, {moved - course.moved} moves")
    log.info("even", phase=phase, found=course.found[-1])
    course.moved = moved


async def _watch(stack: Stack, pace: Pace, course: Course) -> None:
    """Look on, the loads being constant: in the second half of the time hardly anything moves, or nothing at all."""
    await asyncio.sleep(pace.watch_seconds / 2)
    before = await _moves(stack)
    await asyncio.sleep(pace.watch_seconds / 2)
    after = await _moves(stack)
    course.found.append(f"then {after - course.moved} moves in {pace.watch_seconds:.0f} s")
    if after - before > pace.most_late_moves:
        course.faults.append(f"{after - before} sources were still moved in the last {pace.watch_seconds / 2:.0f} s")


async def _flowing(stack: Stack, names: list[str], since: object) -> None:
    """Return once something of each of these sources has been stored that came after `since`."""

    async def look() -> bool:
        return set(names) <= {name for (name,) in await stack.query(FLOWING, (since,))}

    await until_true(look, 240, "values of every source of the killed proxy")


async def _now(stack: Stack) -> object:
    ((now,),) = await stack.query("SELECT clock_timestamp()")
    return now


async def _moves(stack: Stack) -> int:
    return round(await stack.part_counter(await stack.active(), "balance.moved"))


async def _homes(stack: Stack) -> dict[str, str]:
    return {str(source): str(proxy) for source, proxy in await stack.query(HOMES)}


async def _shown_wrongly(stack: Stack, pace: Pace) -> list[str]:
    """Return what the health page says of homes that is not so, and does not become so."""
    found: list[str] = []

    async def is_right() -> bool:
        found[:] = await _compared(stack, await _homes(stack))  # a move between the two is no fault
        return not found

    try:
        await until_true(is_right, pace.patience_seconds, "homes shown as they are")
    except AssertionError:
        return found
    return []


async def _compared(stack: Stack, homes: dict[str, str]) -> list[str]:
    """Return what the health page says now that differs from these homes."""
    parts = (await stack.health())["parts"]
    shares = [part["counters"].get("balance.share", 0.0) for part in parts if part["kind"] == "proxy"]
    served = sum(part["counters"].get("balance.sources", 0) for part in parts if part["kind"] == "proxy")
    found = [] if served == len(homes) else [f"the proxies are said to serve {served} of {len(homes)} sources"]
    if not 1.0 <= max(shares) <= 1.5 or abs(sum(shares) - len(shares)) > 0.01:
        found.append(f"the proxies' shares are said to be {shares}")
    agents = {part["name"]: part["notes"] for part in parts if part["kind"] == "agent"}
    return found + [
        f"the page does not say that {source} is at home at {home}: {agents.get(source)}"
        for source, home in homes.items()
        if not any(note.startswith(f"at home at {home} since ") for note in agents.get(source, ()))
    ]


async def _is_everybody_at_home(stack: Stack) -> bool:
    return await _homes(stack) == _upstreams(stack)


async def _is_nobody_at_home(stack: Stack, proxy: str) -> bool:
    return proxy not in (await _homes(stack)).values()


def _upstreams(stack: Stack) -> dict[str, str]:
    """Where each source is linked now; sources without a link are left out."""
    names = {stack.site.endpoint(proxy): proxy for proxy in stack.site.proxies}
    sources = stack.status().get("sources", {})
    return {name: names[facts["upstream"]] for name, facts in sources.items() if facts["upstream"] is not None}


def _imbalance(stack: Stack, proxies: tuple[str, ...]) -> float:
    """The fullest proxy's true load in even shares; infinite while a source is linked to none of these."""
    upstreams = _upstreams(stack)
    if len(upstreams) < len(stack.plan.sources) or not set(upstreams.values()) <= set(proxies):
        return float("inf")
    loads = dict.fromkeys(proxies, 0)
    for name, proxy in upstreams.items():
        loads[proxy] += stack.plan.weight_of(name)
    return max(loads.values()) * len(loads) / sum(loads.values())
