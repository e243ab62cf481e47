from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from server.inventory.apply import install_shipped
from server.store.database import Database, DatabaseOptions
from server.store.migrate import migrate
from tests.integration.enrolment.entrance import entry
from tests.support.postgres import embedded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.integration.enrolment.entrance import Entry
    from tests.support.postgres import DatabaseServer

__all__ = ["embedded"]


async def _prepare(options: DatabaseOptions) -> None:
    await migrate(options)
    async with Database(options) as database:
        await install_shipped(database)


@pytest.fixture(scope="package")
def options(embedded: DatabaseServer) -> Iterator[DatabaseOptions]:
    """One database for all of them: each test lets in hosts of its own names."""
    with embedded.fresh_database() as dsn:
        made = DatabaseOptions(dsn=dsn, server="one")
        asyncio.run(_prepare(made))
        yield made


@pytest_asyncio.fixture
async def door(options: DatabaseOptions) -> AsyncIterator[Entry]:
    """An enrolment port over real HTTP, with approval."""
    async with entry(options) as opened:
        yield opened
