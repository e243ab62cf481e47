"""The short form of the trial `backlog`; the long ones: `make trials`. A file for each, so that workers share them."""

from __future__ import annotations

import pytest

from tests.trials import backlog
from tests.trials.finding import assert_passed


@pytest.mark.trial("R3")
@pytest.mark.timeout(600)
async def test_after_an_outage_live_values_do_not_wait_for_the_backlog_and_nothing_is_lost() -> None:
    assert_passed(await backlog.run(is_long=False))
