"""The short form of the trial `api`."""

from __future__ import annotations

import pytest

from tests.trials import api
from tests.trials.finding import assert_passed


@pytest.mark.trial("S-10")
@pytest.mark.timeout(600)
async def test_generated_requests_bring_no_fault_of_the_server_and_no_answer_that_is_not_described() -> None:
    assert_passed(await api.run(is_long=False))
