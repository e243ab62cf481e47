"""R5, R6: damaged spools of source and proxy; a proxy that comes back with batches another one has delivered."""

from __future__ import annotations

import asyncio
import random
import signal
from typing import TYPE_CHECKING, Final

from core.model.ranges import RangeSet
from core.runtime.logging import Log
from core.spool.scan import records_of
from core.spool.segment import START
from server.store.received import from_multirange
from tests.support.waiting import until_found
from tests.trials.finding import Finding
from tests.trials.judging import judge
from tests.trials.site import PROXIES, SERVERS, SOURCES
from tests.trials.stack import running_stack, until_true

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from tests.trials.judging import Verdict
    from tests.trials.stack import Stack

SHORT_RECORDS: Final = 60
LONG_RECORDS: Final = 2000
"""How many records a source holds before its spool is damaged."""
SOURCE: Final = "source1"
LOST: Final = """
SELECT coalesce(sum(upper(x) - lower(x)), 0)::int8,
       (SELECT coalesce(sum(upper(y) - lower(y)), 0)::int8
        FROM received q, unnest(int8multirange(int8range(1, upper(q.ranges))) - q.ranges - q.lost - q.refused) y)
FROM received r LEFT JOIN unnest(r.lost) x ON true
"""
log = Log("trial")
Name = tuple[int, int]
"""(boot, number)."""


async def run(*, is_long: bool) -> list[Finding]:
    records = LONG_RECORDS if is_long else SHORT_RECORDS
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    async with running_stack(sources=1, counters=50, batches_per_second=20.0) as stack:
        held, late = await _move_away_and_back(stack, records)
        both, either, since = await _damage(stack, records, chance)
        await stack.drain()
        reports = _reports(stack, since)  # now that everything has been read
        verdict = await asyncio.to_thread(judge, stack.plan, stack.dsn, stack.receiver.told)
        ((lost, missing),) = await stack.query(LOST)
    faults = [] if reports else ["no part reported damage"]
    items = len(stack.plan.item_keys)
    if verdict.lost != items * len(both) or lost != len(both) or missing:
        faults.append(
            f"{len(both)} records were damaged everywhere; {verdict.lost} values, LOST {lost}, open {missing}"
        )
    if verdict.doubled or verdict.strange or verdict.events_doubled:
        faults += [f"doubled {verdict.doubled}, strange {verdict.strange}", *verdict.details[:10]]
    return [_moved(verdict, held, late), _damaged(verdict, items, len(both), either, reports, faults)]


def _moved(verdict: Verdict, held: int, late: int) -> Finding:
    return Finding(
        trial="spools",
        injected="a proxy frozen while it holds its source's batches; the source moves on; the proxy comes back",
        required="lost 0, doubled 0",
        found=f"it held {held} records; {late} came once more, each stored once; doubled {verdict.doubled}",
        faults=[] if held else ["the proxy held nothing: nothing was tried"],
    )


def _damaged(verdict: Verdict, items: int, both: int, either: int, reports: int, faults: list[str]) -> Finding:
    return Finding(
        trial="spools",
        injected=f"a flipped bit in each of {either} records of live spools, at source or proxy; in {both} at both",
        required="reported; 100 % of the rest stored; LOST said of exactly what no copy is whole of",
        found=f"of {verdict.appended} values not stored {verdict.lost}: {both} records of {items}; reported {reports}",
        faults=faults,
    )


async def _move_away_and_back(stack: Stack, records: int) -> tuple[int, int]:
    """Return how many records the proxy that was left held, and how many of them it brought once more."""
    await _away(stack, records)
    left = await _linked_proxy(stack)
    stack.parts[left].send(signal.SIGSTOP)
    held = len(_named(stack.site.data(left) / "spool"))
    for server in SERVERS:
        await stack.start(server)
    await stack.active()
    await until_true(lambda: _is_linked_elsewhere(stack, left), 120, "the source's move to the other proxy")
    await stack.flowing()
    stack.parts[left].send(signal.SIGCONT)
    await until_true(lambda: _holds_nothing(stack, left), 180, "the end of what the proxy that came back held")
    return held, round(await stack.part_counter(await stack.active(), "ingest.duplicate_records"))


async def _holds_nothing(stack: Stack, proxy: str) -> bool:
    """Whether the active server hears that the proxy is well and holds nothing."""
    for part in (await stack.health())["parts"]:
        if part["name"] == proxy:
            return bool(part["state"] == "up" and part["counters"].get("held_records") == 0)
    return False


async def _damage(stack: Stack, records: int, chance: random.Random) -> tuple[set[Name], int, dict[str, int]]:
    """Damage records in both spools; return those without a whole copy, how many in all, and how long the logs were."""
    await _away(stack, records)
    proxy = await _linked_proxy(stack)
    await stack.kill(SOURCES)
    await asyncio.gather(*(stack.kill(each) for each in PROXIES))
    at_source = _named(stack.plan.spool_folder(SOURCE))
    at_proxies = {each: _named(stack.site.data(each) / "spool") for each in PROXIES}
    rows = await stack.query("SELECT boot, ranges::text FROM received")
    stored = {boot: from_multirange(ranges) for boot, ranges in rows}
    common = at_source.keys() & at_proxies[proxy].keys()
    common = {name for name in common if name[1] not in stored.get(name[0], RangeSet())}
    chosen = chance.sample(sorted(common)[5:-5], 12)  # the first ones hold the dictionary
    both, only_source, only_proxy = set(chosen[:4]), set(chosen[4:8]), set(chosen[8:])
    for each, named in at_proxies.items():
        _flip(named, (both | only_proxy) & named.keys() if each != proxy else both | only_proxy, chance)
    _flip(at_source, both | only_source, chance)
    since = {part: len(stack.parts[part].log_file.read_bytes()) for part in (SOURCES, *PROXIES)}
    for part in (*PROXIES, SOURCES, *SERVERS):
        await stack.start(part)
    await stack.active()
    await stack.flowing()
    return both, len(chosen), since


def _reports(stack: Stack, since: Mapping[str, int]) -> int:
    """Return how often the logs of these parts speak of damage after so many bytes."""
    logs = [stack.parts[part].log_file.read_bytes()[at:] for part, at in since.items()]
    return sum(log.count(b"A spool file is damaged") for log in logs)


async def _away(stack: Stack, records: int) -> None:
    """Kill the servers and wait until the source and its proxy hold so many records."""
    await asyncio.gather(*(stack.kill(server) for server in SERVERS))

    async def are_held() -> bool:
        status = stack.status()["sources"][SOURCE]
        return status["upstream"] is not None and status["unstored"] >= records

    await until_true(are_held, 120 + records / 10, f"{records} records held")
    await until_true(lambda: _is_in_custody(stack), 120, "the proxy's custody of them")


async def _is_in_custody(stack: Stack) -> bool:
    """Whether the linked proxy has on disk most of what the source holds."""
    held = _named(stack.plan.spool_folder(SOURCE)).keys()
    return len(held & _named(stack.site.data(await _linked_proxy(stack)) / "spool").keys()) > len(held) * 0.8


async def _linked_proxy(stack: Stack) -> str:
    """Return where the source is linked; waits while it is nowhere."""

    async def look() -> str | None:
        upstream = stack.status()["sources"][SOURCE]["upstream"]
        return next((proxy for proxy in PROXIES if stack.site.endpoint(proxy) == upstream), None)

    return await until_found(look, what="a link of the source")


async def _is_linked_elsewhere(stack: Stack, left: str) -> bool:
    return stack.status()["sources"][SOURCE]["upstream"] not in (None, stack.site.endpoint(left))


def _named(folder: Path) -> dict[Name, tuple[Path, int, int]]:
    """Where each record of a spool lies: (file, begin, end). What is still being written is left out."""
    found: dict[Name, tuple[Path, int, int]] = {}
    for path in sorted(folder.glob("*.segment")):
        try:
            data = path.read_bytes()[START:]
        except FileNotFoundError:
            continue
        try:
            listed = records_of(data)
        except ValueError:
            continue
        for begin, end, _, _, boot, number in listed:
            found[boot, number] = (path, START + begin, START + end)
    return found


def _flip(named: dict[Name, tuple[Path, int, int]], names: Iterable[Name], chance: random.Random) -> None:
    """Flip one bit in each of these records."""
    for name in names:
        path, begin, end = named[name]
        with path.open("r+b") as file:
            at = chance.randrange(begin, end)
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1 << chance.randrange(8)]))
