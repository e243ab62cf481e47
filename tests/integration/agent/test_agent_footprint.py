"""The agent is light: what it loads, and what a running one takes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING

from benchmarks.agent import cpu_seconds, memory_kib
from tests.integration.agent.process import CHECKOUT, SOURCE, agent_process, make_keys_of, write_settings
from tests.support.collecting import Desk, collecting
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

HEAVY = {"aiohttp", "psycopg", "numpy", "pydantic", "psutil", "yaml", "click", "rich", "gnupg", "swiftclient"}
OPENSSL = {"ssl", "_ssl", "_hashlib", "secrets"}
MOST_PSS_MIB = 25.0
MOST_CPU_PERCENT = 1.0
INTERVAL_SECONDS = 10.0
"""Between two samples of an agent that is told nothing."""


def test_nothing_heavy_is_loaded_by_the_agent_with_all_its_probes() -> None:
    code = (
        "import sys, json, agent.__main__, agent.backups.runner\n"
        "from probes.registry import all_items\nlist(all_items())\n"
        "print(json.dumps([name for name, module in sys.modules.items() if module is not None]))"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in json.loads(found.stdout)}
    assert "asyncio" in loaded
    assert loaded.isdisjoint(HEAVY | OPENSSL)


async def test_a_running_agent_takes_little_memory_and_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    desk = Desk()
    async with (
        collecting(desk, source=SOURCE, agent=make_keys_of(tmp_path)) as (collector, keys),
        agent_process(write_settings(tmp_path, collector.control_port, keys.public)) as agent,
    ):
        await until(lambda: "cpu.busy" in desk.items(), what="the first rate")
        count = desk.items()["cpu.busy"]
        loop = asyncio.get_running_loop()
        start, before = loop.time(), cpu_seconds(agent.pid)
        await until(lambda: desk.items()["cpu.busy"] > count, what="the next sample")
        # What one sample costs, however late this test looked.
        percent = 100 * (cpu_seconds(agent.pid) - before) / max(loop.time() - start, INTERVAL_SECONDS)
        memory = memory_kib(agent.pid)
        assert await agent.end() == 0
    with capsys.disabled():
        pass
    assert memory["pss"] / 1024 < MOST_PSS_MIB
    assert percent < MOST_CPU_PERCENT
