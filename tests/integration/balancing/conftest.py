from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.store.migrate import migrate
from tests.support.postgres import database, embedded, patient, writer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.store.database import DatabaseOptions
    from tests.support.postgres import DatabaseServer

__all__ = ["database", "embedded", "writer"]


@pytest.fixture
async def database_options(embedded: DatabaseServer) -> AsyncIterator[DatabaseOptions]:
    """A fresh migrated database; nothing here lies in time slices, so one kind of server is enough."""
    with embedded.fresh_database() as dsn:
        options = patient(dsn, "one")
        await migrate(options)
        yield options
