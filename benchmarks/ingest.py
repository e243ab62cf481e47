"""How many values a second are stored, with a trigger on every item, from real sources through a real proxy.

`python -m benchmarks.ingest` takes about a minute, with `--packing` up to two more; `--long` five measurements, medians
and their spread; `--json` one JSON object. Everything is
a process of its own on this machine: sources, proxy, server, PostgreSQL. Compared in the same run with the bare COPY of
the same layout on the same database: one writer (ingest has one), bytes made beforehand, no index, no wire, nothing
else running. Packing comes an hour later; `--packing` closes an hour of hot history while all runs, so that the server
packs it beside storing, and reports what a value costs that is stored and packed once each.

    python -m benchmarks.ingest --sources 20 --items 100           small records
    python -m benchmarks.ingest --sources 100 --items 1000         100,000 items
    python -m benchmarks.ingest --trigger avg --interval 10        avg(5m) on values ten seconds apart
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from benchmarks.packing_beside import await_packing, close_hour, fill_hour
from benchmarks.processes import cpu_seconds, memory_mib
from benchmarks.site import EXPRESSIONS, Plan, await_stored, count_stored, running
from benchmarks.spread import print_spread, summarise
from benchmarks.store_layout import BARE, Bench, Load, same_again
from core.model.record import HEADER_BYTES
from server.store.batches import COPY_BATCHES, encode_batches
from server.store.database import Database
from server.store.lease import release, take
from server.store.slices import ensure_open_slices
from server.store.transaction import Writer

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from datetime import datetime

    from server.store.database import DatabaseOptions

SETTLE_SECONDS: Final = 6.0
START_SECONDS: Final = 600.0
BYTES_A_VALUE: Final = 16


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What to measure."""

    plan: Plan
    interval_seconds: float
    seconds: float
    repetitions: int
    packed_values: int = 0


async def bare_copy(options: DatabaseOptions, items: int, seconds: float) -> float:
    """Return the values a second of the bare COPY of the same layout; the lease is free again afterwards."""
    lease = await take(options, endpoint="")
    if lease is None:
        raise RuntimeError("the lease is not free")
    writer = Writer(options, lease.epoch)
    async with Database(options) as database:
        async with database.connection() as connection:
            await ensure_open_slices(connection, lease.taken_at)
            await connection.execute(f"CREATE TABLE {BARE} (LIKE history_batch INCLUDING STORAGE INCLUDING DEFAULTS)")
        batches = Load().batches(items)
        once = (len(batches) * items, encode_batches(batches))
        statement = COPY_BATCHES.replace("history_batch", BARE)
        result = await Bench(database, writer, seconds).measure("bare", BARE, statement, partial(same_again, once))
        await writer.close()
        async with database.connection() as connection:
            await connection.execute(f"DROP TABLE {BARE}")
            await release(connection, lease.epoch)
    return result.values_per_second


async def count_items(database: Database) -> int:
    """Return how many items there are."""
    async with database.connection() as connection:
        row = await (await connection.execute("SELECT count(*) FROM item")).fetchone()
    return int(row[0]) if row else 0


async def await_items(database: Database, wanted: int, seconds: float) -> None:
    """Wait until every source has said its dictionary: what comes before is joining, not storing."""
    async with asyncio.timeout(seconds):
        while await count_items(database) < wanted:  # noqa: ASYNC110 - in another process, which tells nobody
            await asyncio.sleep(0.5)


async def measure(database: Database, pids: dict[str, int], until: Awaitable[Any]) -> dict[str, Any]:
    """Measure one stretch, which ends with `until`: values stored, and processor time by part."""
    before, begin = await count_stored(database), time.perf_counter()
    cpu = _cpu(pids)
    await until
    used, elapsed = _used(pids, cpu), time.perf_counter() - begin
    stored = await count_stored(database) - before
    return _stretch(stored, elapsed, used) | {
        "memory_mib": {name: round(memory_mib(pid), 1) for name, pid in pids.items() if name != "postgres"},
    }


def _cpu(pids: dict[str, int]) -> dict[str, float]:
    return {name: cpu_seconds(pid) for name, pid in pids.items()}


def _used(pids: dict[str, int], before: dict[str, float]) -> dict[str, float]:
    return {name: now - before[name] for name, now in _cpu(pids).items()}


def _stretch(stored: float, seconds: float, used: dict[str, float]) -> dict[str, Any]:
    return {
        "seconds": round(seconds, 2),
        "values_per_second": round(stored / seconds),
        "microseconds_a_value": {name: round(spent / max(stored, 1) * 1e6, 3) for name, spent in used.items()},
    }


async def run(wishes: Wishes) -> dict[str, Any]:
    """Start everything, measure, and remove it."""
    plan = wishes.plan
    limits: list[float] = []
    filled: list[datetime] = []

    async def before(options: DatabaseOptions) -> None:
        limits.extend([await bare_copy(options, plan.items, min(wishes.seconds, 8)) for _ in range(wishes.repetitions)])
        if wishes.packed_values:
            filled.append(await fill_hour(options, wishes.packed_values))

    async with running(plan, before) as site, Database(site.options) as database:
        site.flood(interval_seconds=wishes.interval_seconds)
        await await_stored(database, 2 * plan.sources * plan.items, site.log, START_SECONDS)
        await await_items(database, plan.sources * plan.items, START_SECONDS)
        await asyncio.sleep(SETTLE_SECONDS)
        stretches = [
            await measure(database, site.pids, asyncio.sleep(wishes.seconds)) for _ in range(wishes.repetitions)
        ]
        packing = await measure_packing(database, site.pids, filled[0]) if filled else None
        instances = await count_items(database)
    whole = summarise([_with_sums(stretch, limit) for stretch, limit in zip(stretches, limits, strict=True)])
    if packing is not None:
        whole["packing"] = packing | _packing_included(whole["values_per_second"], packing)
    return whole | {
        "record_bytes_a_value": round(BYTES_A_VALUE + HEADER_BYTES / plan.items, 2),
        "items": instances,
        "values_a_record": plan.items,
        "trigger": EXPRESSIONS[plan.trigger] or "none",
        "interval_seconds": wishes.interval_seconds,
        "cores": len(os.sched_getaffinity(0)),
    }


def _with_sums(stretch: dict[str, Any], bare_copy: float) -> dict[str, Any]:
    cost = stretch["microseconds_a_value"]
    return stretch | {
        "bare_copy_values_per_second": round(bare_copy),
        "share_of_bare_copy": round(stretch["values_per_second"] / bare_copy, 3),
        "microseconds_a_value": cost | {"all": round(sum(cost.values()), 3)},
        "values_per_second_two_cores": round(2e6 / sum(cost.values())),
    }


async def measure_packing(database: Database, pids: dict[str, int], filled: datetime) -> dict[str, Any]:
    """Measure from the beginning of a slice's packing to its end; counting takes seconds of it."""
    await close_hour(database, filled)
    waiting = await await_packing(database, filled, is_begin=True)
    begin, cpu = time.perf_counter(), _cpu(pids)
    before = await count_stored(database)
    await await_packing(database, filled, is_begin=False)
    used, seconds = _used(pids, cpu), time.perf_counter() - begin
    stored = await count_stored(database) - before + waiting
    return _stretch(stored, seconds, used) | {
        "packed_values": waiting,
        "packed_per_second": round(waiting / seconds),
        "cpu_seconds": {name: round(spent, 2) for name, spent in used.items()},
    }


def _packing_included(alone: float, packing: dict[str, Any]) -> dict[str, Any]:
    """Return the rate at which all that is stored could be packed too, by the time that packing took from storing."""
    lost_seconds = packing["seconds"] * (1 - packing["values_per_second"] / alone)
    a_value = max(lost_seconds, 0.0) / packing["packed_values"]
    return {"values_per_second_packing_included": round(1 / (1 / alone + a_value))}


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--sources", type=int, default=10)
    arguments.add_argument("--items", type=int, default=1000, help="items of a source, and values of a record")
    arguments.add_argument("--trigger", choices=sorted(EXPRESSIONS), default="last")
    arguments.add_argument(
        "--interval",
        type=float,
        default=0.0,
        help="seconds between two values of an item, by their instants; 0: true time",
    )
    arguments.add_argument("--seconds", type=float, default=12.0, help="of each measurement")
    arguments.add_argument("--packing", action="store_true", help="also while the server packs an hour that is closed")
    arguments.add_argument("--packed-values", type=int, default=12_000_000, help="how many values that hour has")
    arguments.add_argument("--long", action="store_true", help="five measurements: medians and their spread")
    arguments.add_argument("--json", action="store_true")
    chosen = arguments.parse_args()
    wishes = Wishes(
        plan=Plan(sources=chosen.sources, items=chosen.items, trigger=chosen.trigger),
        interval_seconds=chosen.interval, seconds=chosen.seconds, repetitions=5 if chosen.long else 1,
        packed_values=chosen.packed_values if chosen.packing else 0,
    )  # fmt: skip
    found = asyncio.run(run(wishes))
    if chosen.json:
        print(json.dumps(found))
        return
    print(f"stored values/s      {found['values_per_second']:>12,}")
    print(f"bare COPY values/s   {found['bare_copy_values_per_second']:>12,}")
    print(f"share of bare COPY   {found['share_of_bare_copy']:>12.0%}")
    print(f"two cores' worth     {found['values_per_second_two_cores']:>12,}   by the processor time below")
    print(f"trigger              {found['trigger']}, on {found['items']:,} items, {found['values_a_record']} a record")
    print(f"a record's bytes     {found['record_bytes_a_value']:>12} a value")
    for part, cost in found["microseconds_a_value"].items():
        print(f"{part:20} {cost:>12.3f} µs a value   {found['memory_mib'].get(part, 0):>8.1f} MiB")
    if "packing" in found:
        packing = found["packing"]
        beside = f"values/s stored, {packing['packed_per_second']:,} packed, for {packing['seconds']} s"
        print(f"while packing        {packing['values_per_second']:>12,}   {beside}")
        included = packing["values_per_second_packing_included"]
        print(f"packing included     {included:>12,}   values/s, each stored and packed once")
    print_spread(found)


if __name__ == "__main__":
    main()
