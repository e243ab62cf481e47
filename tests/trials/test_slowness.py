"""The short form of the trial `slowness`; the long ones: `make trials`. A file for each, so that workers share them."""

from __future__ import annotations

import pytest

from tests.trials import slowness
from tests.trials.finding import assert_passed


@pytest.mark.trial("R7")
@pytest.mark.timeout(600)
async def test_a_consumer_that_takes_a_kilobyte_a_second_costs_no_memory_and_no_value() -> None:
    assert_passed(await slowness.run(is_long=False))
