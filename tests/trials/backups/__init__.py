"""B-1, B-2, B-3, B-5: runs killed at any moment, a Swift that lies, every file harmed, a hundred thousand files."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from tests.support.backups import new_pairs
from tests.trials.backups import damaged, killed, lying, many

if TYPE_CHECKING:
    from tests.trials.finding import Finding


async def run(*, is_long: bool) -> list[Finding]:
    return await asyncio.to_thread(_run, is_long=is_long)


def _run(*, is_long: bool) -> list[Finding]:
    seed = random.randrange(1 << 32)
    with new_pairs() as pairs:
        return [part.run(pairs, random.Random(seed), is_long=is_long) for part in (killed, lying, damaged, many)]
