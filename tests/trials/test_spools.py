"""The short form of the trial `spools`; the long ones: `make trials`. A file for each, so that workers share them."""

from __future__ import annotations

import pytest

from tests.trials import spools
from tests.trials.finding import assert_passed


@pytest.mark.trial("R5")
@pytest.mark.trial("R6")
@pytest.mark.timeout(600)
async def test_damaged_spools_and_a_proxy_that_comes_back_lose_only_what_no_copy_is_whole_of() -> None:
    assert_passed(await spools.run(is_long=False))
