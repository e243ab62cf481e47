"""Which layout stores fastest: a row per value, or what travelled? `python -m benchmarks.store_layout [--json]`.

On the embedded PostgreSQL with its shipped settings (synchronous commit on), one writer, binary COPY from buffers made
by numpy in the same loop, a transaction per ten thousand values or so. Compared with the bare COPY limit: the same
bytes made once, into a table of the same columns without index.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from server.store.batches import COPY_BATCHES, BatchColumns, encode_batches
from server.store.copying import copy_in
from server.store.database import Database, DatabaseOptions
from server.store.embedded import EmbeddedPostgres
from server.store.instants import POSTGRES_EPOCH_US
from server.store.lease import take
from server.store.migrate import migrate
from server.store.slices import ensure_open_slices
from server.store.transaction import Writer

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.store.database import Connection

TRANSACTION_VALUES = 12_000
ITEMS = 5_000
BARE = "benchmark_bare"
ROWS = "benchmark_rows"
_ROW = np.dtype(
    [
        ("fields", ">i2"),
        ("item_length", ">i4"), ("item", ">i4"),
        ("at_length", ">i4"), ("at", ">i8"),
        ("value_length", ">i4"), ("value", ">f8"),
    ]
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Result:
    """One layout's figures."""

    layout: str
    values: int
    seconds: float
    values_per_second: float
    bytes_per_value: float


def encode_rows(items: np.ndarray[Any, Any], at_us: np.ndarray[Any, Any], values: np.ndarray[Any, Any]) -> bytes:
    """Return COPY rows of (item, at, value)."""
    rows = np.empty(len(items), dtype=_ROW)
    rows["fields"], rows["item_length"], rows["at_length"], rows["value_length"] = 3, 4, 8, 8
    rows["item"], rows["at"], rows["value"] = items, at_us - POSTGRES_EPOCH_US, values
    return rows.tobytes()


class Load:
    """Numbers that look like monitoring: rounded values, items in turn, one instant a batch."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(1)
        self._number = 0
        self._at_us = time.time_ns() // 1000
        self._values = self._random.random(1 << 20).round(3)

    def batches(self, size: int) -> list[BatchColumns]:
        """Return batches of `size` values for one transaction."""
        made = []
        for _ in range(max(TRANSACTION_VALUES // size, 1)):
            self._number += 1
            self._at_us += 10_000
            first = self._number * size % ITEMS
            made.append(
                BatchColumns(
                    source_id=1 + self._number % 100, boot=1, number=self._number, first_at_us=self._at_us,
                    items=((first + np.arange(size)) % ITEMS).astype(np.int32), offsets=np.zeros(size, np.int32),
                    values=self._values[first : first + size],
                )
            )  # fmt: skip
        return made


async def size_of(connection: Connection, table: str) -> int:
    """Return the bytes of a table with its indexes, its partitions too."""
    cursor = await connection.execute(
        """SELECT coalesce(sum(pg_total_relation_size(relid)), 0)::int8
        FROM (SELECT %s::regclass AS relid UNION SELECT relid FROM pg_partition_tree(%s::regclass)) AS tables""",
        (table, table),
    )
    row = await cursor.fetchone()
    return int(row[0] or 0) if row else 0


def same_again(made: tuple[int, bytes]) -> tuple[int, bytes]:
    """Return what was made once, again."""
    return made


class Bench:
    """Runs one layout after the other, each for the same time."""

    def __init__(self, database: Database, writer: Writer, seconds: float) -> None:
        self._database = database
        self._writer = writer
        self._seconds = seconds

    async def measure(self, layout: str, table: str, statement: str, make: Callable[[], tuple[int, bytes]]) -> Result:
        """Store for the given time in fenced transactions; `make` returns (values, COPY bytes) of the next one."""
        async with self._database.connection() as connection:
            before = await size_of(connection, table)
        stored = 0
        begin = time.perf_counter()
        while time.perf_counter() - begin < self._seconds:
            count, rows = make()
            async with self._writer.transaction(60) as transaction:
                await copy_in(transaction, statement, rows)
            stored += count
        seconds = time.perf_counter() - begin
        async with self._database.connection() as connection:
            grown = await size_of(connection, table) - before
        return Result(
            layout=layout, values=stored, seconds=round(seconds, 2), values_per_second=round(stored / seconds),
            bytes_per_value=round(grown / stored, 1),
        )  # fmt: skip

    async def run(self, sizes: list[int]) -> list[Result]:
        """Measure every layout."""
        load = Load()
        results = []

        def rows() -> tuple[int, bytes]:
            (batch,) = load.batches(TRANSACTION_VALUES)
            return TRANSACTION_VALUES, encode_rows(
                batch.items, batch.first_at_us + batch.offsets.astype(np.int64), batch.values
            )

        copy_rows = f"COPY {ROWS} (item_id, at, value) FROM STDIN (FORMAT BINARY)"
        results.append(await self.measure("a row per value, index (item, at)", ROWS, copy_rows, rows))
        for size in sizes:

            def batches(size: int = size) -> tuple[int, bytes]:
                made = load.batches(size)
                return len(made) * size, encode_batches(made)

            results.append(
                await self.measure(f"what travelled, {size} values a batch", "history_batch", COPY_BATCHES, batches)
            )
            once = batches()
            limit = partial(same_again, once)
            bare = COPY_BATCHES.replace("history_batch", BARE)
            results.append(await self.measure(f"bare COPY limit, {size} values a batch", BARE, bare, limit))
        return results


def _open_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="watchkeep-benchmark-"))
    folder.chmod(0o711)
    return folder


async def run(seconds: float, sizes: list[int]) -> list[Result]:
    """Start a database of its own, measure, and remove it."""
    folder = await asyncio.to_thread(_open_folder)
    postgres = EmbeddedPostgres(folder / "database")
    try:
        options = DatabaseOptions(dsn=await asyncio.to_thread(postgres.start), server="benchmark")
        await migrate(options)
        lease = await take(options, endpoint="")
        if lease is None:
            raise RuntimeError("a new database has a free lease")
        writer = Writer(options, lease.epoch)
        async with Database(options) as database:
            async with database.connection() as connection:
                await ensure_open_slices(connection, lease.taken_at)
                await connection.execute(f"CREATE TABLE {ROWS} (item_id int4, at timestamptz, value float8)")
                await connection.execute(f"CREATE INDEX ON {ROWS} (item_id, at)")
                await connection.execute(
                    f"CREATE TABLE {BARE} (LIKE history_batch INCLUDING STORAGE INCLUDING DEFAULTS)"
                )
            results = await Bench(database, writer, seconds).run(sizes)
        await writer.close()
        return results
    finally:
        await asyncio.to_thread(postgres.stop)
        shutil.rmtree(folder)


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=5.0, help="for each layout")
    arguments.add_argument("--sizes", type=int, nargs="+", default=[60, 250, 1000], help="values a batch")
    arguments.add_argument("--json", action="store_true")
    chosen = arguments.parse_args()
    results = asyncio.run(run(chosen.seconds, chosen.sizes))
    rows = results[0].values_per_second
    if chosen.json:
        print(json.dumps([asdict(each) | {"times_rows": round(each.values_per_second / rows, 1)} for each in results]))
        return
    print(f"{'layout':40} {'values/s':>12} {'bytes/value':>12} {'x rows':>8}")
    for each in results:
        print(
            f"{each.layout:40} {each.values_per_second:>12,} {each.bytes_per_value:>12} "
            f"{each.values_per_second / rows:>8.1f}"
        )
    for stored, limit in zip(results[1::2], results[2::2], strict=True):
        share = stored.values_per_second / limit.values_per_second
        print(f"{stored.layout}: {share:.0%} of the bare COPY limit of the same layout")


if __name__ == "__main__":
    main()
