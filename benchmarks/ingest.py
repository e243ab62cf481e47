"""How many values a second are stored, with a trigger on every item, from real sources through a real proxy.

`python -m benchmarks.ingest` takes about a minute; `--long` five measurements; `--json` one JSON object. Everything is
a process of its own on this machine: sources, proxy, server, PostgreSQL. Compared in the same run with the bare COPY of
the same layout on the same database: one writer, bytes made beforehand, no index, no wire, nothing else running.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

from benchmarks.processes import cpu_seconds, memory_mib
from benchmarks.store_layout import BARE, Bench, Load, same_again
from core.wire.curve import load_or_create
from server.inventory.apply import apply, check_documents, propose
from server.inventory.check import documents_from_plain
from server.store.batches import COPY_BATCHES, encode_batches
from server.store.database import Database, DatabaseOptions
from server.store.definitions import Author
from server.store.embedded import EmbeddedPostgres
from server.store.inventory import ensure_hosts
from server.store.lease import release, take
from server.store.migrate import migrate
from server.store.peers import PeerKey, add_key, assign_source, ensure_group, ensure_source
from server.store.slices import ensure_open_slices
from server.store.transaction import Writer
from watchkeep.up.layout import free_ports, toml

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTLE_SECONDS: Final = 6.0
HOLD_BYTES: Final = 4 << 20
START_SECONDS: Final = 60.0
EXPRESSIONS: Final = {"last": "last(load[*]) > 1000", "avg": "avg(load[*], 5m) > 1000", "none": ""}


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What to measure."""

    sources: int
    items: int
    trigger: str
    seconds: float
    repetitions: int


async def prepare(options: DatabaseOptions, folder: Path, wishes: Wishes, proxy_key: bytes) -> list[tuple[str, str]]:
    """Let proxy and sources in and define the trigger; returns (name, uuid) of each source."""
    names = [f"host{place}" for place in range(wishes.sources)]
    sources = [(name, str(uuid4())) for name in names]
    async with Database(options) as database:
        async with database.connection() as connection, connection.transaction():
            group = await ensure_group(connection, "default")
            hosts = await ensure_hosts(connection, names)
            await add_key(connection, _key(proxy_key, "proxy", "proxy", group_id=group))
            for name, uuid in sources:
                source = await ensure_source(connection, UUID(uuid), name, hosts[name])
                await assign_source(connection, source.id, group)
                public = load_or_create(folder / f"{name}.key").public
                await add_key(connection, _key(public, "agent", name, source_id=source.id))
        trigger = {"name": "Load is high", "expression": EXPRESSIONS[wishes.trigger], "severity": "high"}
        documents: list[dict[str, Any]] = [
            {"kind": "template", "name": "bench", "items": [{"item": "load"}],
             "triggers": [trigger] if wishes.trigger != "none" else []},
            *({"kind": "host", "name": name, "templates": ["bench"]} for name in names),
        ]  # fmt: skip
        proposal = await propose(database, check_documents(documents_from_plain(documents)), via="file")
        await apply(database, proposal, Author(name="benchmark", via="file"))
    return sources


def _key(key: bytes, role: str, name: str, *, source_id: int | None = None, group_id: int | None = None) -> PeerKey:
    return PeerKey(
        key=key, role=role, name=name, source_id=source_id, source_uuid=None, group_id=group_id, revoked_at=None
    )


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


@contextmanager
def process(*arguments: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run one of our programs within the block."""
    with log.open("ab") as output:
        child = subprocess.Popen([sys.executable, "-m", *arguments], stdout=output, stderr=output)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


async def count_stored(database: Database) -> int:
    """Return how many values lie in hot history."""
    async with database.connection(timeout_seconds=60) as connection:
        cursor = await connection.execute("SELECT coalesce(sum(cardinality(items)), 0)::int8 FROM history_batch")
        row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def count_items(database: Database) -> int:
    """Return how many items there are."""
    async with database.connection() as connection:
        row = await (await connection.execute("SELECT count(*) FROM item")).fetchone()
    return int(row[0]) if row else 0


async def measure(database: Database, seconds: float, pids: dict[str, int]) -> dict[str, Any]:
    """Measure one stretch: values stored, and processor time by part."""
    before, begin = await count_stored(database), time.perf_counter()
    cpu = {name: cpu_seconds(pid) for name, pid in pids.items()}
    await asyncio.sleep(seconds)
    used = {name: cpu_seconds(pid) - cpu[name] for name, pid in pids.items()}
    stored, elapsed = await count_stored(database) - before, time.perf_counter() - begin
    return {
        "values_per_second": round(stored / elapsed),
        "microseconds_a_value": {name: round(spent / stored * 1e6, 3) for name, spent in used.items()},
        "memory_mib": {name: round(memory_mib(pid), 1) for name, pid in pids.items() if name != "postgres"},
    }


async def run(wishes: Wishes) -> dict[str, Any]:
    """Start everything, measure, and remove it."""
    folder = await asyncio.to_thread(_make_folder)
    postgres = EmbeddedPostgres(folder / "postgres")
    try:
        options = DatabaseOptions(dsn=await asyncio.to_thread(postgres.start), server="benchmark")
        await migrate(options)
        limit = await bare_copy(options, wishes.items, min(wishes.seconds, 8))
        ports = free_ports(0)
        proxy_keys, server_keys = load_or_create(folder / "proxy.key"), load_or_create(folder / "server.key")
        sources = await prepare(options, folder, wishes, proxy_keys.public)
        (folder / "server.toml").write_text(
            toml({"name": "server", "dsn": options.dsn, "key_file": folder / "server.key",
                  "control_port": ports.server_control, "data_port": ports.server_data, "web_port": 0})
        )  # fmt: skip
        (folder / "proxy.toml").write_text(
            toml({"name": "proxy", "data": folder / "proxy", "key_file": folder / "proxy.key",
                  "control_port": ports.gate.control_port, "data_port": ports.gate.data_port,
                  "servers": [{"endpoint": f"tcp://127.0.0.1:{ports.server_control}",
                               "key": server_keys.public_text}]})
        )  # fmt: skip
        (folder / "flood.json").write_text(
            json.dumps({"data": str(folder), "upstream": [f"tcp://127.0.0.1:{ports.gate.control_port}",
                        proxy_keys.public_text], "sources": sources, "items": wishes.items,
                        "hold_bytes": HOLD_BYTES})
        )  # fmt: skip
        with ExitStack() as stack:
            start = stack.enter_context
            server = start(process("watchkeep", "server", "--config", f"{folder}/server.toml", log=folder / "log"))
            proxy = start(process("watchkeep", "proxy", "--config", f"{folder}/proxy.toml", log=folder / "log"))
            flood = start(process("benchmarks.flood", f"{folder}/flood.json", log=folder / "log"))
            pids = {"sources": flood.pid, "proxy": proxy.pid, "server": server.pid, "postgres": postgres.pid}
            async with Database(options) as database:
                await _await_flow(database, wishes.sources * wishes.items, folder / "log")
                await asyncio.sleep(SETTLE_SECONDS)
                stretches = [await measure(database, wishes.seconds, pids) for _ in range(wishes.repetitions)]
                instances = await count_items(database)
        rates = [stretch["values_per_second"] for stretch in stretches]
        median = round(statistics.median(rates))
        return {
            "values_per_second": median,
            "values_per_second_each": rates,
            "bare_copy_values_per_second": round(limit),
            "share_of_bare_copy": round(median / limit, 3),
            "microseconds_a_value": stretches[-1]["microseconds_a_value"],
            "memory_mib": stretches[-1]["memory_mib"],
            "items": instances,
            "values_a_record": wishes.items,
            "trigger": EXPRESSIONS[wishes.trigger] or "none",
            "cores": len(os.sched_getaffinity(0)),
        }
    finally:
        await asyncio.to_thread(postgres.stop)
        await asyncio.to_thread(shutil.rmtree, folder)


def _make_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="watchkeep-benchmark-"))
    folder.chmod(0o711)
    return folder


async def _await_flow(database: Database, values: int, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while await count_stored(database) < values:
        if time.monotonic() > deadline:
            raise RuntimeError(f"nothing was stored; see {log}")
        await asyncio.sleep(0.2)


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--sources", type=int, default=10)
    arguments.add_argument("--items", type=int, default=1000, help="items of a source, and values of a record")
    arguments.add_argument("--trigger", choices=sorted(EXPRESSIONS), default="last")
    arguments.add_argument("--seconds", type=float, default=12.0, help="of each measurement")
    arguments.add_argument("--long", action="store_true", help="five measurements")
    arguments.add_argument("--json", action="store_true")
    chosen = arguments.parse_args()
    wishes = Wishes(
        sources=chosen.sources, items=chosen.items, trigger=chosen.trigger, seconds=chosen.seconds,
        repetitions=5 if chosen.long else 1,
    )  # fmt: skip
    found = asyncio.run(run(wishes))
    if chosen.json:
        print(json.dumps(found))
        return
    print(f"stored values/s      {found['values_per_second']:>12,}   {found['values_per_second_each']}")
    print(f"bare COPY values/s   {found['bare_copy_values_per_second']:>12,}")
    print(f"share of bare COPY   {found['share_of_bare_copy']:>12.0%}")
    print(f"trigger              {found['trigger']}, on {found['items']:,} items, {found['values_a_record']} a record")
    for part, cost in found["microseconds_a_value"].items():
        print(f"{part:20} {cost:>12.3f} µs a value   {found['memory_mib'].get(part, 0):>8.1f} MiB")


if __name__ == "__main__":
    main()
