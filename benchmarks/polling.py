"""Polling when a third of the devices is dead: do the living keep their interval, and what does a value cost?

`python -m benchmarks.polling` asks 200 SNMP devices (v2c, 20 objects each) every 5 s for a minute; `--json` prints
one JSON object. The devices run in a process of their own; the processor time is the poller's alone.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import quantiles
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from benchmarks.responder import OBJECT
from core.runtime.clock import SystemClock
from core.runtime.counters import Counters
from core.spool.outbox import Outbox
from core.spool.spool import SpoolLimits
from probes.device import Shared
from proxy.polling.lanes import Lanes
from proxy.polling.line import Ground, Line
from proxy.polling.outlet import Outlet
from proxy.polling.share import read_share

if TYPE_CHECKING:
    from collections.abc import Iterable

    from probes.declaration import Item, Reading

OBJECTS: Final = 20


@dataclass(frozen=True, kw_only=True)
class Result:
    """Of the living: rounds kept of those that were due, and the distances between them in seconds."""

    devices: int
    dead: int
    interval_seconds: float
    kept_percent: float
    distance_median: float
    distance_99_percent: float
    values: int
    cpu_microseconds_a_value: float
    cpu_microseconds_a_request: float


class Watching(Outlet):
    """An outlet that notes when each host answered."""

    rounds: defaultdict[str, list[int]]

    def put(self, host: str, at: int, readings: Iterable[tuple[Item, Reading]]) -> None:
        """Note the instant, then do what every outlet does."""
        listed = list(readings)
        if any(item.key == "snmp.value" for item, _ in listed):
            self.rounds[host].append(at)
        super().put(host, at, listed)


async def measure(*, devices: int, dead: int, interval: float, seconds: float) -> Result:
    """Poll for so many seconds and say what came of it."""
    arguments = ("-m", "benchmarks.responder", str(devices - dead), str(dead))
    responder = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)
    try:
        if responder.stdout is None:
            raise AssertionError("asked for a pipe")
        with tempfile.TemporaryDirectory(prefix="watchkeep-polling-") as folder:
            ports = json.loads(await responder.stdout.readline())
            return await _poll(Path(folder), ports, interval, seconds)
    finally:
        responder.kill()
        await responder.wait()
        responder._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - asyncio leaves its pipe open


async def _poll(folder: Path, ports: dict[str, list[int]], interval: float, seconds: float) -> Result:
    clock, counters, shared = SystemClock(), Counters(), Shared()
    (folder / "community").write_text("public\n")

    outbox = Outbox.open(folder / "spool", uuid4(), SpoolLimits(), clock)
    outlet = Watching(outbox, clock, counters, lambda: None)
    outlet.rounds = defaultdict(list)
    ground = Ground(outlet=outlet, lanes=Lanes(), shared=shared, secrets=folder, clock=clock, counters=counters)
    share = read_share(_document(f"{kind}{port}", port, interval) for kind, listed in ports.items() for port in listed)
    began = time.process_time()
    lines = [Line(ground, plan.device, "snmp", plan.assignments) for plan in share.values()]
    tasks = [asyncio.create_task(line.run()) for line in lines] + [asyncio.create_task(outlet.run())]
    try:
        done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        shared.close()
        outlet.flush()
        outbox.close()
    used = time.process_time() - began
    return _result(ports, outlet.rounds, interval, used)


def _result(ports: dict[str, list[int]], rounds: dict[str, list[int]], interval: float, used: float) -> Result:
    kept, due, distances = 0, 0, []
    for port in ports["living"]:
        instants = [at / 1e6 for at in rounds[f"living{port}"]]
        if len(instants) < 3:
            raise AssertionError(f"a living device answered {len(instants)} times")
        distances += [later - earlier for earlier, later in itertools.pairwise(instants)]
        kept += len(instants) - 1
        due += round((instants[-1] - instants[0]) / interval)
    hundredths = quantiles(distances, n=100)
    requests = sum(map(len, rounds.values()))
    return Result(
        devices=len(ports["living"]) + len(ports["dead"]),
        dead=len(ports["dead"]),
        interval_seconds=interval,
        kept_percent=100.0 * kept / due,
        distance_median=hundredths[49],
        distance_99_percent=hundredths[98],
        values=requests * OBJECTS,
        cpu_microseconds_a_value=1e6 * used / (requests * OBJECTS),
        cpu_microseconds_a_request=1e6 * used / requests,
    )


def _document(host: str, port: int, interval: float) -> dict[str, Any]:
    oid = ".".join(map(str, OBJECT))
    objects = [{"name": f"n{n}", "oid": f"{oid}.{n}.0"} for n in range(1, OBJECTS + 1)]
    snmp = {"port": port, "community_file": "community", "timeout_seconds": 2.0}
    probe = {"probe": "snmp.get", "interval_seconds": interval, "parameters": {"objects": objects}}
    return {"version": 1, "poll": {"host": host, "address": "127.0.0.1", "snmp": snmp}, "probes": [probe]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=200)
    parser.add_argument("--dead-percent", type=int, default=30)
    parser.add_argument("--interval", type=float, default=5.0, metavar="SECONDS")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    dead = chosen.devices * chosen.dead_percent // 100
    result = asyncio.run(measure(devices=chosen.devices, dead=dead, interval=chosen.interval, seconds=chosen.seconds))
    if chosen.json:
        print(json.dumps(asdict(result)))
    else:
        print(
            f"{result.devices} SNMP devices, {result.dead} of them dead, every {result.interval_seconds:g} s\n"
            f"  rounds the living kept   {result.kept_percent:.2f} %\n"
            f"  between two rounds       median {result.distance_median:.3f} s, 99 % within"
            f" {result.distance_99_percent:.3f} s\n"
            f"  processor time           {result.cpu_microseconds_a_value:.0f} µs a value,"
            f" {result.cpu_microseconds_a_request:.0f} µs a request of {OBJECTS} objects, the dead included"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
