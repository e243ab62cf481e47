from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from tests.trials.faults.ground import rough_ground

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator

    from tests.trials.faults.ground import Ground


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def ground() -> AsyncIterator[Ground]:
    """One stack for all of them: each trial leaves it well, or the next one says so."""
    async with rough_ground() as opened:
        yield opened


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed trial shows what its parts said last."""
    report = yield
    opened: Ground | None = getattr(item, "funcargs", {}).get("ground")
    if report.failed and opened is not None:
        for name, part in opened.stack.parts.items():
            report.sections.append((f"the end of {name}'s log", part.end_of_log()))
    return report
