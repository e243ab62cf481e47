"""What is wrong with a part of Watchkeep becomes a problem of the host `watchkeep`, and ends with its cause."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from server.api.services import PartHealth
from server.inventory.apply import install_shipped
from server.own import parts as parts_of
from server.own.identity import PARTS_HOST
from server.reign import Reign
from server.store.inventory import read_hosts
from server.store.problems import ProblemFilter, read_problems
from tests.integration.ingest.test_reign import throne
from tests.support.waiting import until, until_found

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from server.store.database import Database, DatabaseOptions


async def test_a_fault_that_lasts_is_a_problem_until_it_is_mended(
    database_options: DatabaseOptions, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts_of, "REPORT_SECONDS", 0.2)
    monkeypatch.setattr(parts_of, "LASTING_SECONDS", 1.0)
    await install_shipped(database)
    faults: list[str] = []

    def parts() -> list[PartHealth]:
        return [PartHealth(kind="proxy", name="p1", state="up", faults=tuple(faults))]

    async def open_problems() -> list[str]:
        async with database.connection() as connection:
            return [problem.name for problem in await read_problems(connection, ProblemFilter())]

    async with throne(database_options, database, tmp_path) as on:
        realm = replace(on.realm, parts=parts)
        tasks = [
            asyncio.create_task(Reign(realm, on.lease).run()),
            asyncio.create_task(realm.picture.keep_looking()),
        ]
        try:
            await until(lambda: realm.desk.duty is not None, what="the reign")
            async with database.connection() as connection:
                assert await read_hosts(connection) == []  # while all is well there is no such host
            faults.append("its disk is full")
            name = "Watchkeep: proxy p1 is not in order"

            async def is_open() -> bool | None:
                return (await open_problems() == [name]) or None

            async def is_over() -> bool | None:
                return (await open_problems() == []) or None

            await until_found(is_open, what="the problem")
            assert PARTS_HOST in realm.picture.inventory.hosts
            faults.clear()
            await until_found(is_over, what="the end of the problem")
            async with database.connection() as connection:
                cursor = await connection.execute("SELECT value FROM history_text ORDER BY at")
                assert await cursor.fetchall() == [("its disk is full",), ("ok",)]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
