from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from server.store.database import Database, DatabaseOptions
from server.store.lease import take
from server.store.migrate import migrate
from server.store.transaction import Writer
from tests.integration.media.receiver import open_receiver
from tests.support.postgres import embedded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.integration.media.receiver import WebhookReceiver
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
async def writer(options: DatabaseOptions) -> AsyncIterator[Writer]:
    """The writing side of a server that holds the lease."""
    lease = await take(options, endpoint="here")
    assert lease is not None
    opened = Writer(options, lease.epoch)
    yield opened
    await opened.close()


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    """A real HTTP server that does to notices what a test tells it to."""
    async with open_receiver() as opened:
        yield opened
