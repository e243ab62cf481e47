from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.store.database import Database, DatabaseOptions
from server.store.migrate import migrate
from tests.support.postgres import embedded
from watchkeep.installation import Installation

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.postgres import DatabaseServer

__all__ = ["embedded"]


@pytest.fixture
async def options(embedded: DatabaseServer) -> AsyncIterator[DatabaseOptions]:
    """A fresh migrated database."""
    with embedded.fresh_database() as dsn:
        options = DatabaseOptions(dsn=dsn, server="one")
        await migrate(options)
        yield options


@pytest.fixture
async def database(options: DatabaseOptions) -> AsyncIterator[Database]:
    async with Database(options) as opened:
        yield opened


@pytest.fixture
def data(options: DatabaseOptions, tmp_path: Path) -> Path:
    """The folder of an installation with that database."""
    folder = tmp_path / "installation"
    folder.mkdir()
    Installation(dsn=options.dsn, url="http://127.0.0.1:1", server="one").write(folder)
    return folder
