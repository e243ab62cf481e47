"""R1: kill -9 at any moment loses nothing that was appended."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from random import Random

import pytest

from core.spool.spool import Spool, SpoolLimits
from tests.support.records import BOOT, SOURCE, everything_in, numbers_in

LIMITS = SpoolLimits(max_bytes=64 << 20, segment_bytes=100_000)

PRODUCER = """
import os, sys
from pathlib import Path
from core.spool.spool import Spool, SpoolLimits
from tests.support.records import BOOT, SOURCE, records

spool = Spool.open(Path(sys.argv[1]), SpoolLimits(max_bytes=64 << 20, segment_bytes=100_000))
held = spool.unstored()
number = max((ranges.highest for ranges in held.values()), default=0)
while True:
    last = number + 1 + number % 7
    spool.append(records(range(number + 1, last + 1), values=1 + number % 60))
    number = last
    os.write(1, number.to_bytes(8, "little"))
    if number % 5 == 0:
        spool.mark_stored(SOURCE.bytes, BOOT, [(1, max(1, number - 2000))])
"""


@pytest.mark.trial("R1")
async def test_everything_a_killed_process_appended_is_found(tmp_path: Path) -> None:
    random = Random(1)
    reported = 0
    for _ in range(12):
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PRODUCER, str(tmp_path), stdout=asyncio.subprocess.PIPE, env=os.environ
        )
        assert child.stdout is not None
        more = random.randint(1, 400)
        for _ in range(more):
            reported = int.from_bytes(await asyncio.wait_for(child.stdout.readexactly(8), 120), "little")
        child.send_signal(signal.SIGKILL)
        rest = await asyncio.wait_for(child.stdout.read(), 120)
        await child.wait()
        if len(rest) >= 8:
            reported = int.from_bytes(rest[len(rest) // 8 * 8 - 8 : len(rest) // 8 * 8], "little")
        spool = Spool.open(tmp_path, LIMITS)
        numbers = numbers_in(everything_in(spool))
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        assert numbers[-1] >= reported
        assert numbers[0] <= max(1, reported - 2000) + 1
        assert list(spool.unstored()) == [(SOURCE.bytes, BOOT)]
        spool.close()
    assert reported > 1000
