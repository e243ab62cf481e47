"""The short form of every trial belongs to the tests; the long forms: `make trials`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.trials import backlog, balance, clocks, fence, identity, kills, partitions, slowness, spools
from tests.trials.audit import Audit
from tests.trials.judging import judge
from tests.trials.network import network
from tests.trials.stack import running_stack

if TYPE_CHECKING:
    from tests.trials.finding import Finding


def assert_passed(findings: list[Finding]) -> None:
    assert findings
    for finding in findings:
        assert not finding.faults, f"{finding.trial}: {finding.injected}: {finding.found}\n" + "\n".join(finding.faults)


@pytest.mark.trial("R1")
@pytest.mark.timeout(600)
async def test_thirty_kills_under_load_lose_and_double_no_value_and_no_event() -> None:
    assert_passed(await kills.run(is_long=False))


@pytest.mark.trial("R9")
@pytest.mark.timeout(600)
async def test_a_killed_or_frozen_active_server_is_replaced_within_ten_seconds_and_can_do_nothing_more() -> None:
    assert_passed(await fence.run(is_long=False))


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


@pytest.mark.trial("S-6")
@pytest.mark.timeout(600)
async def test_rolled_back_cloned_and_poisonous_sources_and_unanswered_commits_lose_and_double_nothing() -> None:
    assert_passed(await identity.run(is_long=False))


@pytest.mark.trial("D3")
@pytest.mark.timeout(600)
async def test_three_proxies_share_unequal_sources_evenly_also_after_one_was_killed_and_came_back() -> None:
    assert_passed(await balance.run(is_long=False))


@pytest.mark.trial("R3")
@pytest.mark.timeout(600)
async def test_after_an_outage_live_values_do_not_wait_for_the_backlog_and_nothing_is_lost() -> None:
    assert_passed(await backlog.run(is_long=False))


@pytest.mark.trial("R5")
@pytest.mark.trial("R6")
@pytest.mark.timeout(600)
async def test_damaged_spools_and_a_proxy_that_comes_back_lose_only_what_no_copy_is_whole_of() -> None:
    assert_passed(await spools.run(is_long=False))


@pytest.mark.trial("R7")
@pytest.mark.timeout(600)
async def test_a_consumer_that_takes_a_kilobyte_a_second_costs_no_memory_and_no_value() -> None:
    assert_passed(await slowness.run(is_long=False))
