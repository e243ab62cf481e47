"""The short form of the trial `identity`; the long ones: `make trials`. A file for each, so that workers share them."""

from __future__ import annotations

import pytest

from tests.trials import identity
from tests.trials.finding import assert_passed


@pytest.mark.trial("S-6")
@pytest.mark.timeout(600)
async def test_rolled_back_cloned_and_poisonous_sources_and_unanswered_commits_lose_and_double_nothing() -> None:
    assert_passed(await identity.run(is_long=False))
