"""The short forms of the trials `partitions` and `clocks`, on one ground; the long ones: `make trials`."""

from __future__ import annotations

import asyncio

import pytest

from tests.trials import clocks, partitions
from tests.trials.audit import Audit
from tests.trials.finding import assert_passed
from tests.trials.judging import judge
from tests.trials.network import network
from tests.trials.stack import running_stack


@pytest.mark.trial("R10")
@pytest.mark.trial("R11")
@pytest.mark.timeout(600)
async def test_cut_wires_and_wrong_clocks_make_no_second_writer_and_no_needless_takeover_and_lose_nothing() -> None:
    with network() as net:
        async with running_stack(network=net) as stack:
            audit = await asyncio.to_thread(Audit, stack)
            shifted = await clocks.shift(stack, is_long=False)
            cut = await partitions.cut_wires(stack, net, is_long=False)
            await stack.drain()
            verdict = await asyncio.to_thread(judge, stack.plan, stack.dsn, stack.receiver.told)
            assert_passed([clocks.judge_clocks(shifted, audit, verdict), partitions.judge_cuts(cut, audit, verdict)])
