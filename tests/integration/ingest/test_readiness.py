"""What a standby holds ready: connections of the next epoch, which nobody uses who was not given that epoch."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from server.lease.readiness import Readiness
from server.store.errors import Fenced, StoreAway
from server.store.lease import read_lease, take
from tests.integration.ingest.test_reign import throne
from tests.support.waiting import until_found

if TYPE_CHECKING:
    from pathlib import Path

    from server.store.database import Database, DatabaseOptions
    from server.store.lease import LeaseView

NAMED = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"


async def connections(database: Database, name: str) -> int:
    async with database.connection() as connection:
        row = await (await connection.execute(NAMED, (name,))).fetchone()
    assert row is not None
    return int(row[0])


async def left(database: Database, name: str, count: int) -> None:
    """Wait until the server processes of closed connections have ended and there are `count`, no fewer."""

    async def look() -> int | None:
        found = await connections(database, name)
        return found if found <= count else None

    assert await until_found(look, what=f"the end of {name}") == count


async def seen(database: Database) -> LeaseView:
    async with database.connection() as connection:
        return await read_lease(connection)


async def keep(ready: Readiness, view: LeaseView) -> None:
    """Be ready: what a busy machine does not connect in time, the next call does."""

    async def kept() -> bool | None:
        try:
            await ready.keep(view)
        except StoreAway:
            return None
        return True

    await until_found(kept, what="the connections")


async def test_connections_of_the_next_epoch_are_ready_and_a_reign_of_that_epoch_uses_them(
    database_options: DatabaseOptions, database: Database, tmp_path: Path
) -> None:
    async with throne(database_options, database, tmp_path) as on:
        options = replace(database_options, server="standby")
        ready = Readiness(replace(on.realm, options=options))
        view = await seen(database)
        await keep(ready, view)
        await keep(ready, view)
        name = f"watchkeep/standby/{view.epoch + 1}"
        await left(database, name, 3)
        writer, pulse = await ready.hand_out(view.epoch + 1)
        with pytest.raises(Fenced):  # nobody has given it the lease yet
            async with writer.transaction():
                pass
        lease = await take(options, endpoint="there", stale_after_seconds=0, database=ready.taker)
        assert lease is not None
        assert lease.epoch == view.epoch + 1
        # One was closed when it was fenced; those of the epoch before were ended, not these.
        await left(database, name, 2)
        async with writer.transaction():
            pass
        await writer.close()
        await pulse.close()
        await ready.close()


async def test_what_was_made_ready_for_an_epoch_that_another_took_is_closed(
    database_options: DatabaseOptions, database: Database, tmp_path: Path
) -> None:
    async with throne(database_options, database, tmp_path) as on:
        ready = Readiness(replace(on.realm, options=replace(database_options, server="standby")))
        await keep(ready, await seen(database))
        other = await take(replace(database_options, server="other"), endpoint="there", stale_after_seconds=0)
        assert other is not None
        await left(database, f"watchkeep/standby/{other.epoch}", 3)
        await keep(ready, await seen(database))
        await left(database, f"watchkeep/standby/{other.epoch}", 0)
        await left(database, f"watchkeep/standby/{other.epoch + 1}", 3)
        writer, pulse = await ready.hand_out(other.epoch + 7)
        assert writer.epoch == pulse.epoch == other.epoch + 7
        await left(database, f"watchkeep/standby/{other.epoch + 1}", 0)
        await ready.close()
