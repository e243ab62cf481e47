"""How fast the API answers, idle and beside ingest: `python -m benchmarks.query [--long] [--json]`.

A real server process asked over HTTP on one kept connection, one question after the other, the questions in turn: an
item's day in all its 8,640 points, its month in 500, the newest values of 1,000 items. The month is packed history of
every ten seconds, of the hour before now is hot. Beside it in the same loop an answer that asks the database nothing
(`/session`): what HTTP and signing in cost. Processor time of server and PostgreSQL an answer stands beside, which
a busy machine does not change much. `--long`: five times the same, medians and their spread.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

import aiohttp
import numpy as np

from benchmarks.host_values import INTERVAL_SECONDS, KINDS
from benchmarks.processes import cpu_seconds
from benchmarks.site import Plan, await_stored, running
from benchmarks.spread import print_spread, summarise
from server.store.batches import BatchColumns, copy_batches
from server.store.copying import copy_in
from server.store.database import Database
from server.store.dictionary import DictionaryEntries, record_dictionaries
from server.store.instants import HOUR_US, to_us
from server.store.inventory import ItemDeclaration, ensure_hosts, ensure_items
from server.store.lease import release, take
from server.store.merging import COPY_COLD, encode_cold
from server.store.peers import ensure_source
from server.store.samples import Samples, cut_by_hour
from server.store.slices import HISTORY, PACKED, TRENDS, ensure_open_slices, ensure_slices
from server.store.tokens import NewToken, Tokens
from server.store.transaction import Writer
from server.store.trends import write_trends
from server.store.users import By, Terms, Users

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.site import Site
    from server.store.database import DatabaseOptions

DAYS: Final = 31
PACKED_ITEMS: Final = 20
HOSTS, ITEMS_A_HOST = 10, 100
LOAD_SOURCES, LOAD_ITEMS, LOAD_PAUSE_SECONDS = 20, 100, 0.1
AIMS_MS: Final = {"an item's day": 10.0, "an item's month": 20.0, "latest of 1,000 items": 20.0}
USER: Final = "benchmark"


@dataclass(frozen=True, kw_only=True)
class Question:
    """One request: its path, its parameters, and how many points or items its answer has."""

    path: str
    parameters: Mapping[str, str]
    expected: int


async def fill(options: DatabaseOptions) -> list[int]:
    """Write a month of packed history and an hour of hot one; returns the ids of the items with a month."""
    lease = await take(options, endpoint="")
    if lease is None:
        raise RuntimeError("the lease is not free")
    writer = Writer(options, lease.epoch)
    now_us = to_us(datetime.now(UTC))
    hour_us = now_us // HOUR_US * HOUR_US
    async with Database(options) as database:
        async with database.connection(60.0) as connection:
            await ensure_open_slices(connection, lease.taken_at)
            days = [lease.taken_at - timedelta(days=day) for day in range(-1, DAYS + 1)]
            for table in (HISTORY, PACKED, TRENDS):
                await ensure_slices(connection, table, days)
        sources, items = await _declare(writer)
        random = np.random.default_rng(1)
        step_us = int(INTERVAL_SECONDS * 1e6)
        at_us = np.arange(hour_us - DAYS * 24 * HOUR_US, hour_us, step_us, dtype=np.int64)
        at_us += random.integers(0, 2000, len(at_us))
        kinds = list(KINDS.values())
        for place, item in enumerate(items[:PACKED_ITEMS]):
            samples = Samples(
                items=np.full(len(at_us), item, np.int32), at_us=at_us,
                values=kinds[place % len(kinds)](random, len(at_us)), late=np.zeros(len(at_us), np.bool_),
            )  # fmt: skip
            begins, hours = cut_by_hour(samples)
            async with writer.transaction(60) as transaction:
                await copy_in(transaction, COPY_COLD, encode_cold(samples, begins, hours))
                await write_trends(transaction, samples, begins, hours)
        await _fill_hot(writer, sources, items, range(hour_us, now_us, step_us))
        await writer.close()
        async with database.connection(60.0) as connection:
            await connection.execute("ANALYZE history_packed, trends, history_batch, item, item_source")
            await release(connection, lease.epoch)
        await Users(database).create(USER, Terms(role="viewer"), "", by=By(name=USER))
    return items[:PACKED_ITEMS]


async def _declare(writer: Writer) -> tuple[list[int], list[int]]:
    sources, items = [], []
    async with writer.transaction(60) as transaction:
        names = [f"query{place}" for place in range(HOSTS)]
        hosts = await ensure_hosts(transaction, names)
        for name in names:
            sources.append((await ensure_source(transaction, uuid4(), name, hosts[name])).id)
            keys = [f"value[{place}]" for place in range(ITEMS_A_HOST)]
            ensured = await ensure_items(transaction, [ItemDeclaration(host_id=hosts[name], key=key) for key in keys])
            own = [ensured.ids[hosts[name], key] for key in keys]
            numbers = range(1, ITEMS_A_HOST + 1)
            entries = DictionaryEntries(source_id=sources[-1], boot=1, version=1, numbers=numbers, items=own)
            await record_dictionaries(transaction, [entries])
            items += own
    return sources, items


async def _fill_hot(writer: Writer, sources: list[int], items: list[int], rounds: range) -> None:
    for begin in range(0, len(rounds), 20):
        batches = [
            BatchColumns(
                source_id=source, boot=1, number=begin + turn + 1, first_at_us=at_us,
                items=np.array(items[place * ITEMS_A_HOST : (place + 1) * ITEMS_A_HOST], np.int32),
                offsets=np.zeros(ITEMS_A_HOST, np.int32), values=np.full(ITEMS_A_HOST, float(at_us % 97)),
            )
            for turn, at_us in enumerate(rounds[begin : begin + 20])
            for place, source in enumerate(sources)
        ]  # fmt: skip
        async with writer.transaction(60) as transaction:
            await copy_batches(transaction, batches)


def questions(items: list[int]) -> dict[str, list[Question]]:
    """Return what is asked, several of a kind so that not one answer is asked for again and again."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)

    def history(item: int, begin: datetime, points: int, expected: int) -> Question:
        parameters = {"item": str(item), "from": begin.isoformat(), "to": now.isoformat(), "points": str(points)}
        return Question(path="/history", parameters=parameters, expected=expected)

    return {
        "an item's day": [history(item, now - timedelta(days=1), 8640, 8640) for item in items],
        "an item's month": [history(item, now - timedelta(days=30), 500, 360) for item in items],
        "latest of 1,000 items": [
            Question(path="/items", parameters={"limit": "1000", "search": "value["}, expected=1000)
        ],
        "nothing of the database": [Question(path="/session", parameters={}, expected=1)],
    }


async def ask(session: aiohttp.ClientSession, base: str, question: Question) -> float:
    """Ask once; returns the milliseconds until the whole answer is there, and checks that it is whole."""
    begin = time.perf_counter()
    async with session.get(f"{base}{question.path}", params=question.parameters) as response:
        body = await response.read()
    spent = (time.perf_counter() - begin) * 1000
    if response.status != 200:
        raise RuntimeError(f"{question.path} answered {response.status}: {body[:500]!r}")
    found = json.loads(body)
    count = len(found["series"][0]["at"]) if "series" in found else len(found.get("items", [1]))
    if count < question.expected:
        raise RuntimeError(f"{question.path} {question.parameters} answered {count} of {question.expected}")
    return spent


async def series(site: Site, token: str, asked: dict[str, list[Question]], rounds: int) -> dict[str, dict[str, float]]:
    """Ask everything in turn, so that what else the machine does meets all kinds alike."""
    spent: dict[str, list[float]] = {kind: [] for kind in asked}
    cpu = {kind: {"server": 0.0, "postgres": 0.0} for kind in asked}
    base = f"http://127.0.0.1:{site.ports.web}/api/v1"
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        for turn in range(-2, rounds):
            for kind, variants in asked.items():
                used = {part: cpu_seconds(site.pids[part]) for part in cpu[kind]}
                milliseconds = await ask(session, base, variants[turn % len(variants)])
                if turn >= 0:
                    spent[kind].append(milliseconds)
                    for part, seconds in used.items():
                        cpu[kind][part] += (cpu_seconds(site.pids[part]) - seconds) * 1000 / rounds
    return {
        kind: {
            "p50": round(statistics.median(each), 2),
            "p95": round(statistics.quantiles(each, n=20, method="inclusive")[18], 2),
            "least": round(min(each), 2),
            **{f"cpu_{part}": round(used, 2) for part, used in cpu[kind].items()},
        }
        for kind, each in spent.items()
    }


async def run(rounds: int, repetitions: int) -> dict[str, Any]:
    """Fill, start, ask idle and beside ingest."""
    items: list[int] = []

    async def before(options: DatabaseOptions) -> None:
        items.extend(await fill(options))

    async with (
        running(Plan(sources=LOAD_SOURCES, items=LOAD_ITEMS, trigger="last"), before) as site,
        Database(site.options) as database,
    ):
        token, _ = await Tokens(database).create(
            USER, NewToken(name="query", role="viewer", groups=None, expires_at=None), by=USER, address=""
        )
        await _await_web(site)
        asked = questions(items)
        idle = [await series(site, token, asked, rounds) for _ in range(repetitions)]
        site.flood(pause_seconds=LOAD_PAUSE_SECONDS)
        await await_stored(database, 100 * LOAD_SOURCES * LOAD_ITEMS, site.log, 60)
        loaded = [await series(site, token, asked, rounds) for _ in range(repetitions)]
    rate = round(LOAD_SOURCES * LOAD_ITEMS / LOAD_PAUSE_SECONDS)
    runs = [{"idle": one, "beside ingest": other} for one, other in zip(idle, loaded, strict=True)]
    return summarise(runs) | {
        "rounds": rounds,
        "ingest_values_per_second": rate,
        "aims_ms": AIMS_MS,
    }


async def _await_web(site: Site) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", site.ports.web)
        except ConnectionRefusedError:
            await asyncio.sleep(0.1)
            continue
        writer.close()
        return
    told = await asyncio.to_thread(site.log.read_text)
    raise RuntimeError(f"the server's web port did not open; the parts said:\n{told[-2000:]}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", action="store_true", help="five times 40 rounds")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args()
    found = asyncio.run(run(40, 5 if chosen.long else 1))
    if chosen.json:
        print(json.dumps(found))
        return
    for name in ("idle", "beside ingest"):
        told = f" of {found['ingest_values_per_second']:,} values/s" if name != "idle" else ""
        print(f"{name}{told}, {found['rounds']} rounds")
        for kind, spent in found[name].items():
            aim = f"   aim {AIMS_MS[kind]:g}" if kind in AIMS_MS else ""
            used = f"cpu {spent['cpu_server']:.1f} + {spent['cpu_postgres']:.1f} ms"
            row = f"p50 {spent['p50']:7.1f} ms   p95 {spent['p95']:7.1f} ms   least {spent['least']:6.1f}"
            print(f"  {kind:26} {row}   {used}{aim}")
    print_spread(found)


if __name__ == "__main__":
    main()
