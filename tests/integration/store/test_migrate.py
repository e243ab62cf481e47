from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from server.store.errors import StoreError
from server.store.migrate import Migration, MigrationError, migrate, read_migrations
from tests.support.postgres import patient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.store.database import Database, DatabaseOptions
    from tests.support.postgres import DatabaseServer

FIRST = Migration(number=1, name="0001_a", statements="CREATE TABLE a (x int); INSERT INTO a VALUES (1);")
SECOND = Migration(number=2, name="0002_b", statements="ALTER TABLE a ADD y int")
BROKEN = Migration(number=2, name="0002_b", statements="ALTER TABLE a ADD y int; SELECT 1/0;")


@pytest.fixture
def empty(embedded: DatabaseServer) -> Iterator[DatabaseOptions]:
    with embedded.fresh_database() as dsn:
        yield patient(dsn, "one")


async def test_migrations_run_once_in_order_even_when_servers_start_together(empty: DatabaseOptions) -> None:
    done = await asyncio.gather(*(migrate(empty, [FIRST, SECOND]) for _ in range(3)))
    assert sorted(done) == [[], [], ["0001_a", "0002_b"]]


async def test_a_migration_that_fails_leaves_nothing_and_can_be_repeated(empty: DatabaseOptions) -> None:
    with pytest.raises(StoreError):
        await migrate(empty, [FIRST, BROKEN])
    assert await migrate(empty, [FIRST, SECOND]) == ["0002_b"]


async def test_a_changed_an_unknown_and_a_forgotten_migration_stop_the_start(empty: DatabaseOptions) -> None:
    await migrate(empty, [FIRST, SECOND])
    with pytest.raises(MigrationError, match="was changed"):
        await migrate(empty, [FIRST, BROKEN])
    with pytest.raises(MigrationError, match="newer version"):
        await migrate(empty, [FIRST])
    third = Migration(number=3, name="0003_c", statements="SELECT 1")
    fourth = Migration(number=4, name="0004_d", statements="SELECT 1")
    await migrate(empty, [FIRST, SECOND, fourth])
    with pytest.raises(MigrationError, match="new number"):
        await migrate(empty, [FIRST, SECOND, third, fourth])


async def test_the_shipped_migrations_apply_to_both_kinds_of_server(database: Database) -> None:
    async with database.connection() as connection:
        cursor = await connection.execute("SELECT name FROM migration ORDER BY number")
        assert [row[0] for row in await cursor.fetchall()] == [each.name for each in read_migrations()]
