"""The short form of the trial `kills`; the long ones: `make trials`. A file for each, so that workers share them."""

from __future__ import annotations

import pytest

from tests.trials import kills
from tests.trials.finding import assert_passed


@pytest.mark.trial("R1")
@pytest.mark.timeout(600)
async def test_thirty_kills_under_load_lose_and_double_no_value_and_no_event() -> None:
    assert_passed(await kills.run(is_long=False))
