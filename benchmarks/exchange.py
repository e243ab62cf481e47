"""How fast history goes out into files and comes in again, and in how much memory: `python -m benchmarks.exchange`.

The command itself, as a process of its own, over the embedded PostgreSQL with its shipped settings: what it exports
from one database it imports into an empty one, and once more, which stores nothing. Ten items at one sample a second;
`--long` ten times as many. Memory is the process's greatest resident set, which with `--long` shows that it does not
grow; its processor's time is told apart, since the clock's also holds the database's and whatever else runs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from server.exchange.registry import FORMS
from server.store.backfill import backfill_samples
from server.store.database import Database, DatabaseOptions
from server.store.instants import to_us
from server.store.inventory import ItemDeclaration, ensure_hosts, ensure_items
from server.store.migrate import migrate
from server.store.samples import Samples
from tests.support.postgres import embedded_server
from watchkeep.installation import Installation

ITEMS = 10
SAMPLES = 1_000_000
AT_ONCE = 100_000


@dataclass(frozen=True, kw_only=True)
class Result:
    """One command's figures."""

    form: str
    what: str
    samples: int
    seconds: float
    samples_per_second: float
    processor_seconds: float
    memory_mib: float
    file_bytes_per_sample: float


async def fill(options: DatabaseOptions, samples: int) -> None:
    """Store as many samples of ten items, ending now."""
    random = np.random.default_rng(1)
    each = samples // ITEMS
    begin = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=each)
    async with Database(options) as database:
        async with database.connection() as connection, connection.transaction():
            host = (await ensure_hosts(connection, ["db1"]))["db1"]
            declared = [ItemDeclaration(host_id=host, key=f"shop.orders[{n}]", unit="1/s") for n in range(ITEMS)]
            items = list((await ensure_items(connection, declared)).ids.values())
        for item in items:
            for first in range(0, each, AT_ONCE):
                count = min(AT_ONCE, each - first)
                part = Samples(
                    items=np.full(count, item, np.int32),
                    at_us=to_us(begin) + np.arange(first, first + count, dtype=np.int64) * 1_000_000,
                    values=random.random(count).round(3), late=np.zeros(count, np.bool_),
                )  # fmt: skip
                async with database.connection(60.0) as connection:
                    await backfill_samples(connection, part)


def run(data: Path, *arguments: str) -> tuple[float, float, float]:
    """Run `watchkeep history`; return seconds, the processor's seconds and MiB."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "watchkeep", "history", *arguments, "--json", "--data", str(data)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {child.returncode}")
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


async def measure(samples: int) -> list[Result]:
    """Export and import in every form."""
    results: list[Result] = []
    with (
        tempfile.TemporaryDirectory(prefix="watchkeep-exchange-") as scratch,
        embedded_server() as server,
        server.fresh_database() as source,
    ):
        folder = Path(scratch)
        await _install(source, folder / "source")
        await fill(DatabaseOptions(dsn=source, server="one"), samples)
        for form in FORMS:
            file = folder / f"all.{form}"
            with server.fresh_database() as target:
                await _install(target, folder / form)
                for what, data in (("export", "source"), ("import", form), ("import again", form)):
                    seconds, busy, memory = await asyncio.to_thread(run, folder / data, what.split()[0], str(file))
                    results.append(
                        Result(
                            form=form,
                            what=what,
                            samples=samples,
                            seconds=round(seconds, 2),
                            samples_per_second=round(samples / seconds),
                            processor_seconds=round(busy, 2),
                            memory_mib=round(memory),
                            file_bytes_per_sample=round(file.stat().st_size / samples, 1),
                        )
                    )
            file.unlink()
    return results


async def _install(dsn: str, folder: Path) -> None:
    folder.mkdir()  # noqa: ASYNC240 - once, before anything is measured
    await migrate(DatabaseOptions(dsn=dsn, server="one"))
    Installation(dsn=dsn, url="", server="one").write(folder)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true", help="ten million samples")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    results = asyncio.run(measure(arguments.samples * (10 if arguments.long else 1)))
    if arguments.json:
        print(json.dumps([asdict(result) for result in results]))
        return
    print(f"{results[0].samples:,} samples\n{'':22}{'s':>8}{'cpu s':>8}{'samples/s':>12}{'MiB':>8}{'bytes/sample':>14}")
    for each in results:
        print(
            f"{each.form:8}{each.what:14}{each.seconds:8.1f}{each.processor_seconds:8.1f}{each.samples_per_second:12,}{each.memory_mib:8.0f}"
            f"{each.file_bytes_per_sample:14.1f}"
        )


if __name__ == "__main__":
    main()
