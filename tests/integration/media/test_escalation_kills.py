"""A server killed in the middle of an escalation: no notice lost, each told again at most once, under its own key."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.integration.media.escalating import define, end_problem, open_problem
from tests.support.waiting import until, until_found

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from server.store.database import Database, DatabaseOptions
    from server.store.transaction import Writer
    from tests.integration.media.receiver import Received, WebhookReceiver


class Tellers:
    """Runs a teller, and one more whenever it was killed."""

    def __init__(self, dsn: str, secrets: Path) -> None:
        self._command = (sys.executable, "-m", "tests.integration.media.teller", dsn, str(secrets))
        self._process: asyncio.subprocess.Process | None = None
        self._keeper = asyncio.create_task(self._keep())
        self.kills = 0

    async def _keep(self) -> None:
        while True:
            self._process = await asyncio.create_subprocess_exec(*self._command)
            await self._process.wait()

    def kill(self) -> None:
        """Kill -9 at once: not another instruction of it is run."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            self.kills += 1

    async def end(self) -> None:
        self._keeper.cancel()
        await asyncio.gather(self._keeper, return_exceptions=True)
        self.kill()
        if self._process is not None:
            await self._process.wait()


@asynccontextmanager
async def tellers(options: DatabaseOptions, secrets: Path) -> AsyncIterator[Tellers]:
    opened = Tellers(options.dsn, secrets)
    try:
        yield opened
    finally:
        await opened.end()


@pytest.mark.trial("R13")
@pytest.mark.timeout(600)  # ten programs are started one after the other
async def test_killed_before_each_receipt_the_steps_and_repeats_go_on_and_each_is_told_at_most_once_more(
    database: Database, options: DatabaseOptions, writer: Writer, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    audience = await define(
        database,
        {"kind": "receiver", "name": "night", "webhook": {"url": receiver.url(), "allow_private": True}},
        {
            "kind": "escalation",
            "name": "steps",
            "steps": [{"tell": ["night"], "every": "1s", "times": 3}, {"after": "2s", "tell": ["night"]}],
        },
    )
    async with writer.transaction() as connection:
        problem_id = await open_problem(connection, audience)
    counts: Counter[str] = Counter()
    async with tellers(options, tmp_path) as running:

        def kill_at_the_first(received: Received) -> None:
            counts[received.key] += 1
            if counts[received.key] == 1:
                running.kill()  # the receiver has it, and nobody is left to take its answer

        receiver.on_receive = kill_at_the_first
        await until(lambda: len(counts) == 4 and min(counts.values()) == 2, 300, "every step and repeat, twice")
        async with database.connection() as connection:
            await end_problem(connection, audience, problem_id)
        await until(lambda: len(counts) == 5 and min(counts.values()) == 2, 120, "the end, twice")
        await _until_all_receipted(database)
        assert running.kills == 5
    told = {each.key: json.loads(each.body) for each in receiver.received}
    assert set(counts.values()) == {2}, "told once more after its kill, never again"
    places = [(each["event"], each.get("step"), each.get("repetition")) for each in told.values()]
    assert places[0] == ("opened", 1, 1)
    assert sorted(places[1:4]) == [("reminder", 1, 2), ("reminder", 1, 3), ("reminder", 2, 1)]
    assert places[4] == ("resolved", None, None)
    assert len({each.body for each in receiver.received}) == 5, "the same bytes under the same key"
    async with database.connection() as connection:
        keys = await (await connection.execute("SELECT key::text FROM outbox")).fetchall()
    assert {key for (key,) in keys} == set(counts)


async def _until_all_receipted(database: Database) -> None:
    async def none_open() -> bool | None:
        async with database.connection() as connection:
            row = await (await connection.execute("SELECT count(*) FROM outbox WHERE sent_at IS NULL")).fetchone()
        return row == (0,) or None

    await until_found(none_open, 60, "the receipt of every notice")
