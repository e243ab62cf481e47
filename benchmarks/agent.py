"""What an agent costs: memory and processor time at 100 items every 10 seconds, delivered to a real collector.

`python -m benchmarks.agent` takes about 50 s; `--long` three minutes of measuring; `--json` prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from benchmarks.agent_process import ITEMS, PROBES
from core.wire.curve import load_or_create
from tests.support.collecting import Desk, collecting

AIM_MEMORY_MIB: Final = 18.0
STRETCH_MEMORY_MIB: Final = 12.0
AIM_CPU_PERCENT: Final = 0.1
INTERVAL_SECONDS: Final = 10.0
SETTLING_SECONDS: Final = 12.0
DOCUMENT: Final[dict[str, Any]] = {
    "probes": [{"probe": f"bench{number}", "interval_seconds": INTERVAL_SECONDS} for number in range(PROBES)]
}


def cpu_seconds(pid: int) -> float:
    """Return the processor time all threads of `pid` ever used, to the nanosecond (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


def memory_kib(pid: int) -> dict[str, int]:
    """Return Rss, Pss and what is private of `pid`, in KiB."""
    found = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0])
    return {
        "rss": found["Rss"],
        "pss": found["Pss"],
        "private": found["Private_Clean"] + found["Private_Dirty"],
    }


def wakeups(pid: int) -> int:
    """Return how often the threads of `pid` have been put to sleep and woken."""
    total = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        for line in status.read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches"):
                total += int(line.split()[1])
    return total


def compiled(folder: Path) -> dict[str, str]:
    """Return the environment of a process that keeps compiled modules in `folder`."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment


async def measure(seconds: float, folder: Path) -> dict[str, float]:
    """Run an agent for `seconds` after it has settled, and return the figures."""
    source = uuid4()
    keys = load_or_create(folder / "key")
    desk = Desk()
    desk.document = DOCUMENT
    async with collecting(desk, source=source, agent=keys) as (collector, collector_keys):
        settings = folder / "agent.toml"
        settings.write_text(
            f'name = "bench"\nsource = "{source}"\ndata = "."\nkey_file = "key"\n[[upstreams]]\n'
            f"endpoint = \"tcp://127.0.0.1:{collector.control_port}\"\nkey = '{collector_keys.public_text}'\n"
        )
        command = (sys.executable, "-m", "benchmarks.agent_process")
        environment = compiled(folder)
        # An installed agent finds its modules compiled; compiling them in the process leaves 1 MiB behind.
        first = await asyncio.create_subprocess_exec(
            *command, "--sample", env=environment, stdout=asyncio.subprocess.DEVNULL
        )
        await asyncio.wait_for(first.wait(), 30)
        agent = await asyncio.create_subprocess_exec(*command, "--config", str(settings), env=environment)
        try:
            await asyncio.sleep(SETTLING_SECONDS)
            before = (cpu_seconds(agent.pid), wakeups(agent.pid), sum(desk.items().values()), time.monotonic())
            await asyncio.sleep(seconds)
            after = (cpu_seconds(agent.pid), wakeups(agent.pid), sum(desk.items().values()), time.monotonic())
            memory = memory_kib(agent.pid)
        finally:
            agent.send_signal(signal.SIGTERM)
            status = await asyncio.wait_for(agent.wait(), 15)
    span = after[3] - before[3]
    return {
        "seconds": span,
        "values": after[2] - before[2],
        "cpu_percent": 100 * (after[0] - before[0]) / span,
        "wakeups_per_second": (after[1] - before[1]) / span,
        "pss_mib": memory["pss"] / 1024,
        "private_mib": memory["private"] / 1024,
        "rss_mib": memory["rss"] / 1024,
        "exit_status": status,
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.agent", description=__doc__)
    parser.add_argument("--long", action="store_true", help="measure for three minutes")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="watchkeep-agent-bench-") as folder:
        found = asyncio.run(measure(180.0 if chosen.long else 30.0, Path(folder)))
    found |= {"aim_pss_mib": AIM_MEMORY_MIB, "stretch_pss_mib": STRETCH_MEMORY_MIB, "aim_cpu_percent": AIM_CPU_PERCENT}
    if chosen.json:
        print(json.dumps(found))
        return 0
    machine = f"Python {sys.version.split()[0]}, {os.cpu_count()} cores"
    print(f"agent, {PROBES * ITEMS} items every {INTERVAL_SECONDS:g} s, {found['seconds']:.0f} s, {machine}")
    aim = f"aim {AIM_MEMORY_MIB:g}, stretch {STRETCH_MEMORY_MIB:g}"
    shares = f"{found['private_mib']:.1f} private, {found['rss_mib']:.1f} Rss"
    print(f"  memory   {found['pss_mib']:6.1f} MiB Pss ({shares}); {aim}")
    print(f"  cpu      {found['cpu_percent']:6.3f} % of a core; aim {AIM_CPU_PERCENT:g}")
    print(f"  wakeups  {found['wakeups_per_second']:6.1f} a second")
    print(f"  values   {found['values']:6.0f} delivered")
    return 0


if __name__ == "__main__":
    sys.exit(main())
