"""The web port over the embedded database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from core.runtime.clock import SystemClock
from server.store.database import Database, DatabaseOptions
from server.store.migrate import migrate
from tests.integration.api.site import open_site
from tests.support.postgres import embedded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.integration.api.site import Site
    from tests.support.postgres import DatabaseServer

__all__ = ["embedded"]


@pytest.fixture
async def options(request: pytest.FixtureRequest) -> AsyncIterator[DatabaseOptions]:
    """A fresh migrated database; a long wait for locks, since some tests have many ask at once."""
    server: DatabaseServer = request.getfixturevalue("embedded")
    with server.fresh_database() as dsn:
        options = DatabaseOptions(dsn=dsn, server="web", lock_timeout_seconds=25.0)
        await migrate(options)
        yield options


@pytest.fixture
async def database(options: DatabaseOptions) -> AsyncIterator[Database]:
    async with Database(options, purpose="web") as opened:
        yield opened


@pytest.fixture
async def site(database: Database) -> AsyncIterator[Site]:
    """The web port; nobody is signed in yet."""
    async with open_site(database, SystemClock()) as opened:
        yield opened


@pytest.fixture
async def signed_in(site: Site) -> Site:
    """The web port, its browser signed in as the administrator."""
    assert await site.sign_in() == 200
    return site
