"""How many bytes a value takes, hot and cold, and how fast closed slices are packed. `python -m benchmarks.storage`.

Hours of hosts of a hundred items every ten seconds (benchmarks/host_values.py), stored as agents send them, a record a
round, then packed by the server's own code. Beside it, in the same database: a row per value with its index, and the
bare columns (item, instant, value); in memory, the same hours as byte planes under zlib. `--long`: five
times with fifty hosts, medians and their spread; `--json`: one object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import tempfile
import time
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from benchmarks.host_values import INTERVAL_SECONDS, ITEMS_A_HOST, KINDS, host, kind_of
from benchmarks.processes import cpu_seconds
from benchmarks.spread import print_spread, summarise
from benchmarks.store_layout import ROWS, encode_rows, size_of
from server.store.batches import BatchColumns, copy_batches
from server.store.cold import write_cold
from server.store.copying import copy_in
from server.store.database import Database, DatabaseOptions
from server.store.embedded import EmbeddedPostgres
from server.store.instants import HOUR_US, to_us
from server.store.lease import take
from server.store.migrate import migrate
from server.store.packing import pack_closed_slices
from server.store.slices import ensure_open_slices
from server.store.transaction import Writer

if TYPE_CHECKING:
    from numpy.typing import NDArray

HOT_BARE_BYTES: Final = 16
COLD_BARE_BYTES: Final = 12
AIM_HOT, AIM_COLD, STRETCH_COLD = 25.0, 6.0, 3.0
ROUNDS: Final = round(3600 / INTERVAL_SECONDS)
RECORDS_A_TRANSACTION: Final = 200
Host = tuple["NDArray[np.int64]", "NDArray[np.float64]"]


async def store_hot(writer: Writer, hosts: list[Host], begin_us: int) -> float:
    """Store every round of every host as a record, as ingest does; returns the seconds it took."""
    begin = time.perf_counter()
    batches: list[BatchColumns] = []
    for turn in range(ROUNDS):
        for place, (instants, values) in enumerate(hosts):
            first = 1 + place * ITEMS_A_HOST
            batches.append(
                BatchColumns(
                    source_id=place + 1, boot=1, number=turn + 1, first_at_us=begin_us + int(instants[turn]),
                    items=np.arange(first, first + ITEMS_A_HOST, dtype=np.int32),
                    offsets=np.zeros(ITEMS_A_HOST, np.int32), values=np.ascontiguousarray(values[:, turn]),
                )
            )  # fmt: skip
        while len(batches) >= RECORDS_A_TRANSACTION or (batches and turn == ROUNDS - 1):
            async with writer.transaction(60) as transaction:
                await copy_batches(transaction, batches[:RECORDS_A_TRANSACTION])
            del batches[:RECORDS_A_TRANSACTION]
    return time.perf_counter() - begin


async def store_rows(database: Database, hosts: list[Host], begin_us: int) -> None:
    """Store the same as a row per value, in the order it came."""
    async with database.connection(120.0) as connection:
        await connection.execute(f"CREATE TABLE {ROWS} (item_id int4, at timestamptz, value float8)")
        await connection.execute(f"CREATE INDEX ON {ROWS} (item_id, at)")
        items = np.arange(1, len(hosts) * ITEMS_A_HOST + 1)
        for turn in range(ROUNDS):
            at_us = np.repeat([begin_us + int(instants[turn]) for instants, _ in hosts], ITEMS_A_HOST)
            values = np.concatenate([values[:, turn] for _, values in hosts])
            rows = encode_rows(items, at_us, values)
            await copy_in(connection, f"COPY {ROWS} (item_id, at, value) FROM STDIN (FORMAT BINARY)", rows)


def zlib_bytes(offsets: NDArray[np.int64], values: NDArray[np.float64]) -> int:
    """Return what an hour takes as byte planes of its differences under zlib: the usual other way."""
    steps, bits = np.diff(offsets, n=2, prepend=offsets[:1].repeat(2)), values.view(np.uint64).copy()
    bits[1:] ^= bits[:-1].copy()
    folded = ((steps << 1) ^ (steps >> 63)).astype("<u4")
    planes = folded.view(np.uint8).reshape(-1, 4).T.tobytes() + bits.view(np.uint8).reshape(-1, 8).T.tobytes()
    return len(zlib.compress(planes, 1))


def by_kind(hosts: list[Host]) -> dict[str, dict[str, float]]:
    """Return the bytes a value of each kind, as packed and as byte planes under zlib; row and index left out."""
    found: dict[str, list[tuple[int, int]]] = {kind: [] for kind in KINDS}
    for instants, values in hosts[:5]:
        offsets = instants - HOUR_US // 2
        rows = write_cold(np.tile(offsets, len(values)), values.ravel(), np.full(len(values), ROUNDS))
        for item, row in enumerate(rows):
            found[kind_of(item)].append((len(row), zlib_bytes(offsets, values[item])))
    means = {kind: np.mean(sizes, axis=0) / ROUNDS for kind, sizes in found.items()}
    return {kind: {"packed": round(mean[0], 2), "zlib": round(mean[1], 2)} for kind, mean in means.items()}


async def run(host_count: int) -> dict[str, Any]:
    """Start a database of its own, measure, and remove it."""
    random = np.random.default_rng(1)
    hosts = [host(random, ROUNDS) for _ in range(host_count)]
    folder = await asyncio.to_thread(_open_folder)
    postgres = EmbeddedPostgres(folder / "database")
    try:
        options = DatabaseOptions(dsn=await asyncio.to_thread(postgres.start), server="benchmark")
        await migrate(options)
        lease = await take(options, endpoint="")
        if lease is None:
            raise RuntimeError("a new database has a free lease")
        writer = Writer(options, lease.epoch)
        now = datetime.now(UTC)
        begin_us = to_us(now) // HOUR_US * HOUR_US - 2 * HOUR_US
        async with Database(options) as database:
            async with database.connection() as connection:
                await ensure_open_slices(connection, lease.taken_at)
            stored_seconds = await store_hot(writer, hosts, begin_us)
            await store_rows(database, hosts, begin_us)
            async with database.connection(60.0) as connection:
                hot, rows = await size_of(connection, "history_batch"), await size_of(connection, ROWS)
            began, cpu, database_cpu = time.perf_counter(), time.process_time(), cpu_seconds(postgres.pid)
            packed = await pack_closed_slices(writer, now + timedelta(hours=3))
            seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
            database_cpu = cpu_seconds(postgres.pid) - database_cpu
            async with database.connection() as connection:
                cold, trends = await size_of(connection, "history_packed"), await size_of(connection, "trends")
        await writer.close()
    finally:
        await asyncio.to_thread(postgres.stop)
        await asyncio.to_thread(shutil.rmtree, folder)
    count = packed.values
    return {
        "values": count,
        "bytes_a_value": {
            "row per value": round(rows / count, 1),
            "hot": round(hot / count, 1),
            "bare columns, hot": HOT_BARE_BYTES,
            "bare columns, cold": COLD_BARE_BYTES,
            "cold": round(cold / count, 2),
            "trends": round(trends / count, 2),
        },
        "cold_by_kind": by_kind(hosts),
        "stored_values_per_second": round(count / stored_seconds),
        "packed_values_per_second": round(count / seconds),
        "packing_microseconds_a_value": {
            "server": round(cpu / count * 1e6, 3),
            "postgres": round(database_cpu / count * 1e6, 3),
        },
        "aims": {"hot": AIM_HOT, "cold": AIM_COLD, "cold, stretch": STRETCH_COLD},
    }


def _open_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="watchkeep-benchmark-"))
    folder.chmod(0o711)
    return folder


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--long", action="store_true", help="five times fifty hosts instead of once ten")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args()
    hosts, repetitions = (50, 5) if chosen.long else (10, 1)
    found = summarise([asyncio.run(run(hosts)) for _ in range(repetitions)])
    if chosen.json:
        print(json.dumps(found))
        return
    for name, size in found["bytes_a_value"].items():
        print(f"{name:28} {size:>8} bytes a value")
    print(f"aims: hot {AIM_HOT:g}, cold {AIM_COLD:g}, stretch {STRETCH_COLD:g}")
    for kind, sizes in found["cold_by_kind"].items():
        print(f"  {kind:26} {sizes['packed']:>8} packed, {sizes['zlib']:>5} as byte planes under zlib")
    cost = found["packing_microseconds_a_value"]
    print(
        f"packed {found['packed_values_per_second']:,} values/s, stored {found['stored_values_per_second']:,} before;"
        f" packing takes {cost['server']} µs of the server and {cost['postgres']} µs of PostgreSQL a value"
    )
    print_spread(found)


if __name__ == "__main__":
    main()
