from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.store.database import Database, DatabaseOptions
from server.store.migrate import migrate
from tests.support.postgres import embedded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.postgres import DatabaseServer

__all__ = ["embedded"]


@pytest.fixture
async def database_options(embedded: DatabaseServer) -> AsyncIterator[DatabaseOptions]:
    """A fresh migrated database."""
    with embedded.fresh_database() as dsn:
        options = DatabaseOptions(dsn=dsn, server="one")
        await migrate(options)
        yield options


@pytest.fixture
async def database(database_options: DatabaseOptions) -> AsyncIterator[Database]:
    async with Database(database_options) as opened:
        yield opened
