"""R6, S-6, S-7: rolled-back sources, a cloned key, poison records, COMMITs whose answer never came."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from tests.support.waiting import until
from tests.trials.finding import Finding
from tests.trials.judging import judge
from tests.trials.site import PROXIES, SERVERS, SOURCES
from tests.trials.stack import running_stack, until_true

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.trials.database_wire import Moment, Passage
    from tests.trials.part import Part
    from tests.trials.plan import Plan
    from tests.trials.stack import Stack

SHORT_CUTS: Final = 2
LONG_CUTS: Final = 20
ROLLED_BACK, RESUMED, CLONED, POISONED = "source1", "source2", "source3", "source4"
CLONE: Final = "clone"
MOMENTS: Final[tuple[Moment, ...]] = ("before commit", "under commit", "answer held")


@dataclass
class Found:
    """What one part of the trial found; `faults` go on with the judgement of its source."""

    text: str = ""
    faults: list[str] = field(default_factory=list)


async def run(*, is_long: bool) -> list[Finding]:
    cuts = LONG_CUTS if is_long else SHORT_CUTS
    async with running_stack() as stack:
        await _roll_back_folder(stack)
        resumed = await _resume_from_snapshot(stack)
        cloned = await _clone(stack)
        poisoned = await _poison(stack)
        unknown = await _cut_commits(stack, cuts)
        await stack.drain()
        judged = {
            name: await asyncio.to_thread(judge, stack.plan, stack.dsn, stack.receiver.told, [name])
            for name, _ in stack.plan.sources
        }
    rows = [
        (ROLLED_BACK, "spool folder copied back to an older state", "lost 0, doubled 0", Found()),
        (
            RESUMED,
            "disk and memory back to a snapshot, back by the other proxy while no server is there",
            "noticed, shown; lost 0, doubled 0",
            resumed,
        ),
        (CLONED, "the same key and source alive at one proxy, then at two", "refused, counted, shown; lost 0", cloned),
        (POISONED, "records of valid form that cannot be stored", "quarantined, counted; neighbours stored", poisoned),
    ]
    findings = [
        Finding(
            trial=f"identity: {name}",
            injected=injected,
            required=required,
            found="; ".join(part for part in (found.text, judged[name].summary()) if part),
            faults=found.faults + judged[name].faults(),
        )
        for name, injected, required, found in rows
    ]
    return [
        *findings,
        Finding(
            trial="identity: unknown COMMIT",
            injected=f"connection cut around COMMIT, {cuts} times at each of: {', '.join(MOMENTS)}",
            required="settled by the ranges; lost 0, doubled 0",
            found=unknown.text,
            faults=unknown.faults + [fault for verdict in judged.values() for fault in verdict.faults()],
        ),
    ]


# ── Rolled back ──────────────────────────────────────────────────────────────────────────────────────────────────


async def _roll_back_folder(stack: Stack) -> None:
    """Keep a folder that holds unstored records, let all of it and more be stored, put the folder back."""
    for proxy in PROXIES:
        await stack.kill(proxy)
    counter = stack.status()["sources"][ROLLED_BACK]["counter"]
    await until(lambda: stack.status()["sources"][ROLLED_BACK]["counter"] > counter + 20, 120, "unstored records")
    await stack.kill(SOURCES)
    spool = stack.plan.spool_folder(ROLLED_BACK)
    kept = stack.site.folder / "kept"
    await asyncio.to_thread(shutil.copytree, spool, kept)
    for name in (*PROXIES, SOURCES):
        await stack.start(name)
    await stack.sources_ready()
    await stack.flowing()
    await stack.drain()
    await asyncio.to_thread(shutil.rmtree, spool)
    await asyncio.to_thread(shutil.copytree, kept, spool)
    await stack.start(SOURCES)
    await stack.sources_ready()
    await stack.flowing()


async def _resume_from_snapshot(stack: Stack) -> Found:
    """Bring a source back to a snapshot of disk and memory: it goes on in a life that has issued its numbers before.

    It comes back by way of the proxy that knows none of them, while no server is there to know them either.
    """
    only, other = PROXIES
    await stack.kill(other)
    at = stack.site.endpoint(only)
    await until(lambda: stack.status()["sources"][RESUMED]["upstream"] == at, 120, "the link to the one that is left")
    await stack.flowing()
    done = await _order(stack, "snapshot", RESUMED)
    boot: int = done["boot"]
    number: int = done["numbers"][0]
    await until(lambda: _life(stack) > (boot, number + 20), 120, "records after the snapshot")
    await stack.drain()
    _, issued = _life(stack)
    await stack.kill(only)
    for name in SERVERS:
        await stack.parts[name].stop()
    await stack.start(other)
    plan_file = stack.site.config_file(SOURCES)
    replace(stack.plan, resume=RESUMED).write(plan_file)
    await stack.start(SOURCES)
    await stack.sources_ready()
    stack.plan.write(plan_file)  # the next start is an ordinary one
    await until(lambda: _life(stack) > (boot, issued + 5), 120, "more numbers issued anew than were ever stored")
    at = stack.site.endpoint(other)
    await until(lambda: stack.status()["sources"][RESUMED]["upstream"] == at, 120, "the link to the other one")
    for name in SERVERS:
        await stack.start(name)
    await stack.flowing()

    async def are_told_apart() -> bool:
        return await stack.part_counter(await stack.active(), "ingest.reissued_records") >= issued - number

    await until_true(are_told_apart, 120, "what was issued under stored numbers")
    reissued = await stack.part_counter(await stack.active(), "ingest.reissued_records")
    await stack.start(only)
    found = Found(
        text=f"{reissued:.0f} records under the numbers {number + 1} to {issued} stored beside the first ones"
    )
    if reissued != issued - number:
        found.faults.append(f"{issued - number} numbers were issued twice, {reissued:.0f} records were noticed")
    shown = [refusal["last_detail"] for refusal in (await stack.health())["refusals"] if refusal["kind"] == "reissued"]
    if not any(f"{RESUMED} was set back" in detail for detail in shown):
        found.faults.append(f"the health page does not say it: {shown}")
    return found


def _life(stack: Stack) -> tuple[int, int]:
    facts = stack.status()["sources"][RESUMED]
    return facts["boot"], facts["last_number"]


# ── Cloned ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def _clone(stack: Stack) -> Found:
    """Start a second machine with the same key: first where the first one is connected, then beside it."""
    found = Found()
    # The proxies were held up: whoever went away from them may be on its way yet.
    await until(lambda: stack.status()["sources"][CLONED]["upstream"] is not None, 120, "the link of the first one")
    here = stack.status()["sources"][CLONED]["upstream"]
    there = next(stack.site.endpoint(proxy) for proxy in PROXIES if stack.site.endpoint(proxy) != here)
    name = next(proxy for proxy in PROXIES if stack.site.endpoint(proxy) == here)
    before = await stack.part_counter(name, "link.refused.cloned")
    async with _running_clone(stack, here) as plan:
        await until(lambda: _clone_counters(plan).get("link.refused_as_cloned", 0) > 0, 120, "the clone's refusal")

        async def is_shown() -> bool:
            return await stack.part_counter(name, "link.refused.cloned") > before

        await until_true(is_shown, 120, "the refusal on the health page")
        if stack.status()["sources"][CLONED]["upstream"] != here:
            found.faults.append("the first one lost its link to the newcomer")
        found.text = f"refused at {name} {await stack.part_counter(name, 'link.refused.cloned') - before:.0f} times"
    async with _running_clone(stack, there) as plan:
        await until(lambda: _clone_counters(plan).get("link.refused_as_revoked", 0) > 0, 120, "the clone's exclusion")

        async def is_noted() -> bool:
            health = await stack.health()
            notes = [note for part in health["parts"] if part["name"] == CLONED for note in part["notes"]]
            return any("alive in more than one place" in note for note in notes)

        await until_true(is_noted, 120, "the note about a cloned key")
        if stack.status()["sources"][CLONED]["upstream"] != here:
            found.faults.append("the first one lost its link to the newcomer at another proxy")
        found.text += "; at two proxies: the later one shut out, noted on the health page"
    return found


@asynccontextmanager
async def _running_clone(stack: Stack, endpoint: str) -> AsyncIterator[Plan]:
    """Run the clone with nothing but that proxy to go to; it counts other items, so that nothing of it is mistaken."""
    data = stack.site.folder / f"{CLONE}-{uuid4().hex[:6]}"
    (uuid,) = (uuid for name, uuid in stack.plan.sources if name == CLONED)
    key = next(key for known, key in stack.plan.proxies if known == endpoint)
    plan = replace(
        stack.plan, data=data, sources=((CLONED, uuid),), proxies=((endpoint, key),), counters=1, wave_batches=0,
        counter_key="trial.clone",
    )  # fmt: skip
    data.mkdir()
    await asyncio.to_thread(shutil.copy, stack.plan.key_file(CLONED), plan.key_file(CLONED))
    plan.write(stack.site.config_file(data.name))
    part: Part = stack.add(data.name, "-m", "tests.trials.source", str(stack.site.config_file(data.name)))
    await part.start()
    try:
        yield plan
    finally:
        await part.stop()


def _clone_counters(plan: Plan) -> dict[str, float]:
    if not plan.status_file.exists():
        return {}
    counters: dict[str, float] = json.loads(plan.status_file.read_text())["sources"][CLONED]["counters"]
    return counters


# ── Poison ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def _poison(stack: Stack) -> Found:
    """Let a source publish what cannot be stored, in the midst of what can."""
    found = Found()
    done = await _order(stack, "poison", POISONED)
    wanted = set(done["numbers"])
    ended = "SELECT number FROM quarantine WHERE boot = %s"

    async def are_quarantined() -> bool:
        return {number for (number,) in await stack.query(ended, (done["boot"],))} >= wanted

    try:
        await until_true(are_quarantined, 120, "the quarantine")
    except AssertionError:
        there = {number for (number,) in await stack.query(ended, (done["boot"],))}
        missing = [place for place, number in enumerate(done["numbers"]) if number not in there]
        found.faults.append(f"poison {missing} is not quarantined")
    refusals: list[dict[str, Any]] = []

    def shown() -> int:
        return sum(refusal["count"] for refusal in refusals if refusal["kind"] == "record")

    async def are_shown() -> bool:
        refusals[:] = (await stack.health())["refusals"]
        return shown() >= len(wanted) - len(found.faults)

    try:
        await until_true(are_shown, 30, "the count on the health page")
    except AssertionError:
        found.faults.append(f"the health page shows {shown()} refused records: {refusals}")
    told = "SELECT count(*) FROM received WHERE boot = %s AND refused @> %s::int8multirange"
    ranges = "{" + ",".join(f"[{number},{number}]" for number in sorted(wanted)) + "}"
    ((count,),) = await stack.query(told, (done["boot"], ranges))
    if not count:
        found.faults.append("the poison's numbers are not noted as refused")
    await until(lambda: stack.status()["sources"][POISONED]["refused"] >= len(wanted), 120, "the source's refusals")
    found.text = f"{len(wanted)} records quarantined, {shown()} shown on the health page"
    return found


# ── Unknown COMMIT ───────────────────────────────────────────────────────────────────────────────────────────────


async def _cut_commits(stack: Stack, cuts: int) -> Found:
    """Cut the connection around COMMIT: not committed, committed, and whatever happens in between."""
    active = await stack.active()
    before = await stack.part_counter(active, "ingest.unknown_commits")

    async def nothing(_: Passage) -> None:
        """Only the cut."""

    async def cut(passage: Passage) -> None:
        passage.cut()

    for moment in MOMENTS * cuts:
        strike = cut if moment == "under commit" else nothing
        await asyncio.wait_for(stack.wires[active].aim(moment, strike), 60)
        await stack.flowing()
    settled = await stack.part_counter(active, "ingest.unknown_commits") - before
    found = Found(text=f"{len(MOMENTS) * cuts} cuts, {settled:.0f} outcomes unknown and settled")
    if await stack.active() != active:
        found.faults.append("the cuts cost the active server its reign")
    if settled < 2 * cuts:
        found.faults.append(f"only {settled:.0f} outcomes were unknown: the cuts did not hit")
    return found


async def _order(stack: Stack, order: str, source: str) -> dict[str, Any]:
    """Let a source carry out an order; return what it says about it."""
    done_file = stack.plan.data / "done.json"
    done_file.unlink(missing_ok=True)
    (stack.plan.data / "order.json").write_text(json.dumps({"order": order, "source": source}))
    stack.parts[SOURCES].send(signal.SIGUSR2)
    try:
        await until(done_file.exists, 120, f"the end of the order {order}")
    except AssertionError as error:
        raise AssertionError(f"{error}: {stack.status()['sources'][source]}") from None
    done: dict[str, Any] = json.loads(done_file.read_text())
    return done
