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
async def databases(embedded: DatabaseServer) -> AsyncIterator[tuple[Database, Database]]:
    """Two fresh migrated databases: what is exported from the one is imported into the other."""
    with embedded.fresh_database() as first, embedded.fresh_database() as second:
        for dsn in (first, second):
            await migrate(DatabaseOptions(dsn=dsn, server="one"))
        async with (
            Database(DatabaseOptions(dsn=first, server="one")) as one,
            Database(DatabaseOptions(dsn=second, server="two")) as two,
        ):
            yield one, two
