"""R4: a disk that answers EIO, to a proxy and to an agent: said, counted, a problem, and over by itself.

The kernel's answer is put in by strace, system call by system call; the processes are the real ones.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.waiting import until
from tests.trials.faults.ground import AGENT, PATIENCE_SECONDS, WATCHED
from tests.trials.site import PROXIES
from tests.trials.stack import until_true

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from tests.trials.faults.ground import Ground

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.trial("R4"), pytest.mark.timeout(600)]
REMEDY = "the disk fails: see the kernel's log"


def _tracer(pid: int) -> int:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("TracerPid:")]
    return int(line.split()[1])


@asynccontextmanager
async def failing(pids: Sequence[int], calls: str) -> AsyncIterator[None]:
    """Answer these system calls of the processes with EIO until the block ends."""
    tracer = await asyncio.create_subprocess_exec(
        "strace", "-f", "-qq", "-o", "/dev/null", *(part for pid in pids for part in ("-p", str(pid))),
        "-e", f"trace={calls}", "-e", f"inject={calls}:error=EIO",
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await until(
            lambda: all(_tracer(pid) == tracer.pid for pid in pids), PATIENCE_SECONDS, "the failing of the disk"
        )
        yield
    finally:
        tracer.terminate()
        await asyncio.wait_for(tracer.wait(), PATIENCE_SECONDS)


async def test_a_proxy_whose_fsync_fails_promises_nothing_and_nothing_is_lost(ground: Ground) -> None:
    since = {proxy: len(ground.log(proxy)) for proxy in PROXIES}

    def told() -> list[str]:
        return [proxy for proxy in PROXIES if "cannot be made safe" in ground.log(proxy)[since[proxy] :]]

    async with failing([ground.stack.parts[proxy].pid for proxy in PROXIES], "fsync"):
        await until(lambda: bool(told()), PATIENCE_SECONDS, "a proxy's word that it can promise nothing")
        proxy = told()[0]
        assert REMEDY in ground.log(proxy)[since[proxy] :]
        await ground.counted(proxy, "custody.failed_syncs")
        # Only a fault that lasts is a problem, and the first one ever needs a host that is made for it.
        await ground.raised(f"Watchkeep: proxy {proxy} is not in order")
        assert ground.all_live()
    await ground.nothing_lost()
    assert ground.all_live()


async def test_an_agent_whose_disk_fails_counts_what_it_loses_and_goes_on(ground: Ground) -> None:
    since = len(ground.log(AGENT))

    async def has_values() -> bool:
        return bool((await ground.ask("/items", host=WATCHED, search="agent.memory"))["items"])

    await until_true(has_values, PATIENCE_SECONDS, "values of the agent")
    async with failing([ground.stack.parts[AGENT].pid], "pwrite64"):
        await ground.says(AGENT, REMEDY, since)
        assert ground.all_live()
    await ground.says(AGENT, "The spool takes values again", since)

    async def is_told() -> bool:
        problems = (await ground.ask("/problems", state="open", host=WATCHED))["problems"]
        (own, *_) = (await ground.ask(f"/hosts/{WATCHED}/ledger"))["sources"]
        counts = own["lives"][0]["counts"]
        is_raised = any(problem["trigger"] == "Values were lost" for problem in problems)
        return is_raised and counts["lost"] > 0 and counts["open"] == 0

    await until_true(is_told, PATIENCE_SECONDS, "a problem, and an account without a hole")
    assert ground.all_live()
