"""A server whose memory fell behind the store begins a new reign; nobody replaced it, and nobody is told so."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from server.ingest.loop import MemoryBehind
from server.lease.candidacy import Candidacy
from server.reign import Reign
from server.settings import ServerSettings
from server.store.lease import read_lease, release
from tests.integration.ingest.test_reign import throne
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from server.store.database import Database, DatabaseOptions


async def test_a_reign_whose_memory_is_behind_the_store_is_followed_by_another_of_the_same_server(
    database_options: DatabaseOptions, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []
    whole = Reign._open

    async def open_or_fail(reign: Reign) -> None:
        await whole(reign)
        opened.append(reign._lease.epoch)
        if len(opened) == 1:
            raise MemoryBehind("the answer to a commit of timed events was lost")

    monkeypatch.setattr(Reign, "_open", open_or_fail)
    async with throne(database_options, database, tmp_path) as on:
        async with database.connection() as connection:
            await release(connection, on.lease.epoch)
        settings = ServerSettings(
            name=database_options.server, dsn="", key_file=tmp_path / "key", secrets=tmp_path, endpoint="tcp://here:1"
        )
        running = asyncio.create_task(Candidacy(replace(on.realm), settings).run())
        try:
            await until(lambda: on.realm.desk.duty is not None or running.done(), what="the second reign")
            assert not running.done(), running.exception()
            async with database.connection() as connection:
                view = await read_lease(connection)
            first = on.lease.epoch + 1
            assert (opened, view.epoch, view.is_released) == ([first, first + 1], first + 1, False)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
