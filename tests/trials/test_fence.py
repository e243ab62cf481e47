"""The short form of the trial `fence`; the long ones: `make trials`. A file for each, so that workers share them."""

from __future__ import annotations

import pytest

from tests.trials import fence
from tests.trials.finding import assert_passed


@pytest.mark.trial("R9")
@pytest.mark.timeout(600)
async def test_a_killed_or_frozen_active_server_is_replaced_within_ten_seconds_and_can_do_nothing_more() -> None:
    assert_passed(await fence.run(is_long=False))
