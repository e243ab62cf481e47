"""The short form of the trial `balance`; the long ones: `make trials`. A file for each, so that workers share them."""

from __future__ import annotations

import pytest

from tests.trials import balance
from tests.trials.finding import assert_passed


@pytest.mark.trial("D3")
@pytest.mark.timeout(600)
async def test_three_proxies_share_unequal_sources_evenly_also_after_one_was_killed_and_came_back() -> None:
    assert_passed(await balance.run(is_long=False))
